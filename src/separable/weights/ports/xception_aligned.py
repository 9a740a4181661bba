"""timm's Xception-41, -65 and -71: DeepLab's ImageNet weights in torch, and two that timm trained itself.

Epsilon and borders are DeepLab's own, 1e-3 and symmetric, so the numerics are those of our default.
"""

from collections.abc import Mapping

from torch import Tensor

from separable.errors import WeightsMismatchError
from separable.models.base import ImageModel
from separable.models.contract import InputContract
from separable.weights.ports.port import HALF, Port, Release, renamed, torch_contract

__all__ = ["XCEPTION_65", "XCEPTION_ALIGNED"]

_PARTS = {"depthwise": "conv_dw", "intermediate_bn": "bn_dw", "pointwise": "conv_pw", "bn": "bn_pw"}


def _names(model: ImageModel) -> dict[str, str]:
    def rename(name: str) -> str:
        block, _, rest = name.partition(".")
        if block == "head":
            return rest.replace("classifier", "head.fc")
        place = model.chain.index(block)
        if place < 2:
            return f"stem.{place}.{rest}"
        unit, _, rest = rest.partition(".")
        if unit == "shortcut":
            return f"blocks.{place - 2}.shortcut.{rest}"
        part, _, kind = rest.partition(".")
        return f"blocks.{place - 2}.stack.{unit.removeprefix('sep')}.{_PARTS[part]}.{kind}"

    return renamed(model, rename)


def _contract(model: ImageModel, tensors: Mapping[str, Tensor]) -> InputContract:
    return torch_contract(299, mean=HALF, std=HALF, crop=0.903, filter="bicubic", eps=1e-3)


_MARKS = ("blocks.0.stack.conv1.bn_dw.weight",)
_FIXED = {"middle_blocks": None, "width": 1.0, "multi_grid": (1, 1, 1)}


def _arguments(model: ImageModel) -> dict[str, int]:
    stride: int = model.options["output_stride"]
    if model.name == "xception71" and stride == 8:
        raise WeightsMismatchError(
            "timm's xception71 loses the shortcut of its fifth entry module with the stride",
            got="output_stride=8",
            expected="16 or 32",
        )
    return {"output_stride": stride}


XCEPTION_ALIGNED = Port(
    name="timm xception_aligned",
    framework="timm",
    models={"xception41": "xception41", "xception71": "xception71"},
    marks=_MARKS,
    names=_names,
    contract=_contract,
    classifier="head.fc",
    arguments=_arguments,
    fixed=_FIXED,
)

XCEPTION_65 = Port(
    name="timm xception65",
    framework="timm",
    models={"xception65": "xception65"},
    marks=_MARKS,
    names=_names,
    contract=_contract,
    classifier="head.fc",
    arguments=_arguments,
    fixed=_FIXED,
    releases=(
        Release("xception65.tf_in1k", r"xception_?65\W?tf_in1k"),
        Release("xception65.ra3_in1k", r"ra3_in1k", {"crop_fraction": 0.94}),
    ),
)
