"""Why a network answers as it does: Grad-CAM, integrated gradients, feature maps and filters, and a page of them."""

from separable.analysis.explain.examined import class_scores, demand_classes, logits_of
from separable.analysis.explain.explanation import (
    Evidence,
    Explanation,
    explain_picture,
    explain_pixels,
    telling_layers,
)
from separable.analysis.explain.features import feature_maps, first_convolution, first_filters
from separable.analysis.explain.gradcam import grad_cam, is_passed_round
from separable.analysis.explain.integrated import Attribution, integrated_gradients
from separable.analysis.explain.layers import default_layer, feature_layers, finer_layer, found_layer
from separable.analysis.explain.page import explanation_page
from separable.analysis.explain.recording import FeatureLayer
from separable.analysis.explain.regions import RegionScores
from separable.analysis.explain.subject import Subject, drawn_images

__all__ = [
    "Attribution",
    "Evidence",
    "Explanation",
    "FeatureLayer",
    "RegionScores",
    "Subject",
    "class_scores",
    "default_layer",
    "demand_classes",
    "drawn_images",
    "explain_picture",
    "explain_pixels",
    "explanation_page",
    "feature_layers",
    "feature_maps",
    "finer_layer",
    "first_convolution",
    "first_filters",
    "found_layer",
    "grad_cam",
    "integrated_gradients",
    "is_passed_round",
    "logits_of",
    "telling_layers",
]
