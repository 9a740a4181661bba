"""Why single layers are slower than this machine allows, read off what they do and how long that takes.

Each cause names layers and, for each, an upper bound of what removing it could gain. One layer may have several.
"""

import math
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass

from separable.analysis.kinds import Convolution
from separable.analysis.roofline import MeasuredLayer, MeasuredProfile
from separable.machine.ceilings import PRECISIONS

__all__ = ["Cause", "LayerGain", "causes_of", "fastest"]

_SLOW = 0.5
"""Share of its limit below which a layer counts as slow."""
_TINY = 10e-6
"""Seconds of work below which calling a layer costs more than running it."""


@dataclass(frozen=True)
class LayerGain:
    """One call of a layer, its time, and how many of its seconds could be gained at most."""

    name: str
    call: int
    seconds: float
    gain: float


@dataclass(frozen=True)
class Cause:
    """`why` and `fix` are sentences for people; `layers` with the largest gain first."""

    key: str
    title: str
    why: str
    fix: str
    layers: tuple[LayerGain, ...]
    beside: float = 0.0
    """Seconds gained outside of layers."""

    @property
    def gain(self) -> float:
        """Seconds, at most."""
        return self.beside + sum(one.gain for one in self.layers)


def fastest(layer: MeasuredLayer, measured: MeasuredProfile) -> float:
    """Seconds that the layer would need if its bytes moved as fast as a copy of that size, in a cache if they fit."""
    ceilings = measured.ceilings
    compute = 2 * layer.macs / ceilings.gemm_flops[measured.precision]
    return max(compute, layer.bytes / ceilings.copy_rate(layer.bytes) if layer.bytes else 0.0)


def causes_of(measured: MeasuredProfile, lanes: int) -> list[Cause]:
    """Everything found in the layers of `measured`; `lanes` fp32 numbers fit into a vector of the processor."""
    ran = [layer for layer in measured.layers if layer.seconds > 0]
    found = [
        _batch_norms(ran),
        _activations(ran),
        _depthwise(ran, measured),
        _separable(ran, measured),
        _grouped(ran, measured),
        _pools(ran, measured),
        _unfilled(ran, measured, lanes),
        _slow_products(ran, measured),
        _tiny(ran, measured),
    ]
    return [cause for cause in found if cause.layers or cause.beside > 0]


def _batch_norms(ran: Sequence[MeasuredLayer]) -> Cause:
    """A batch norm in evaluation is a scale and a shift, which the convolution before it can do for nothing."""
    after = [
        layer
        for layer in ran
        if layer.kind == "batch norm" and layer.operations and _makes_products(layer.operations[0].follows)
    ]
    moved = sum(layer.bytes for layer in after)
    return Cause(
        "batch_norm",
        "Batch normalisation as a pass of its own",
        f"{_count(after, 'moves', 'move')} {moved / 1e6:.3g} MB after a convolution that could have scaled its output.",
        "For inference fold them into the convolutions: torch.nn.utils.fusion.fuse_conv_bn_eval, or torch.compile",
        _gains(after, lambda layer: layer.seconds),
    )


def _activations(ran: Sequence[MeasuredLayer]) -> Cause:
    alone = [layer for layer in ran if layer.kind == "activation"]
    moved = sum(layer.bytes for layer in alone)
    return Cause(
        "activation",
        "Activations as a pass of their own",
        f"{_count(alone, 'moves', 'move')} {moved / 1e6:.3g} MB that the layer before just had in its registers.",
        "torch.compile(model) fuses them into their neighbours; inplace=True saves memory but not the pass",
        _gains(alone, lambda layer: layer.seconds),
    )


