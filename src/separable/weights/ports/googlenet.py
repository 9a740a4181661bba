"""GoogLeNet as torchvision ported it from TF-slim: `inception_v1(batch_norm=True, five_by_five=False)`.

Its convolutions pad both sides alike and its pools round their sides up, as Caffe's do. With the published weights it
takes pictures normalised by ImageNet's statistics and turns them into [-1, 1] itself (`transform_input`): together that
is mean 0.5 and std 0.5. The auxiliary heads of the published file were never trained, its publisher warns.
"""

from collections.abc import Mapping
from functools import partial
from typing import Any

from torch import Tensor

from separable.models.base import ImageModel
from separable.models.contract import InputContract
from separable.weights.ports.port import HALF, IMAGENET_MEAN, IMAGENET_STD, Port, Release, renamed, torch_contract

__all__ = ["GOOGLENET"]

_BRANCHES = {
    "branch1x1": "branch1",
    "branch3x3_1": "branch2.0",
    "branch3x3_2": "branch2.1",
    "branch5x5_1": "branch3.0",
    "branch5x5_2": "branch3.1",
    "branch_pool": "branch4.1",
}


def _rename(name: str) -> str:
    block, _, rest = name.partition(".")
    if block == "head":
        return rest.replace("classifier.", "fc.")
    if block.startswith("aux_head"):
        return f"{block.replace('aux_head', 'aux')}.{rest.replace('classifier.', 'fc2.')}"
    branch, _, inside = rest.partition(".")
    return f"{block}.{_BRANCHES[branch]}.{inside}" if block.startswith("inception") else name


def _options(tensors: Mapping[str, Tensor]) -> dict[str, Any]:
    return {
        "batch_norm": True,
        "gamma": "conv1.bn.weight" in tensors,
        "five_by_five": False,
        "aux_head": "aux1.fc1.weight" in tensors,
    }


def _contract(model: ImageModel, tensors: Mapping[str, Tensor]) -> InputContract:
    return torch_contract(224, mean=HALF, std=HALF, padding="caffe", eps=1e-3)


def _transforms_input(model: ImageModel) -> bool:
    return model.input_contract.mean == HALF


GOOGLENET = Port(
    name="torchvision googlenet",
    framework="torchvision",
    models={"inception_v1": "googlenet"},
    marks=("inception3a.branch2.0.conv.weight", "inception4d.branch3.1.bn.bias", "inception5b.branch4.1.conv.weight"),
    names=partial(renamed, rename=_rename),
    contract=_contract,
    options=_options,
    ignored=("aux1.", "aux2."),
    arguments=lambda model: {
        "aux_logits": bool(model.aux_names),
        "transform_input": _transforms_input(model),
        "init_weights": False,
    },
    fixed={"batch_norm": True, "five_by_five": False, "separable_stem": False, "width": 1.0},
    fed=lambda model: (IMAGENET_MEAN, IMAGENET_STD) if _transforms_input(model) else None,
    releases=(
        Release("IMAGENET1K_V1", r"googlenet-1378be20"),
        Release("transform_input=False", r"$^", {"mean": IMAGENET_MEAN, "std": IMAGENET_STD}),  # trained anew
    ),
)
