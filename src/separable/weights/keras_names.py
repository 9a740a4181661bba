"""Which layer of Keras' networks each part of ours is: by name where Keras gives one, else by order.

Keras leaves Xception's shortcuts and all of Inception V3 unnamed. Their generic names end in a number that counts in
the order of creation; `model.layers`, and so every file, lists them by depth in the graph. Both orders are worked out
here, so that a file that has both can be checked against itself.
"""

from collections.abc import Iterator
from dataclasses import dataclass

from torch import nn

from separable.blocks.conv import ConvBN
from separable.blocks.head import ClassifierHead
from separable.blocks.inception import InceptionA, InceptionB, InceptionC, InceptionD, InceptionE
from separable.blocks.mobilenet import DepthwiseBN
from separable.blocks.separable import SeparableConv2d
from separable.errors import WeightsMismatchError
from separable.models.base import ImageModel
from separable.weights.stored import Kind

__all__ = ["Plan", "Target", "Unit", "plan_for"]

# Place in order of creation of the units of a block, listed in the order of `model.layers` (keras 3.15, by depth).
_BY_DEPTH: dict[type[nn.Module], tuple[int, ...]] = {
    InceptionA: (3, 1, 4, 0, 2, 5, 6),
    InceptionB: (1, 2, 0, 3),
    InceptionC: (4, 5, 1, 6, 2, 7, 0, 3, 8, 9),
    InceptionD: (2, 3, 0, 4, 1, 5),
    InceptionE: (4, 1, 5, 2, 3, 6, 7, 0, 8),
}
_CLASSIFIER_NAMES = ("predictions", "conv_preds", "Conv2d_1c_1x1")


@dataclass(frozen=True)
class Target:
    """One Keras layer and where it goes. `names` are what it is called where it is not called by number."""

    prefix: str
    kind: Kind
    names: tuple[str, ...] = ()


@dataclass(frozen=True)
class Unit:
    """A convolution and the batch normalisation after it."""

    conv: Target
    norm: Target


@dataclass(frozen=True)
class Plan:
    """The layers that a model wants, in Keras' order of creation and in that of `model.layers`."""

    created: tuple[Unit, ...]
    listed: tuple[Unit, ...]
    dense: tuple[Target, ...]
    """Dense layers below the classifier: Keras' networks have none."""
    classifier: Target | None

    def targets(self, kind: Kind, *, listed: bool = False) -> list[Target]:
        """The targets of one kind, the classifier aside, in one of the two orders."""
        if kind == "dense":
            return list(self.dense)
        units = self.listed if listed else self.created
        return [target for unit in units for target in (unit.conv, unit.norm) if target.kind == kind]


def plan_for(model: ImageModel) -> Plan:
    """Work out the Keras layers of `model`.

    Raises:
        WeightsMismatchError: Keras has no such network.
    """
    if model.name not in ("xception", "inception_v3", "mobilenet_v1"):
        raise WeightsMismatchError(f"Keras has no {model.name}", fix="Load a safetensors file of separable's own")
    blocks = [(name, model.get_submodule(name)) for name in model.chain]
    created = [unit for name, block in blocks for unit in _created(_units(name, block))]
    listed = [unit for name, block in blocks for unit in _listed(block, _units(name, block))]
    head = model.head
    dense = (
        [Target(f"head.{name}", "dense", (name,)) for name in head.fc_names] if isinstance(head, ClassifierHead) else []
    )
    has_classifier = head is not None and isinstance(head.classifier, nn.Linear)
    classifier = Target("head.classifier", "dense", _CLASSIFIER_NAMES) if has_classifier else None
    return Plan(tuple(created), tuple(listed), tuple(dense), classifier)


def _units(name: str, block: nn.Module) -> list[Unit]:
    """The units of one block of the chain, in the order in which the block registers them."""
    return list(_walk(name, block))


def _walk(name: str, module: nn.Module) -> Iterator[Unit]:
    if isinstance(module, SeparableConv2d):
        yield _unit(name, name, "separable")
    elif isinstance(module, ConvBN | DepthwiseBN):
        yield _unit(name, f"{name}.conv", "depthwise" if isinstance(module, DepthwiseBN) else "conv")
    else:
        for child_name, child in module.named_children():
            yield from _walk(f"{name}.{child_name}", child)


def _unit(name: str, conv: str, kind: Kind) -> Unit:
    names = _keras_names(name)
    norm_names = tuple(f"{keras_name}_bn" for keras_name in names)
    return Unit(Target(conv, kind, names), Target(f"{name}.bn", "norm", norm_names))


def _keras_names(name: str) -> tuple[str, ...]:
    """Keras', and for MobileNet TF-slim's, name of the convolution of a unit; none where both only count."""
    block, _, part = name.partition(".")
    number = block.removeprefix("block")
    if name == "conv1":
        return ("conv1", "Conv2d_0")
    if part == "depthwise":
        return (f"conv_dw_{number}", f"Conv2d_{number}_depthwise")
    if part == "pointwise":
        return (f"conv_pw_{number}", f"Conv2d_{number}_pointwise")
    if part.startswith(("conv", "sepconv")):
        return (f"{block}_{part}",)
    return ()


def _created(units: list[Unit]) -> list[Unit]:
    """keras xception.py makes a block's shortcut before its separable convolutions; ours registers it after them."""
    return sorted(units, key=lambda unit: not unit.norm.prefix.endswith(".shortcut.bn"))


def _listed(block: nn.Module, units: list[Unit]) -> list[Unit]:
    order = _BY_DEPTH.get(type(block), tuple(range(len(units))))
    return [units[place] for place in order]