def _depthwise(ran: Sequence[MeasuredLayer], measured: MeasuredProfile) -> Cause:
    slow = [layer for layer in ran if _is_depthwise(layer) and _is_slow(layer, measured)]
    return Cause(
        "depthwise",
        "Depthwise convolutions below the speed of memory",
        f"{_count(slow, 'moves', 'move')} {_rate(slow)}, {_of_best(slow, measured)} of what copies of that size reach "
        "here. They compute next to nothing for each byte, so a good kernel is as fast as a copy.",
        "See what the other layout and bf16 gain; larger batches and fewer, wider layers help too",
        _gains(slow, lambda layer: layer.seconds - fastest(layer, measured)),
    )


def _separable(ran: Sequence[MeasuredLayer], measured: MeasuredProfile) -> Cause:
    """Depthwise and 1x1 in one layer, which is a row of its own where the layer calls both as functions."""
    both = [layer for layer in ran if _has(layer, lambda one: one.is_depthwise) and not _is_depthwise(layer)]
    slow = [layer for layer in both if _is_slow(layer, measured)]
    between = sum((layer.activations - math.prod(layer.output_shape)) for layer in slow)
    width = PRECISIONS[measured.precision].itemsize
    return Cause(
        "separable",
        "Separable convolutions below their limit",
        f"{_count(slow, 'reaches', 'reach')} {_of_best(slow, measured)} of it. The depthwise half alone is as slow as "
        f"memory at best, and the {2 * between * width / 1e6:.3g} MB between the halves are written and read again.",
        "See what the other layout and bf16 gain",
        _gains(slow, lambda layer: layer.seconds - fastest(layer, measured)),
    )


