"""Which modules stand behind each other with nothing in between: convolution, batch normalisation, activation.

Known for classes whose forward is known: `nn.Sequential`, our `ConvBN`, and classes of timm, of which `forwards` reads
whether the version at hand really does so.
"""

from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from itertools import pairwise
from typing import Any

from torch import nn

from separable.blocks.accelerate.forwards import runs_in_turn
from separable.blocks.accelerate.swapped import born_as
from separable.blocks.conv import ConvBN
from separable.blocks.unet import XceptionUp
from separable.ops.cpu.norm import Activation

__all__ = ["Group", "activation_of", "find_groups", "is_norm"]

_TIMM: dict[str, tuple[str, ...]] = {
    "timm.layers.conv_bn_act.ConvNormAct": ("conv bn",),
    "timm.models._efficientnet_blocks.ConvBnAct": ("conv bn1",),
    "timm.models._efficientnet_blocks.DepthwiseSeparableConv": ("conv_dw bn1", "conv_pw bn2"),
    "timm.models._efficientnet_blocks.EdgeResidual": ("conv_exp bn1", "conv_pwl bn2"),
    "timm.models._efficientnet_blocks.InvertedResidual": ("conv_pw bn1", "conv_dw bn2", "conv_pwl bn3"),
    "timm.models.efficientnet.EfficientNet": ("conv_stem bn1", "conv_head bn2"),
    "timm.models.mobilenetv3.MobileNetV3": ("conv_stem bn1",),
    "timm.models.xception.Xception": ("conv1 bn1 act1", "conv2 bn2 act2", "bn3 act3", "bn4 act4"),
}
"""Class -> names of the children that its forward runs one after the other."""

_UNET = "separable.models.unet_xception.UNetXception"

_ACTIVATIONS: dict[type[nn.Module], Activation] = {
    nn.Identity: Activation.NONE,
    nn.ReLU: Activation.RELU,
    nn.ReLU6: Activation.RELU6,
    nn.SiLU: Activation.SILU,
    nn.Hardswish: Activation.HARD_SWISH,
}


@dataclass(frozen=True)
class Group:
    """Names of the parent and, below it, of the head (a convolution, a norm, the first of some blocks) and of what
    follows."""

    parent: str
    head: str
    followers: tuple[str, ...]


def find_groups(model: nn.Module) -> list[Group]:
    """Every group of at least two modules that the kernels do in one, in the model's order."""
    named = Counter(id(module) for _, module in model.named_modules(remove_duplicate=False))
    found = []
    for name, parent in model.named_modules():
        for names in (*_candidates(parent), *_rising(parent)):
            modules = [parent._modules.get(child) for child in names]
            if all(module is not None and named[id(module)] == 1 and not _replaced(module) for module in modules):
                found.append(Group(name, names[0], names[1:]))
    return found


def is_norm(module: object) -> bool:
    """Batch normalisation whose forward is known: torch's own, or timm's with its activation inside."""
    kind = born_as(module)
    return kind is nn.BatchNorm2d or (_is_timm_norm(kind) and activation_of(module) is not None)


def activation_of(module: object) -> Activation | None:
    """What an activation computes, or the one inside a norm; None for one that the kernels do not know."""
    kind = born_as(module)
    if kind is nn.BatchNorm2d:
        return Activation.NONE
    if _is_timm_norm(kind):
        assert isinstance(module, nn.Module)
        return activation_of(module.act) if type(module.drop) is nn.Identity else None
    return _ACTIVATIONS.get(kind)


def _candidates(parent: nn.Module) -> Iterator[tuple[str, ...]]:
    kind: Any = born_as(parent)
    chains: list[tuple[str, ...]]
    if kind is ConvBN:
        chains = [] if parent.activation_first else [("conv", "bn", "act")]
    elif kind.forward is nn.Sequential.forward:
        chains = _runs(parent)
    else:
        listed = [tuple(names.split()) for names in _TIMM.get(f"{kind.__module__}.{kind.__qualname__}", ())]
        chains = [names for names in listed if runs_in_turn(kind, names)]
    for names in chains:
        modules = [parent._modules.get(name) for name in names]
        start = 0 if is_norm(modules[0]) or _is_conv(modules[0]) else 1
        norm = start if is_norm(modules[start]) else start + 1
        if norm >= len(modules) or not is_norm(modules[norm]):
            continue
        follows = norm + 1 < len(modules) and born_as(modules[norm]) is nn.BatchNorm2d
        known = follows and _ACTIVATIONS.get(born_as(modules[norm + 1]), Activation.NONE) != Activation.NONE
        group = names[start : norm + (2 if known else 1)]
        if len(group) > 1:
            yield group


def _rising(parent: Any) -> list[tuple[str, ...]]:
    """The steps of the rising half of our U-Net and its classifier, where each gets the map before it and no other.

    The network is known by its name: models are made of blocks, and cannot be imported here.
    """
    kind = born_as(parent)
    if f"{kind.__module__}.{kind.__qualname__}" != _UNET or parent.feeds:
        return []
    names = [name for name in parent.chain if born_as(parent._modules.get(name)) is XceptionUp]
    return [(*names, "head")] if names and names == list(parent.chain[-len(names) :]) else []


def _runs(sequence: nn.Module) -> list[tuple[str, ...]]:
    """(convolution, norm, whatever is next) for each norm in an `nn.Sequential`."""
    names = [*sequence._modules, ""]
    runs = []
    for before, name in pairwise(["", *names]):
        if name and is_norm(sequence._modules[name]):
            following = names[names.index(name) + 1]
            runs.append(tuple(one for one in (before, name, following) if one))
    return runs


def _is_conv(module: object) -> bool:
    return born_as(module) is nn.Conv2d


def _replaced(module: nn.Module) -> bool:
    return "forward" in vars(module)


def _is_timm_norm(kind: type) -> bool:
    """timm is optional and is not imported for this."""
    return (kind.__module__, kind.__qualname__) == ("timm.layers.norm_act", "BatchNormAct2d")
