"""Inception-ResNet-v2 as Cadene ported it from TF-slim, which timm copied: the same function, and a gamma of 1."""

from collections.abc import Mapping
from typing import Any

from torch import Tensor

from separable.models.base import ImageModel
from separable.models.contract import InputContract
from separable.weights.ports.needed import check_needed
from separable.weights.ports.port import HALF, Port, Release, renamed, torch_contract

__all__ = ["INCEPTION_RESNET_V2"]

_BLOCKS = {"block35": "repeat", "block17": "repeat_1", "block8": "repeat_2"}
_BRANCHES = {
    "mixed5b": ("branch1x1", "branch5x5", "branch3x3dbl"),
    "block35": ("branch1x1", "branch3x3", "branch3x3dbl"),
    "mixed6a": ("branch3x3", "branch3x3dbl"),
    "block17": ("branch1x1", "branch7x7"),
    "mixed7a": ("branch3x3", "branch3x3b", "branch3x3dbl"),
    "block8": ("branch1x1", "branch3x3"),
}
"""Of our blocks, in the order in which theirs are numbered."""


def _names(model: ImageModel) -> dict[str, str]:
    last = max(number for kind, number in map(_kind, model.chain) if kind == "block8")

    def block(name: str) -> str:
        kind, number = _kind(name)
        if kind not in _BLOCKS:
            return f"{name[:-2]}{'2d' if name.startswith('conv') else ''}_{name[-2:]}"
        return "block8" if kind == "block8" and number == last else f"{_BLOCKS[kind]}.{number - 1}"

    def rename(name: str) -> str:
        ours, _, rest = name.partition(".")
        if ours == "head":
            return rest.replace("classifier", "classif")
        if ours == "aux_head":
            return name  # they have none
        if ours.startswith("conv"):
            return f"{block(ours)}.{rest}"
        unit, _, rest = rest.partition(".")
        if unit == "residual":
            return f"{block(ours)}.{rest.replace('conv', 'conv2d')}"
        if unit == "branch_pool":
            return f"{block(ours)}.branch3.1.{rest}"
        branch, _, step = unit.partition("_")
        number = f".{int(step) - 1}" if step else ""
        return f"{block(ours)}.branch{_BRANCHES[_kind(ours)[0]].index(branch)}{number}.{rest}"

    return renamed(model, rename)


def _kind(block: str) -> tuple[str, int]:
    """`block35_4` -> ("block35", 4), `mixed6a` -> ("mixed6a", 0)."""
    kind, _, number = block.partition("_")
    return kind, int(number or 0)


def _contract(model: ImageModel, tensors: Mapping[str, Tensor]) -> InputContract:
    check_needed(model, "timm", residual_scale=(0.17, 0.1, 0.2))
    return torch_contract(299, mean=HALF, std=HALF, crop=0.8975, filter="bicubic", eps=1e-3)


def _options(tensors: Mapping[str, Tensor]) -> dict[str, Any]:
    return {"gamma": "conv2d_1a.bn.weight" in tensors}


INCEPTION_RESNET_V2 = Port(
    name="timm inception_resnet_v2",
    framework="timm",
    models={"inception_resnet_v2": "inception_resnet_v2"},
    marks=("repeat_2.0.conv2d.weight", "mixed_7a.branch2.2.conv.weight"),
    names=_names,
    contract=_contract,
    options=_options,
    classifier="classif",
    aliases={"last_linear.": "classif."},  # Cadene's
    fixed={
        "form": "slim",
        "aux_head": False,
        "repeats": (10, 20, 10),
        "residual_scale": (0.17, 0.1, 0.2),
        "width": 1.0,
    },
    releases=(
        Release("inception_resnet_v2.tf_in1k", r"inception_?resnet_?v2\W?tf_in1k"),
        Release("inception_resnet_v2.tf_ens_adv_in1k", r"ens_adv"),
    ),
)
