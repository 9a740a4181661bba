"""Inception-v4 as Cadene ported it from TF-slim, which timm copied: the same function, and a gamma of 1."""

from collections.abc import Mapping
from typing import Any

from torch import Tensor

from separable.models.base import ImageModel
from separable.models.contract import InputContract
from separable.weights.ports.port import HALF, Port, renamed, torch_contract

__all__ = ["INCEPTION_V4"]

_A = {"branch1x1": "branch0", "branch3x3": "branch1", "branch3x3dbl": "branch2", "branch_pool": "branch3.1"}
_B = {"branch1x1": "branch0", "branch7x7": "branch1", "branch7x7dbl": "branch2", "branch_pool": "branch3.1"}
_BRANCHES: dict[str, dict[str, str]] = {
    "mixed3a": {"branch3x3": "conv"},
    "mixed4a": {"branch3x3": "branch0", "branch7x7": "branch1"},
    "mixed5a": {"branch3x3": "conv"},
    "inception_a": _A,
    "reduction_a": {"branch3x3": "branch0", "branch3x3dbl": "branch1"},
    "inception_b": _B,
    "reduction_b": {"branch3x3": "branch0", "branch7x7x3": "branch1"},
}
"""Their branches by ours, whose layers are counted from 1, theirs from 0."""

_C = {
    "branch1x1": "branch0",
    "branch3x3_1": "branch1_0",
    "branch3x3_2a": "branch1_1a",
    "branch3x3_2b": "branch1_1b",
    "branch3x3dbl_1": "branch2_0",
    "branch3x3dbl_2": "branch2_1",
    "branch3x3dbl_3": "branch2_2",
    "branch3x3dbl_4a": "branch2_3a",
    "branch3x3dbl_4b": "branch2_3b",
    "branch_pool": "branch3.1",
}


def _names(model: ImageModel) -> dict[str, str]:
    def rename(name: str) -> str:
        block, _, rest = name.partition(".")
        if block == "head":
            return rest.replace("classifier", "last_linear")
        if block.startswith("aux_head"):
            return name  # they have none
        place = f"features.{model.chain.index(block)}"
        if block.startswith("conv"):
            return f"{place}.{rest}"
        unit, _, rest = rest.partition(".")
        if block.startswith("inception_c"):
            return f"{place}.{_C[unit]}.{rest}"
        branch, _, step = unit.partition("_") if unit != "branch_pool" else (unit, "", "")
        number = f".{int(step) - 1}" if step else ""
        return f"{place}.{_BRANCHES[block.rstrip('0123456789')][branch]}{number}.{rest}"

    return renamed(model, rename)


def _contract(model: ImageModel, tensors: Mapping[str, Tensor]) -> InputContract:
    return torch_contract(299, mean=HALF, std=HALF, filter="bicubic", eps=1e-3)


def _options(tensors: Mapping[str, Tensor]) -> dict[str, Any]:
    return {"gamma": "features.0.bn.weight" in tensors}


INCEPTION_V4 = Port(
    name="timm inception_v4",
    framework="timm",
    models={"inception_v4": "inception_v4"},
    marks=("features.21.branch1_1a.conv.weight",),
    names=_names,
    contract=_contract,
    options=_options,
    classifier="last_linear",
    fixed={"aux_head": False, "repeats": (4, 7, 3), "width": 1.0},
)
