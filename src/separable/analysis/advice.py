"""Which layers of a network are slow here, why, and what could be gained: what `separable doctor MODEL` says.

Every gain is an upper bound, or the difference between two things that were run.
"""

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import Any

from separable.analysis.causes import LayerGain, fastest
from separable.analysis.roofline import MeasuredLayer, MeasuredProfile
from separable.machine.known_bad import KnownBad

__all__ = ["Advice", "NetworkDiagnosis", "gain_together"]


@dataclass(frozen=True)
class Advice:
    """One thing that could be done. Seconds of `gain` are at most, or `measured`: the alternative was run."""

    key: str
    title: str
    why: str
    fix: str
    gain: float
    measured: bool
    layers: tuple[LayerGain, ...] = ()
    counts: bool = True
    """Whether it is part of the sum; a larger batch is another workload."""

    def to_json(self) -> dict[str, Any]:
        """Plain values; times in milliseconds."""
        layers = [
            {
                "name": one.name,
                "call": one.call,
                "milliseconds": 1000 * one.seconds,
                "gain_milliseconds": 1000 * one.gain,
            }
            for one in self.layers
        ]
        plain = {key: value for key, value in asdict(self).items() if key not in ("gain", "layers")}
        return {**plain, "gain_milliseconds": 1000 * self.gain, "layers": layers}


@dataclass(frozen=True)
class NetworkDiagnosis:
    """`measured` is the network as it is, its memory kept between runs; `advice` with the largest gain first."""

    measured: MeasuredProfile
    seconds: float
    """Of the network as it was found, before the allocator was told to keep freed memory."""
    advice: tuple[Advice, ...]
    possible: float
    """Seconds that all advice together could gain at most, each layer counted once."""
    warnings: tuple[tuple[str, KnownBad], ...]
    """Layers that are known to fail with these versions, by name."""
    runs: tuple[tuple[str, float], ...] = ()
    """What was run in turns, and the seconds that it took for as many pictures as `measured`."""

    def reasons(self, layer: MeasuredLayer) -> list[str]:
        """Keys of the advice that is about this layer, the largest gain first."""
        found = [
            (one.gain, advice.key)
            for advice in self.advice
            for one in advice.layers
            if (one.name, one.call) == (layer.name, layer.call)
        ]
        return [key for _, key in sorted(found, reverse=True)]

    def slowest(self, most: int = 12) -> list[MeasuredLayer]:
        """The layers furthest above the time they would need at best."""
        ran = [layer for layer in self.measured.layers if layer.seconds > 0]
        return sorted(ran, key=lambda layer: fastest(layer, self.measured) - layer.seconds)[:most]

    def to_json(self) -> dict[str, Any]:
        """Plain dicts, lists and numbers; times in milliseconds."""
        return {
            "input_shape": list(self.measured.profile.input_shape),
            "milliseconds": 1000 * self.seconds,
            "possible_milliseconds": 1000 * self.possible,
            "measured": self.measured.to_json(),
            "runs": [{"what": what, "milliseconds": 1000 * seconds} for what, seconds in self.runs],
            "advice": [advice.to_json() for advice in self.advice],
            "warnings": [{"layer": name, **asdict(bad)} for name, bad in self.warnings],
            "slowest": [
                {"name": layer.name, **layer.to_json(), "reasons": self.reasons(layer)} for layer in self.slowest()
            ],
        }


def gain_together(advice: Sequence[Advice]) -> float:
    """Seconds: every call of a layer under the advice that gains most there, and what is gained outside of layers."""
    best: dict[tuple[str, int], float] = {}
    beside = 0.0
    for one in advice:
        if not one.counts:
            continue
        for layer in one.layers:
            place = (layer.name, layer.call)
            best[place] = max(best.get(place, 0.0), layer.gain)
        if not one.measured or not one.layers:
            beside += one.gain - sum(layer.gain for layer in one.layers)
    return sum(best.values()) + beside
