"""Measured milliseconds of each layer beside the time that this machine would need for it at best.

A layer has to do its multiply-adds and to move its bytes; the slower of the two at the rates of `machine.ceilings` is
its limit (Williams, Waterman and Patterson, "Roofline", CACM 2009, doi:10.1145/1498765.1498785).
"""

import math
from dataclasses import dataclass, replace
from typing import Any, Literal

from separable.analysis.counting import Counted
from separable.analysis.kinds import Operation, layer_kind
from separable.analysis.profile import Profile
from separable.analysis.text_table import text_table
from separable.machine.ceilings import Ceilings

__all__ = ["MeasuredLayer", "MeasuredProfile", "layer_of", "limit_of"]

_DISTURBED = 1.15

Bound = Literal["compute", "memory", "nothing"]


@dataclass(frozen=True)
class MeasuredLayer:
    """A row of the profile and its times, in seconds."""

    name: str
    call: int
    kind: str
    """In words: "depthwise 3x3", "batch norm"."""
    output_shape: tuple[int, ...]
    parameters: int
    macs: int
    activations: int
    bytes: int
    seconds: float
    """What the layer took itself; NaN for one that an evaluation never runs."""
    limit: float
    """The longer of its two best times: multiply-adds at the rate of a matrix product, bytes at that of a copy."""
    bound: Bound
    """Which of the two it is."""
    operations: tuple[Operation, ...] = ()

    @property
    def share(self) -> float:
        """Of its limit: 1 is as fast as a copy in main memory or a matrix product; above 1 its data lay in a cache."""
        return self.limit / self.seconds if self.seconds > 0 else float("nan")

    def to_json(self) -> dict[str, Any]:
        """What a row of the profile does not have; times in milliseconds."""
        return {
            "call": self.call,
            "what": self.kind,
            "milliseconds": 1000 * self.seconds,
            "limit_milliseconds": 1000 * self.limit,
            "bound": self.bound,
            "share": self.share,
        }


@dataclass(frozen=True)
class MeasuredProfile:
    """What a network costs and how long that takes here, for `batch` pictures at once; times in seconds."""

    profile: Profile
    layers: tuple[MeasuredLayer, ...]
    whole: float
    """Of the network as a user runs it."""
    watched: float
    """All modules' own times together, taken with a stopwatch at every one: `layers`, and what is outside of them."""
    runs: int
    precision: str
    channels_last: bool
    ceilings: Ceilings

    @property
    def inside(self) -> float:
        """What the layers take together."""
        return sum(layer.seconds for layer in self.layers if layer.seconds == layer.seconds)

    @property
    def outside(self) -> float:
        """What containers take that do no work of their own: Python, freeing memory, looking at the clock."""
        return self.watched - self.inside

    @property
    def disturbed(self) -> bool:
        """Whether whole runs took so much longer than their parts that something else must have used the machine."""
        return self.whole > _DISTURBED * self.watched

    @property
    def limit(self) -> float:
        """What the layers would take together if each reached its own limit."""
        return sum(layer.limit for layer in self.layers)

    def under(self, ceilings: Ceilings) -> "MeasuredProfile":
        """The same times beside the limits that other ceilings give."""
        layers = []
        for layer in self.layers:
            limit, bound = limit_of(layer.macs, layer.bytes, ceilings, self.precision)
            layers.append(replace(layer, limit=limit, bound=bound))
        return replace(self, layers=tuple(layers), ceilings=ceilings)

    def to_text(self) -> str:
        """A table of fixed-width columns, what is outside of layers and the totals last."""
        header = ("layer", "what", "output", "MACs", "bytes", "ms", "limit ms", "set by", "reached")
        rows = [
            (
                layer.name,
                layer.kind,
                "x".join(map(str, layer.output_shape)) or "not run",
                f"{layer.macs:,}",
                f"{layer.bytes:,}",
                *_figures(layer.seconds, layer.limit),
                "" if layer.bound == "nothing" else layer.bound,
                _percent(layer.share),
            )
            for layer in self.layers
        ]
        outside = ("outside of layers", "", "", "", "", *_figures(self.outside, 0.0), "", "")
        whole = (f"{self.profile.macs:,}", f"{self.profile.bytes:,}", *_figures(self.watched, self.limit))
        return text_table([header, *rows, outside, ("total", "", "", *whole, "", _percent(self.limit / self.watched))])

    def to_json(self) -> dict[str, Any]:
        """Plain dicts, lists and numbers; times in milliseconds."""
        return {
            "precision": self.precision,
            "channels_last": self.channels_last,
            "runs": self.runs,
            "milliseconds": 1000 * self.whole,
            "watched_milliseconds": 1000 * self.watched,
            "disturbed": self.disturbed,
            "layers_milliseconds": 1000 * self.inside,
            "outside_milliseconds": 1000 * self.outside,
            "limit_milliseconds": 1000 * self.limit,
            "ceilings": self.ceilings.to_json(),
        }


def limit_of(macs: int, size: int, ceilings: Ceilings, precision: str) -> tuple[float, Bound]:
    """Seconds of `macs` multiply-adds (two operations each) or of moving `size` bytes, whichever are more."""
    compute = 2 * macs / ceilings.gemm_flops[precision]
    memory = size / ceilings.copy_bytes_per_second
    if compute == memory == 0:
        return 0.0, "nothing"
    return (compute, "compute") if compute > memory else (memory, "memory")


def layer_of(row: Counted, seconds: float, limit: float, bound: Bound) -> MeasuredLayer:
    """A counted row with its times."""
    layer = row.layer
    return MeasuredLayer(
        name=layer.name,
        call=row.call,
        kind=layer_kind(row.operations),
        output_shape=layer.output_shape,
        parameters=layer.parameters,
        macs=layer.macs,
        activations=layer.activations,
        bytes=layer.bytes,
        seconds=seconds,
        limit=limit,
        bound=bound,
        operations=row.operations,
    )


def _figures(seconds: float, limit: float) -> tuple[str, str]:
    return (f"{1000 * seconds:.3f}" if math.isfinite(seconds) else "", f"{1000 * limit:.3f}" if limit else "")


def _percent(share: float) -> str:
    return f"{100 * share:.0f}%" if math.isfinite(share) else ""
