"""Which layer of Keras' networks each part of ours is: by name where Keras gives one, else by order.

The networks are those of Keras' applications, and the U-Net of its segmentation example, where nothing has a name.

Keras leaves Xception's shortcuts and all of Inception V3 unnamed. Their generic names end in a number that counts in
the order of creation; `model.layers`, and so every file, lists them by depth in the graph. Both orders are worked out
here, so that a file that has both can be checked against itself.
"""

from collections.abc import Iterator
from dataclasses import dataclass

from torch import nn

from separable.blocks.conv import ConvBN
from separable.blocks.dense_head import DenseHead
from separable.blocks.head import ClassifierHead, Head
from separable.blocks.inception import InceptionA, InceptionB, InceptionC, InceptionD, InceptionE
from separable.blocks.inception_resnet import (
    InceptionResNetA,
    InceptionResNetB,
    InceptionResNetC,
    InceptionResNetEntry,
    InceptionResNetReduction,
    ScaledResidual,
)
from separable.blocks.inception_v4 import ReductionA
from separable.blocks.mobilenet import DepthwiseBN
from separable.blocks.pixel_head import PixelHead
from separable.blocks.residual import Bottleneck
from separable.blocks.separable import SeparableConv2d
from separable.blocks.unet import XceptionUp
from separable.errors import WeightsMismatchError
from separable.models.base import ImageModel
from separable.weights.ports.needed import check_needed
from separable.weights.stored import Kind

__all__ = ["Plan", "Target", "Unit", "plan_for"]

_NETWORKS = (
    "inception_resnet_v2",
    "inception_v3",
    "mobilenet_v1",
    "resnet101",
    "resnet152",
    "resnet50",
    "unet_xception",
    "vgg16",
    "xception",
)
# Place in order of registration of the units of a block, listed in the order of `model.layers` (keras 3.15, by depth).
_BY_DEPTH: dict[type[nn.Module], tuple[int, ...]] = {
    InceptionA: (3, 1, 4, 0, 2, 5, 6),
    InceptionB: (1, 2, 0, 3),
    InceptionC: (4, 5, 1, 6, 2, 7, 0, 3, 8, 9),
    InceptionD: (2, 3, 0, 4, 1, 5),
    InceptionE: (4, 1, 5, 2, 3, 6, 7, 0, 8),
    InceptionResNetEntry: (3, 1, 4, 0, 2, 5, 6),
    InceptionResNetA: (3, 1, 4, 0, 2, 5, 6),
    ReductionA: (1, 2, 0, 3),
    InceptionResNetB: (1, 2, 0, 3, 4),
    InceptionResNetReduction: (4, 0, 2, 5, 1, 3, 6),
    InceptionResNetC: (1, 2, 0, 3, 4),
    Bottleneck: (0, 1, 3, 2),  # the projected shortcut before the last convolution
}
_BOTTLENECK = {"shortcut": 0, "conv1": 1, "conv2": 2, "conv3": 3}
_CLASSIFIER_NAMES = ("predictions", "conv_preds", "Conv2d_1c_1x1")


@dataclass(frozen=True)
class Target:
    """One Keras layer and where it goes. `names` are what it is called where it is not called by number."""

    prefix: str
    kind: Kind
    names: tuple[str, ...] = ()
    grid: int = 0
    """Of a dense layer on a flattened map, that map's side: Keras flattens it pixel by pixel, torch channel by channel.
    0 for all others."""


@dataclass(frozen=True)
class Unit:
    """A convolution and the batch normalisation after it, if there is one."""

    conv: Target
    norm: Target | None


@dataclass(frozen=True)
class Plan:
    """The layers that a model wants, in Keras' order of creation and in that of `model.layers`."""

    created: tuple[Unit, ...]
    listed: tuple[Unit, ...]
    dense: tuple[Target, ...]
    """Dense layers below the classifier: those of VGG16."""
    classifier: Target | None

    def targets(self, kind: Kind, *, listed: bool = False) -> list[Target]:
        """The targets of one kind, the classifier aside, in one of the two orders."""
        if kind == "dense":
            return list(self.dense)
        units = self.listed if listed else self.created
        return [target for unit in units for target in (unit.conv, unit.norm) if target and target.kind == kind]


