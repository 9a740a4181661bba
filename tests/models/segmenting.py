"""Every network that segments, made small enough to run often, and the forms whose code paths differ."""

from typing import Any

import pytest
import torch
from torch import Tensor, nn

from separable.models import SegmentationModel, build_model, pixel_logits

__all__ = [
    "NETWORKS",
    "SEGMENTING",
    "SIDES",
    "build_on_meta",
    "each_case",
    "each_network",
    "logits",
    "make",
    "make_alive",
    "noise",
]

SIDES = (98, 75)

_XCEPTION = {"middle_blocks": 1}
SEGMENTING: dict[str, dict[str, Any]] = {
    "deeplab": {"width": 0.1, "encoder_options": _XCEPTION},
    "deeplab_xception41": {"width": 0.1, "encoder_options": _XCEPTION},
    "deeplab_xception65": {"width": 0.1, "encoder_options": _XCEPTION},
    "deeplab_xception71": {"width": 0.1, "encoder_options": _XCEPTION},
    "unet": {"width": 0.1, "encoder_options": _XCEPTION},
    "unet_xception": {"width": 0.25},
}
_VARIANTS: dict[str, dict[str, Any]] = {
    "deeplab-stride8": {"output_stride": 8},
    "deeplab-mobilenet": {"encoder": "mobilenet_v1", "encoder_options": None, "rates": [2, 4], "dropout": 0.0},
    "unet-mobilenet": {"encoder": "mobilenet_v1", "encoder_options": None, "upsampling": "learned"},
    "unet-dense": {"separable": False, "upsampling": "bilinear", "decoder_channels": [64, 64, 32, 32, 16]},
    "unet_xception-skips": {"skips": True, "upsampling": "bilinear", "dropout": 0.1},
    "unet_xception-deep": {"depth": 4, "upsampling": "learned"},
    "unet_xception-shallow": {"depth": 1, "skips": True},
}
NETWORKS = tuple(SEGMENTING)
each_network = pytest.mark.parametrize("case", NETWORKS)
each_case = pytest.mark.parametrize("case", [*NETWORKS, *_VARIANTS])


def make(case: str, num_classes: int = 4, **more: Any) -> SegmentationModel:
    """The small network `case`, "name" or "name-variant", always with the same weights."""
    torch.manual_seed(0)
    name = case.split("-")[0]
    model = build_model(name, num_classes, **{**SEGMENTING[name], **_VARIANTS.get(case, {}), **more})
    assert isinstance(model, SegmentationModel)
    return model


def make_alive(case: str, x: Tensor, **more: Any) -> SegmentationModel:
    """As `make`, in evaluation mode, its batch normalisations with the statistics of `x`."""
    model = make(case, **more).train()
    norms = [layer for layer in model.modules() if isinstance(layer, nn.BatchNorm2d)]
    for norm in norms:
        norm.momentum = 1.0
    with torch.no_grad():
        model(x)
    for norm in norms:
        norm.momentum = 0.01
    return model.eval()


def noise(count: int = 2, height: int = SIDES[0], width: int = SIDES[1]) -> Tensor:
    return torch.randn(count, 3, height, width, generator=torch.Generator().manual_seed(5))


def logits(model: SegmentationModel, x: Tensor) -> Tensor:
    with torch.no_grad():
        return pixel_logits(model.eval(), x)


def build_on_meta(name: str) -> nn.Module:
    with torch.device("meta"):
        return build_model(name)
