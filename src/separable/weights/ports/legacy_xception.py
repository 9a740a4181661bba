"""Xception as tstandley ported it to torch, which Cadene, timm, FaceForensics and DeepfakeBench all copied.

Its weights are Keras' own, and its numerics are not: batch normalisation has torch's epsilon of 1e-5, and the pools pad
both sides alike, so that on even sides their windows start a pixel early (timm/models/xception.py; docs/numerics.md).
"""

from collections.abc import Mapping
from dataclasses import replace

from torch import Tensor

from separable.models.base import ImageModel
from separable.models.contract import InputContract
from separable.weights.ports.port import HALF, Port, Transform, renamed, torch_contract

__all__ = ["LEGACY_XCEPTION"]

_STEM = {"conv1.conv": "conv1", "conv1.bn": "bn1", "conv2.conv": "conv2", "conv2.bn": "bn2"}
_DEEPFAKEBENCH = "adjust_channel."
"""A layer that its networks/xception.py always has, and that its plain Xception does not run through."""
_SEPARABLE = {"depthwise.weight": "conv1.weight", "pointwise.weight": "pointwise.weight"}


def _names(model: ImageModel) -> dict[str, str]:
    first, tail = model.chain[1], model.chain[-1]

    def rename(name: str) -> str:
        block, _, rest = name.partition(".")
        if block == "head":
            return rest.replace("classifier", "fc")
        if block == model.chain[0]:
            unit, _, kind = rest.rpartition(".")
            return f"{_STEM[unit]}.{kind}"
        unit, _, rest = rest.partition(".")
        if unit == "shortcut":
            return f"block{model.chain.index(block)}.{rest.replace('conv', 'skip').replace('bn', 'skipbn')}"
        number, is_norm = int(unit.removeprefix("sepconv")), rest.startswith("bn.")
        inside = rest.removeprefix("bn.") if is_norm else _SEPARABLE.get(rest, rest)
        if block == tail:
            return f"{'bn' if is_norm else 'conv'}{number + 2}.{inside}"
        place = 3 * number - 2 - (block == first) + is_norm  # ReLU, separable, norm, ...; the first block has no ReLU
        return f"block{model.chain.index(block)}.rep.{place}.{inside}"

    return renamed(model, rename)


def _contract(model: ImageModel, tensors: Mapping[str, Tensor]) -> InputContract:
    imagenet = torch_contract(299, mean=HALF, std=HALF, crop=0.8975, filter="bicubic")
    if any(name.startswith(_DEEPFAKEBENCH) for name in tensors):  # training/config/detector/xception.yaml: resolution
        return replace(imagenet, size=(256, 256), resize="squash", crop_fraction=1.0)
    return imagenet


def _transforms(model: ImageModel) -> dict[str, Transform]:
    """The first file of the port (xception-b5690688.pth) has pointwise weights without their two sides of 1."""
    four = Transform(lambda weight: weight[..., None, None] if weight.dim() == 2 else weight, lambda weight: weight)
    return {name: four for name in model.state_dict() if name.endswith("pointwise.weight")}


LEGACY_XCEPTION = Port(
    name="timm legacy_xception",
    framework="timm",
    models={"xception": "legacy_xception"},
    marks=("block12.rep.1.conv1.weight", "block12.skipbn.weight", "conv4.pointwise.weight"),
    names=_names,
    contract=_contract,
    transforms=_transforms,
    # Cadene calls the classifier last_linear; FaceForensics puts dropout before it, in a Sequential.
    aliases={"last_linear.1.": "fc.", "last_linear.": "fc."},
    ignored=(_DEEPFAKEBENCH,),
    fixed={
        "residual": True,
        "intermediate_activation": None,
        "segments": None,
        "order": "spatial_first",
        "fc_layers": (),
        "width": 1.0,
        "middle_blocks": 8,
        "stem_stride": 2,
        "output_stride": 32,
    },
)
