"""MobileNet V1 of timm (mobilenetv1_100 and mobilenetv1_125), which pads both sides alike and has torch's epsilon."""

from collections.abc import Mapping
from typing import Any

from torch import Tensor

from separable.models.base import ImageModel
from separable.models.contract import InputContract
from separable.weights.ports.needed import check_needed
from separable.weights.ports.port import HALF, Port, renamed, torch_contract

__all__ = ["TIMM_MOBILENET_V1"]

_STAGES = ((1, 1), (2, 2), (4, 2), (6, 6), (12, 2))  # first block and number of blocks of timm's stages
_PLACES = {
    f"block{first + number}": f"blocks.{stage}.{number}"
    for stage, (first, count) in enumerate(_STAGES)
    for number in range(count)
}
_LAYERS = {"depthwise.conv": "conv_dw", "depthwise.bn": "bn1", "pointwise.conv": "conv_pw", "pointwise.bn": "bn2"}


def _names(model: ImageModel) -> dict[str, str]:
    def rename(name: str) -> str:
        block, _, rest = name.partition(".")
        if block == "head":
            return rest
        if block == "conv1":
            return rest.replace("conv.", "conv_stem.").replace("bn.", "bn1.")
        layer, _, variable = rest.rpartition(".")
        return f"{_PLACES[block]}.{_LAYERS.get(layer, layer)}.{variable}"

    return renamed(model, rename)


def _contract(model: ImageModel, tensors: Mapping[str, Tensor]) -> InputContract:
    check_needed(model, "timm", activation="relu6", separable=True, shallow=False)
    crop = 0.9 if _options(tensors).get("width") == 1.25 else 0.875
    return torch_contract(224, mean=HALF, std=HALF, crop=crop, filter="bicubic")


def _options(tensors: Mapping[str, Tensor]) -> dict[str, Any]:
    stem = tensors.get("conv_stem.weight")
    return {} if stem is None or not stem.dim() else {"width": stem.shape[0] / 32}


TIMM_MOBILENET_V1 = Port(
    name="timm mobilenetv1_100",
    framework="timm",
    models={"mobilenet_v1": "mobilenetv1_100"},
    marks=("blocks.3.5.conv_dw.weight",),
    names=_names,
    contract=_contract,
    options=_options,
    classifier="classifier",
    fixed={"activation": "relu6", "separable": True, "shallow": False, "stem_stride": 2, "width": 1.0},
)
