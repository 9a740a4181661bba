"""What a profile page is about, and the sums that its sections share."""

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any

from separable.analysis.principles import BrokenPrinciple
from separable.analysis.profile import Profile
from separable.analysis.roofline import MeasuredLayer, MeasuredProfile
from separable.analysis.stages import stages_of

__all__ = ["COSTS", "Part", "Subject"]

COSTS: tuple[tuple[str, Callable[[MeasuredLayer], float]], ...] = (
    ("parameters", lambda layer: layer.parameters),
    ("multiply-adds", lambda layer: layer.macs),
    ("activations", lambda layer: layer.activations),
    ("bytes moved", lambda layer: layer.bytes),
)
"""What is counted of each layer, whether it is measured or not."""


@dataclass(frozen=True)
class Part:
    """Layers that belong together; `layers` is empty for what no layer does."""

    label: str
    layers: tuple[MeasuredLayer, ...]
    seconds: float


@dataclass(frozen=True)
class Subject:
    """A network's profile with everything that the page says about it."""

    name: str
    profile: Profile
    layers: tuple[MeasuredLayer, ...]
    measured: MeasuredProfile | None = None
    findings: tuple[BrokenPrinciple, ...] = ()
    findings_missing: str = ""
    """Why the design principles could not be looked at, where that is so."""
    environment: dict[str, Any] = field(default_factory=dict)
    """`describe_environment`'s."""

    @cached_property
    def stages(self) -> list[str]:
        """For each layer the part of the network it belongs to."""
        weights = [layer.seconds if self.measured else float(layer.bytes + layer.macs) for layer in self.layers]
        known = [weight if math.isfinite(weight) else 0.0 for weight in weights]
        return stages_of([one.name for one in self.layers], [one.output_shape for one in self.layers], known)

    @cached_property
    def by_stage(self) -> list[Part]:
        """In the order of the network, and last what is outside of layers."""
        return [*_parts(self.layers, self.stages), *self._outside()]

    @cached_property
    def by_kind(self) -> list[Part]:
        """The most expensive first, and last what is outside of layers."""
        parts = _parts(self.layers, [layer.kind for layer in self.layers])
        key = (lambda part: part.seconds) if self.measured else (lambda part: float(sum(x.bytes for x in part.layers)))
        return [*sorted(parts, key=key, reverse=True), *self._outside()]

    @property
    def pictures(self) -> int:
        """In the batch."""
        return self.profile.input_shape[0]

    @property
    def size(self) -> str:
        """ "299x299"."""
        return "\N{MULTIPLICATION SIGN}".join(map(str, self.profile.input_shape[2:]))

    def _outside(self) -> list[Part]:
        return [Part("outside of layers", (), self.measured.outside)] if self.measured else []


def _parts(layers: Sequence[MeasuredLayer], labels: Sequence[str]) -> list[Part]:
    grouped: dict[str, list[MeasuredLayer]] = {}
    for layer, label in zip(layers, labels, strict=True):
        grouped.setdefault(label, []).append(layer)
    return [
        Part(label, tuple(own), sum(one.seconds for one in own if math.isfinite(one.seconds)))
        for label, own in grouped.items()
    ]
