"""What Inception-v2 and Inception-v3 share: the stems, and the modules behind them (arXiv:1512.00567, table 1)."""

from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from typing import Any, Unpack

from torch import nn

from separable.blocks import (
    ConvBN,
    GridReduction,
    InceptionA,
    InceptionAux,
    InceptionB,
    InceptionC,
    InceptionD,
    InceptionE,
    MaxPool,
)
from separable.blocks.inception import ConvOptions, scaled
from separable.blocks.init import init_truncated_normal, init_variance_scaling
from separable.models.base import ImageModel, Tap

__all__ = ["CHOLLET_2016", "SLIM", "Trunk", "Version", "init_as_slim", "make_trunk"]


@dataclass(frozen=True)
class Version:
    """What published versions of the modules differ in."""

    pooled: tuple[int, int, int] = (32, 64, 64)
    """Channels of the pool projections on the 35x35 grid."""
    narrow: tuple[int, int, int, int] = (128, 160, 160, 192)
    """Channels between the convolutions of the n x n branches on the 17x17 grid."""
    last_entry: int = 192
    """Channels of the first 1x1 of the double n x n branch of the last of them."""
    last_reduction: str = "max"
    """The pool of the second grid reduction."""


SLIM = Version()
CHOLLET_2016 = Version(pooled=(32, 32, 32), last_entry=160, last_reduction="average")


@dataclass(frozen=True)
class Trunk:
    """Named blocks in order, and the feature pyramid's places among them."""

    blocks: dict[str, nn.Module]
    taps: tuple[Tap, ...]
    grid17: int
    """Channels of mixed7."""
    out_channels: int


def make_trunk(
    in_channels: int,
    stem: str,
    version: Version = SLIM,
    *,
    whole_7x7: bool = False,
    n: int = 7,
    pool: str = "average",
    linear_inside: bool = False,
    grid_reduction: str | None = None,
    width: float = 1.0,
    **unit: Unpack[ConvOptions],
) -> Trunk:
    """Stem and modules.

    Args:
        stem: the side in pixels that it brings to the same grids, "299", "151" or "79".
        whole_7x7: one 7x7 where the stem has three 3x3.
        n, pool, linear_inside: see `InceptionC` and `InceptionA`.
        grid_reduction: a `GridReduction` of this kind in place of `InceptionB` and `InceptionD`, with their channels.
    """
    c, conv = partial(scaled, width=width), partial(ConvBN, **unit)
    blocks = _first_convolutions(stem, whole_7x7, in_channels, c, conv)
    first_tap = list(blocks)[-2] if "pool3a" in blocks else None
    blocks["conv3b"] = conv(c(64), c(80), 1)
    blocks["conv4a"] = conv(c(80), c(192), 3, padding="valid")
    blocks["pool5a"] = MaxPool("valid")
    kinds = _Kinds(version, n, pool, linear_inside, grid_reduction)
    modules, channels = _modules(c(192), kinds, width=width, **unit)
    strides = {"299": 2, "151": 1, "79": 1}
    places = [("conv4a", c(192)), *((name, channels[name]) for name in ("mixed2", "mixed7", "mixed10"))]
    if first_tap is not None:
        places.insert(0, (first_tap, c(64)))
    taps = tuple(Tap(block, width, strides[stem] * 2**place) for place, (block, width) in enumerate(places))
    return Trunk({**blocks, **modules}, taps, channels["mixed7"], channels["mixed10"])


def init_as_slim(model: ImageModel, aux: InceptionAux | None) -> None:
    """Cut normal of variance 2 / fan_in; in the auxiliary head of deviation 0.01 and 0.001."""
    init_variance_scaling(model)
    if aux is not None:
        init_truncated_normal(aux.conv1, 0.01)
        init_truncated_normal(aux.classifier, 0.001)


def _first_convolutions(
    stem: str, whole_7x7: bool, in_channels: int, c: Callable[[int], int], conv: Callable[..., ConvBN]
) -> dict[str, nn.Module]:
    """From the picture to 64 channels at 73x73."""
    stride = 2 if stem == "299" else 1
    if whole_7x7:
        # Three 3x3 at stride 1 see 7x7 pixels; the one of them that is padded pads by one.
        padding = 1 if stem == "151" else "valid"
        blocks: dict[str, nn.Module] = {"conv1a": conv(in_channels, c(64), 7, stride=stride, padding=padding)}
    else:
        blocks = {
            "conv1a": conv(in_channels, c(32), 3, stride=stride, padding="valid"),
            "conv2a": conv(c(32), c(32), 3, padding="valid"),
            "conv2b": conv(c(32), c(64), 3, padding="valid" if stem == "79" else "same"),
        }
    return blocks if stem == "79" else {**blocks, "pool3a": MaxPool("valid")}


@dataclass(frozen=True)
class _Kinds:
    """What the modules are made as; see `make_trunk`."""

    version: Version
    n: int
    pool: str
    linear_inside: bool
    grid_reduction: str | None


def _modules(
    in_channels: int, kinds: _Kinds, *, width: float, **unit: Unpack[ConvOptions]
) -> tuple[dict[str, nn.Module], dict[str, int]]:
    """mixed0 to mixed10, and the channels that each ends with."""
    version, n, pool, how = kinds.version, kinds.n, kinds.pool, kinds.grid_reduction
    modules: dict[str, nn.Module] = {}
    channels = {"": in_channels}

    def add(kind: Callable[..., Any], *arguments: int, **options: Any) -> None:
        module = kind(list(channels.values())[-1], *arguments, width=width, **options, **unit)
        name = f"mixed{len(modules)}"
        modules[name], channels[name] = module, module.out_channels

    for pooled in version.pooled:  # 35x35
        add(InceptionA, pooled, pool=pool, linear_inside=kinds.linear_inside)
    if how is None:  # 17x17
        add(InceptionB, linear_inside=kinds.linear_inside)
    else:
        add(_reduction, 384, 96, how=how)
    for narrow, entry in zip(version.narrow, (*version.narrow[:-1], version.last_entry), strict=True):
        add(InceptionC, narrow, entry=entry, n=n, pool=pool)
    if how is None:  # 8x8
        add(InceptionD, n=n, pool=version.last_reduction)
    else:
        add(_reduction, 320, 192, how=how)
    add(InceptionE, pool=pool)
    add(InceptionE, pool=pool)
    return modules, channels


def _reduction(in_channels: int, *branches: int, how: str, width: float, **unit: Unpack[ConvOptions]) -> GridReduction:
    """A `GridReduction` that ends with the channels of the module it stands for: its input's and its `branches`'."""
    out_channels = in_channels + sum(scaled(channels, width) for channels in branches)
    settings: ConvOptions = {"gamma": False}
    settings.update(unit)
    return GridReduction(in_channels, out_channels, how, **settings)