def plan_for(model: ImageModel) -> Plan:
    """Work out the Keras layers of `model`.

    Raises:
        WeightsMismatchError: Keras has no such network.
    """
    if model.name not in _NETWORKS:
        raise WeightsMismatchError(f"Keras has no {model.name}", fix="Load a safetensors file of separable's own")
    if model.options.get("stride_on", "1x1") != "1x1":
        raise WeightsMismatchError(
            f"Keras has no {model.name} that strides in its 3x3 convolutions",
            got='stride_on="3x3"',
            expected='stride_on="1x1"',
            fix="Build the model with its default",
        )
    if model.name == "inception_resnet_v2":
        check_needed(model, "Keras", residual_scale=(0.17, 0.1, 0.2))
    blocks = [(name, model.get_submodule(name)) for name in model.chain]
    created = [unit for name, block in blocks for unit in _created(_units(name, block))]
    listed = [unit for name, block in blocks for unit in _listed(block, _units(name, block))]
    head = model.head
    dense = _dense(head)
    classifier = None
    if head is not None and isinstance(head.classifier, nn.Linear):
        classifier = Target("head.classifier", "dense", _CLASSIFIER_NAMES)
    elif isinstance(head, PixelHead) and head.num_classes:
        classifier = Target("head.classifier", "conv")
    return Plan(tuple(created), tuple(listed), tuple(dense), classifier)


def _dense(head: Head | None) -> list[Target]:
    if not isinstance(head, ClassifierHead | DenseHead):
        return []
    first = head.grid if isinstance(head, DenseHead) else 0
    return [
        Target(f"head.{name}", "dense", (name,), grid=0 if number else first)
        for number, name in enumerate(head.fc_names)
    ]


def _units(name: str, block: nn.Module) -> list[Unit]:
    """The units of one block of the chain, in the order in which the block registers them."""
    return list(_walk(name, block))


def _walk(name: str, module: nn.Module) -> Iterator[Unit]:
    if isinstance(module, SeparableConv2d):
        yield _unit(name, name, "separable")
    elif isinstance(module, ConvBN | DepthwiseBN):
        kind: Kind = "depthwise" if isinstance(module, DepthwiseBN) else "conv"
        yield _unit(name, f"{name}.conv", kind, normalised=isinstance(module.bn, nn.BatchNorm2d))
    elif isinstance(module, ScaledResidual):
        yield Unit(Target(f"{name}.conv", "conv", (f"{name.partition('.')[0]}_conv",)), None)
    elif isinstance(module, Bottleneck):
        for part in ("conv1", "conv2", "conv3", *(("shortcut",) if module.shortcut is not None else ())):
            own, numbered = f"{name}.{part}", f"{name}_{_BOTTLENECK[part]}"
            yield Unit(Target(f"{own}.conv", "conv", (f"{numbered}_conv",)), _norm(own, (f"{numbered}_bn",)))
    elif isinstance(module, XceptionUp):
        _check_upsampling(module)
        for part in ("conv1", "conv2"):
            yield Unit(Target(f"{name}.{part}.conv", "transposed"), _norm(f"{name}.{part}", ()))
        yield Unit(Target(f"{name}.shortcut.conv", "conv"), None)
    else:
        for child_name, child in module.named_children():
            yield from _walk(f"{name}.{child_name}", child)


def _check_upsampling(block: XceptionUp) -> None:
    if block.upsample.conv is not None:
        raise WeightsMismatchError(
            "Keras' U-Net has nothing to learn where it doubles a map's side",
            got='upsampling="learned"',
            expected='upsampling="nearest" or "bilinear"',
            fix="Build the model with its default",
        )


def _unit(name: str, conv: str, kind: Kind, *, normalised: bool = True) -> Unit:
    names = _keras_names(name)
    norm = _norm(name, tuple(f"{keras_name.removesuffix('_conv')}_bn" for keras_name in names))
    return Unit(Target(conv, kind, names), norm if normalised else None)


def _norm(name: str, names: tuple[str, ...]) -> Target:
    return Target(f"{name}.bn", "norm", names)


def _keras_names(name: str) -> tuple[str, ...]:
    """Keras', and for MobileNet TF-slim's, name of the convolution of a unit; none where both only count."""
    block, _, part = name.partition(".")
    number = block.removeprefix("block")
    if block.startswith("down"):
        return ()
    if name == "conv1":
        return ("conv1", "Conv2d_0", "conv1_conv")  # MobileNet's twice, ResNet's
    if name == "conv7b":
        return ("conv_7b",)
    if part == "depthwise":
        return (f"conv_dw_{number}", f"Conv2d_{number}_depthwise")
    if part == "pointwise":
        return (f"conv_pw_{number}", f"Conv2d_{number}_pointwise")
    if part.startswith(("conv", "sepconv")):
        return (f"{block}_{part}",)
    return ()


def _created(units: list[Unit]) -> list[Unit]:
    """Keras makes a block's shortcut before its other convolutions; ours registers it after them."""
    return sorted(units, key=lambda unit: not unit.conv.prefix.endswith(".shortcut.conv"))


def _listed(block: nn.Module, units: list[Unit]) -> list[Unit]:
    order = _BY_DEPTH.get(type(block), ())
    return [units[place] for place in order] if len(order) == len(units) else units
