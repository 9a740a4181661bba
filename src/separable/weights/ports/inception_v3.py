"""Inception V3 in torch: torchvision's, and timm's, which has the same names and up to four sets of weights for them.

Both average pools divide by the padded window, whichever way the weights were trained (torch's default; TF-slim's do
not), and batch normalisation has a gamma. torchvision's network with its published weights takes pictures normalised by
ImageNet's statistics and turns them into [-1, 1] itself (`transform_input`): together that is mean 0.5 and std 0.5.
"""

from collections.abc import Mapping
from functools import partial
from typing import Any

from torch import Tensor

from separable.models.base import ImageModel
from separable.models.contract import InputContract
from separable.weights.ports.port import HALF, IMAGENET_MEAN, IMAGENET_STD, Port, Release, renamed, torch_contract

__all__ = ["TIMM_INCEPTION_V3", "TORCHVISION_INCEPTION_V3"]

_STEM = {
    "conv1a": "Conv2d_1a_3x3",
    "conv2a": "Conv2d_2a_3x3",
    "conv2b": "Conv2d_2b_3x3",
    "conv3b": "Conv2d_3b_1x1",
    "conv4a": "Conv2d_4a_3x3",
}
_GRIDS = ("5b", "5c", "5d", "6a", "6b", "6c", "6d", "6e", "7a", "7b", "7c")
_NAMES = {**_STEM, **{f"mixed{number}": f"Mixed_{grid}" for number, grid in enumerate(_GRIDS)}, "aux_head": "AuxLogits"}
_FIXED = {
    "stem": "299",
    "variant": "slim",
    "aux_batch_norm": True,
    "linear_inside": False,
    "grid_reduction": None,
    "fc_layers": (),
    "bias": False,
    "activation": "relu",
    "n": 7,
    "pool": "average",
    "width": 1.0,
}
_IMAGENET = {"mean": IMAGENET_MEAN, "std": IMAGENET_STD}


def _rename(name: str) -> str:
    block, _, rest = name.partition(".")
    if block == "head":
        return rest.replace("classifier.", "fc.")
    return f"{_NAMES[block]}.{rest.replace('classifier.', 'fc.')}"


def _options(tensors: Mapping[str, Tensor]) -> dict[str, Any]:
    return {"gamma": "Conv2d_1a_3x3.bn.weight" in tensors, "aux_head": "AuxLogits.fc.weight" in tensors}


def _contract(model: ImageModel, tensors: Mapping[str, Tensor], *, crop: float, filter: str) -> InputContract:
    return torch_contract(299, mean=HALF, std=HALF, crop=crop, filter=filter, eps=1e-3, counts_padding=True)


def _transforms_input(model: ImageModel) -> bool:
    return model.input_contract.mean == HALF


TORCHVISION_INCEPTION_V3 = Port(
    name="torchvision inception_v3",
    framework="torchvision",
    models={"inception_v3": "inception_v3"},
    marks=("Mixed_5b.branch5x5_1.conv.weight", "Mixed_6a.branch3x3dbl_1.conv.weight", "Mixed_7c.branch3x3_2a.bn.bias"),
    names=partial(renamed, rename=_rename),
    contract=partial(_contract, crop=299 / 342, filter="bilinear"),
    options=_options,
    ignored=("AuxLogits.",),
    arguments=lambda model: {
        "aux_logits": "aux_head" in model.aux_names.values(),
        "transform_input": _transforms_input(model),
        "init_weights": False,
    },
    fixed=_FIXED,
    fed=lambda model: (IMAGENET_MEAN, IMAGENET_STD) if _transforms_input(model) else None,
    releases=(
        Release("IMAGENET1K_V1", r"inception_v3_google"),
        Release("transform_input=False", r"$^", _IMAGENET),  # trained anew: then the input is not transformed
    ),
)

TIMM_INCEPTION_V3 = Port(
    name="timm inception_v3",
    framework="timm",
    models={"inception_v3": "inception_v3"},
    marks=TORCHVISION_INCEPTION_V3.marks,
    names=TORCHVISION_INCEPTION_V3.names,
    contract=partial(_contract, crop=0.875, filter="bicubic"),
    options=_options,
    ignored=("AuxLogits.",),
    arguments=lambda model: {"aux_logits": "aux_head" in model.aux_names.values()},
    fixed=_FIXED,
    releases=(
        Release("inception_v3.tv_in1k", r"inception_v3\.tv_in1k"),
        Release("inception_v3.tf_in1k", r"inception_v3\.tf_in1k|\btf_inception_v3"),
        Release("inception_v3.tf_adv_in1k", r"inception_v3\.tf_adv_in1k|adv_inception_v3"),
        Release("inception_v3.gluon_in1k", r"inception_v3\.gluon_in1k|gluon_inception_v3", _IMAGENET),
    ),
)
