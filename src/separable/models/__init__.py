"""The networks: blocks arranged as the papers' figures arrange them."""

from separable.models.base import ImageModel, Tap
from separable.models.build import build_model, list_models, model_spec
from separable.models.contract import InputContract
from separable.models.inception_v3 import InceptionV3
from separable.models.mobilenet_v1 import MobileNetV1
from separable.models.spec import ModelSpec, PublishedWeights
from separable.models.xception import Xception

__all__ = [
    "ImageModel",
    "InceptionV3",
    "InputContract",
    "MobileNetV1",
    "ModelSpec",
    "PublishedWeights",
    "Tap",
    "Xception",
    "build_model",
    "list_models",
    "model_spec",
]
