"""Networks of equal cost: the width at which one has so many parameters, multiply-adds, or milliseconds."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, Literal

import torch

from separable.analysis.profile import profile
from separable.analysis.timing import time_in_turns
from separable.errors import UsageError
from separable.models import ImageModel, build_model
from separable.models.options import check_choice, check_positive

__all__ = ["COSTS", "Cost", "Matched", "Seconds", "solve_width"]

Cost = Literal["parameters", "macs", "milliseconds"]
COSTS: tuple[Cost, ...] = ("parameters", "macs", "milliseconds")

Seconds = Callable[[ImageModel, torch.Tensor], float]
"""How long a network takes for these pictures."""

_STEP = 10_000
"""Widths are tried to four places: 4096 channels, the most there are, change at every 0.0002."""
_LARGEST = 32.0
_STRAY = 0.01
"""Widths whose times are not told apart: twice this share of a width is about a share of 0.04 in time."""


@dataclass(frozen=True)
class Matched:
    """What `solve_width` found. Channels are whole, and of most networks multiples of 8: few targets are met exactly.

    `off` is the share by which `got` is more than the target, or with a minus less.
    """

    width: float
    got: float
    off: float


def solve_width(
    name: str,
    options: Mapping[str, Any],
    size: int,
    *,
    measure: Cost = "parameters",
    target: float,
    num_classes: int = 1000,
    tolerance: float = 0.1,
    device: str = "cpu",
    seconds: Seconds | None = None,
    start: float = 1.0,
) -> Matched:
    """The `width` of the network `name` whose cost is nearest to `target`.

    Costs grow with the width, so it is halved in on. Parameters and multiply-adds are counted on the meta device, to
    the last one. Milliseconds are measured, one network at a time, as the median of its runs on one picture: leave the
    machine alone meanwhile, and expect a few per cent of noise.

    Args:
        options: of `build_model`, all but `width`.
        size: side of the pictures.
        measure: "parameters" (trainable ones, auxiliary heads included), "macs" or "milliseconds" of one picture.
        target: in the same unit.
        tolerance: the largest `off`, of either sign, to be content with.
        device: where milliseconds are measured.
        seconds: in place of that measurement.
        start: the width that is tried first: a guess saves building networks that are much wider.

    Raises:
        UsageError: an argument that cannot be right, or no width comes near `target`.
        ModelOptionError: an option that the network lacks, or a value it cannot have.
        InputSizeError: pictures too small for the network.
    """
    check_choice("measure", measure, COSTS)
    for text, number in (("target", target), ("tolerance", tolerance), ("start", start)):
        check_positive(text, number)
    if "width" in options:
        raise UsageError(
            "The width is what is solved for", got=f"width={options['width']!r} among the options", fix="Leave it out"
        )
    costs = _Costs(name, dict(options), size, num_classes, measure, device, seconds or _median_seconds)
    below, above = _enclose(costs, target, max(1, round(start * _STEP)))
    stray = _STRAY if measure == "milliseconds" else 0.0
    while above - below > max(1.0, stray * above):
        middle = (below + above) // 2
        below, above = (middle, above) if costs(middle) < target else (below, middle)
    place = min(costs.known, key=lambda place: (abs(costs(place) - target), place))
    got = costs(place)
    matched = Matched(place / _STEP, got, got / target - 1)
    if abs(matched.off) > tolerance:
        raise _too_far(name, matched, measure, target, tolerance, costs)
    return matched


class _Costs:
    """The cost at a width, given in steps; each is worked out once."""

    def __init__(
        self,
        name: str,
        options: dict[str, Any],
        size: int,
        num_classes: int,
        measure: Cost,
        device: str,
        seconds: Seconds,
    ) -> None:
        self.name, self.options, self.size, self.num_classes = name, options, size, num_classes
        self.measure, self.device, self.seconds = measure, device, seconds
        self.known: dict[int, float] = {}

    def __call__(self, place: int) -> float:
        if place not in self.known:
            self.known[place] = self._work_out(place / _STEP)
        return self.known[place]

    def _work_out(self, width: float) -> float:
        timed = self.measure == "milliseconds"
        with torch.device(self.device if timed else "meta"):
            model = build_model(self.name, self.num_classes, **self.options, width=width)
        if self.measure == "parameters":
            return sum(parameter.numel() for parameter in model.parameters() if parameter.requires_grad)
        shape = (1, self.options.get("in_channels", 3), self.size, self.size)
        if timed:
            return 1000 * self.seconds(model, torch.rand(shape, device=self.device))
        return profile(model, shape).macs


def _enclose(costs: _Costs, target: float, start: int) -> tuple[int, int]:
    """Two widths with the target between them; both the same where it lies beyond them all."""
    below = above = start
    while costs(above) < target:
        if above >= _LARGEST * _STEP:
            return above, above
        below, above = above, above * 2
    while costs(below) > target:
        if below == 1:
            return below, below
        below, above = max(1, below // 2), below
    return below, above


def _too_far(name: str, matched: Matched, measure: Cost, target: float, tolerance: float, costs: _Costs) -> UsageError:
    unit = {"parameters": "parameters", "macs": "multiply-adds", "milliseconds": "ms"}[measure]
    lowest, highest = min(costs.known.values()), max(costs.known.values())
    what = f"No width of {name} comes near {target:,.6g} {unit}"
    if matched.got == lowest and target < lowest:
        what = f"{name} has more than {target:,.6g} {unit} at any width"
    elif matched.got == highest and target > highest:
        what = f"{name} has fewer than {target:,.6g} {unit} up to a width of {matched.width:g}"
    return UsageError(
        what,
        got=f"{matched.got:,.6g} at width {matched.width:g}, {100 * matched.off:+.1f} %",
        expected=f"within {100 * tolerance:g} %",
        fix="Choose another target, other options, or a larger tolerance",
    )


def _median_seconds(model: ImageModel, x: torch.Tensor) -> float:
    return time_in_turns([(model, x)], budget=1.0)[0]