def _grouped(ran: Sequence[MeasuredLayer], measured: MeasuredProfile) -> Cause:
    def grouped(one: Convolution) -> bool:
        return one.groups > 1 and not one.is_depthwise

    slow = [layer for layer in ran if _has(layer, grouped) and _is_slow(layer, measured)]
    widths = sorted({one.in_channels // one.groups for layer in slow for one in _convolutions(layer) if grouped(one)})
    return Cause(
        "groups",
        "Grouped convolutions",
        f"{_count(slow)} with groups of {', '.join(map(str, widths))} channels: each group is a small convolution that "
        "fills neither vectors nor caches.",
        "Fewer groups of a multiple of 16 channels, or depthwise with a 1x1 after it",
        _gains(slow, lambda layer: layer.seconds - fastest(layer, measured)),
    )


def _pools(ran: Sequence[MeasuredLayer], measured: MeasuredProfile) -> Cause:
    slow = [layer for layer in ran if layer.kind == "pooling" and _is_slow(layer, measured)]
    return Cause(
        "pooling",
        "Pooling below the speed of memory",
        f"{_count(slow, 'moves', 'move')} {_rate(slow)}, {_of_best(slow, measured)} of what copies of that size reach "
        "here: in the contiguous layout torch pools pixel by pixel.",
        "See what the other layout gains",
        _gains(slow, lambda layer: layer.seconds - fastest(layer, measured)),
    )


def _unfilled(ran: Sequence[MeasuredLayer], measured: MeasuredProfile, lanes: int) -> Cause:
    def wasted(layer: MeasuredLayer) -> float:
        """The share of the vectors' lanes that the layer's channels leave empty."""
        return max(
            (1 - one.out_channels / (-(-one.out_channels // lanes) * lanes) for one in _convolutions(layer)),
            default=0.0,
        )

    odd = [layer for layer in ran if not _has(layer, lambda one: one.groups > 1) and wasted(layer) > 0]
    counts = sorted({one.out_channels for layer in odd for one in _convolutions(layer) if one.out_channels % lanes})
    listed = ", ".join(map(str, counts[:6])) + (", ..." if len(counts) > 6 else "")
    return Cause(
        "channels",
        f"Channels that are no multiple of {lanes}",
        f"{_count(odd)} with {listed} channels: this processor computes {lanes} at once, "
        "and of the last it uses a part.",
        f"Round the widths to multiples of {lanes}",
        _gains(odd, lambda layer: min(layer.seconds * wasted(layer), layer.seconds - fastest(layer, measured))),
    )


def _slow_products(ran: Sequence[MeasuredLayer], measured: MeasuredProfile) -> Cause:
    slow = [
        layer
        for layer in ran
        if layer.macs
        and _is_slow(layer, measured)
        and not _has(layer, lambda one: one.groups > 1)
        and not _is_tiny(layer)
    ]
    rate = 2 * sum(layer.macs for layer in slow) / max(1e-12, sum(layer.seconds for layer in slow))
    share = rate / measured.ceilings.gemm_flops[measured.precision]
    return Cause(
        "products",
        "Convolutions far below the rate of multiply-adds",
        f"{_count(slow, 'reaches', 'reach')} {100 * share:.0f} % of it. Few channels, small grids or one picture at a "
        "time leave the processor too little to do at once.",
        "See what the other layout, bf16 and a larger batch gain; a first layer of 3 channels stays slow",
        _gains(slow, lambda layer: layer.seconds - fastest(layer, measured)),
    )


def _tiny(ran: Sequence[MeasuredLayer], measured: MeasuredProfile) -> Cause:
    tiny = [layer for layer in ran if _is_tiny(layer) and fastest(layer, measured) < _TINY]
    return Cause(
        "overhead",
        "Python and many small layers",
        f"{1000 * measured.outside:.3g} ms pass outside of any layer, and {_count(tiny, 'has', 'have')} less than "
        f"{1e6 * _TINY:.0f} microseconds of work each: calling such a layer costs more than running it.",
        "torch.compile(model) or an exported model removes most calls; larger batches share them among pictures",
        _gains(tiny, lambda layer: layer.seconds - fastest(layer, measured)),
        beside=max(0.0, measured.outside),
    )


def _makes_products(kind: str) -> bool:
    return "convolution" in kind or kind.startswith("depthwise") or kind == "linear"


def _is_depthwise(layer: MeasuredLayer) -> bool:
    """Whether all that it computes are depthwise convolutions."""
    own = _convolutions(layer)
    return (
        bool(own) and all(one.is_depthwise for one in own) and sum(one.macs > 0 for one in layer.operations) == len(own)
    )


def _is_tiny(layer: MeasuredLayer) -> bool:
    return layer.seconds < 10 * _TINY


def _is_slow(layer: MeasuredLayer, measured: MeasuredProfile) -> bool:
    return fastest(layer, measured) < _SLOW * layer.seconds


def _convolutions(layer: MeasuredLayer) -> list[Convolution]:
    return [one.convolution for one in layer.operations if one.convolution is not None]


def _has(layer: MeasuredLayer, wanted: Callable[[Convolution], bool]) -> bool:
    return any(wanted(one) for one in _convolutions(layer))


def _gains(layers: Iterable[MeasuredLayer], gain: Callable[[MeasuredLayer], float]) -> tuple[LayerGain, ...]:
    gains = [LayerGain(layer.name, layer.call, layer.seconds, gain(layer)) for layer in layers]
    return tuple(sorted((one for one in gains if one.gain > 0), key=lambda one: -one.gain))


def _count(layers: Sequence[MeasuredLayer], does: str = "", do: str = "") -> str:
    """ "1 layer moves", "15 layers move"."""
    return f"{len(layers)} layer {does}".rstrip() if len(layers) == 1 else f"{len(layers)} layers {do}".rstrip()


def _rate(layers: Sequence[MeasuredLayer]) -> str:
    seconds = sum(layer.seconds for layer in layers)
    return f"{sum(layer.bytes for layer in layers) / max(seconds, 1e-12) / 1e9:.3g} GB/s"


def _of_best(layers: Sequence[MeasuredLayer], measured: MeasuredProfile) -> str:
    seconds = sum(layer.seconds for layer in layers)
    return f"{100 * sum(fastest(layer, measured) for layer in layers) / max(seconds, 1e-12):.2g} %"
