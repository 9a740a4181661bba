"""Using a trained model: predictions from anything that is a picture."""

from separable.runtime.masks import MaskPrediction, MaskPredictor
from separable.runtime.prediction import Prediction
from separable.runtime.predictor import Predictor, load_predictor
from separable.runtime.tags import TagPrediction, TagPredictor

__all__ = [
    "MaskPrediction",
    "MaskPredictor",
    "Prediction",
    "Predictor",
    "TagPrediction",
    "TagPredictor",
    "load_predictor",
]
