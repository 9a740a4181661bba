"""Grad-CAM (R. R. Selvaraju et al., arXiv:1610.02391): where the evidence for a class lies."""

import torch
from torch import Tensor, nn

from separable.analysis.explain.examined import (
    Scores,
    Targets,
    class_scores,
    demand_classes,
    examined,
    prepared,
    targets_of,
)
from separable.analysis.explain.layers import tapped, wanted_layer
from separable.analysis.explain.recording import FeatureLayer
from separable.errors import UsageError

__all__ = ["grad_cam", "is_passed_round"]


def grad_cam(
    model: nn.Module,
    inputs: Tensor,
    target: Targets = None,
    layer: FeatureLayer | str | None = None,
    *,
    scores: Scores = class_scores,
) -> Tensor:
    """Equations 1 and 2 of the paper: L = ReLU(sum over k of alpha_k A_k), where A_k are the layer's maps and alpha_k
    is the mean over their positions of the derivative of the class' logit (before any softmax) by A_k.

    For a network that ends in global average pooling and one linear layer, and its last map, this is the class
    activation map of arXiv:1512.04150 without its negative part, divided by the number of positions.

    The model is run in evaluation mode, and left as it was found. A layer that runs several times counts where it runs
    last; what follows it may work in place.

    Args:
        inputs: (N, C, H, W), as the network takes them.
        target: a class number, one for each picture, or None for the class with the largest logit.
        layer: one of `feature_layers`, or its dotted name; None for the last feature map, see `default_layer`.
        scores: what is explained in place of the logits, such as those of a region, see `regions.RegionScores`.

    Returns:
        (N, h, w), not negative, at the layer's own resolution and scale.

    Raises:
        UsageError: no such layer or class, or the logits do not depend on the layer.
    """
    demand_classes(model)
    layer = wanted_layer(model, inputs, layer)
    with examined(model), tapped(model, layer) as tap:
        logits = scores(model, prepared(inputs))
        assert tap.maps is not None
        chosen = logits.gather(1, targets_of(target, logits)[:, None])
        slopes = torch.autograd.grad(chosen.sum(), tap.maps, allow_unused=True)[0] if chosen.requires_grad else None
        if slopes is None:
            raise UsageError(
                f"The network's answer does not depend on the layer {layer.name}",
                expected="a layer on the way to the logits",
                fix="Take another layer, or leave it out for the last feature map",
            )
        maps = tap.maps.detach()
        if layer.channels_last:
            return torch.einsum("nc,nhwc->nhw", slopes.mean((1, 2)), maps).relu()
        return torch.einsum("nc,nchw->nhw", slopes.mean((2, 3)), maps).relu()


def is_passed_round(model: nn.Module, inputs: Tensor, layer: FeatureLayer, *, scores: Scores = class_scores) -> bool:
    """Whether the logits of the first picture depend on it otherwise than through `layer`, as beside one of several
    branches: the layer's Grad-CAM leaves that evidence out."""
    with examined(model), tapped(model, layer):
        pixels = prepared(inputs)[:1].requires_grad_()
        logits = scores(model, pixels.clone())  # a clone: a first layer may work in place
        slopes = torch.autograd.grad(logits.sum(), pixels, allow_unused=True)[0] if logits.requires_grad else None
    return slopes is not None and bool(slopes.any())
