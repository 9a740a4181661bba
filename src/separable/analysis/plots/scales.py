"""From values to pixels: round ticks, linear scales, and what may be drawn at all."""

import math
from collections.abc import Iterable
from dataclasses import dataclass
from itertools import pairwise

__all__ = ["LogScale", "Scale", "drawable", "format_tick", "nice_ticks", "padded_domain"]

_LARGEST = 1e100
"""Beyond this nothing is drawn: differences and squares of such values would overflow."""


@dataclass(frozen=True)
class Scale:
    """A linear map of `domain` onto `pixels`; either may run backwards, the domain may not be a point."""

    domain: tuple[float, float]
    pixels: tuple[float, float]

    def __call__(self, value: float) -> float:
        (low, high), (start, end) = self.domain, self.pixels
        return start + (value - low) / (high - low) * (end - start)


def drawable(value: float) -> bool:
    """Whether a value has a place on a linear axis."""
    return math.isfinite(value) and abs(value) <= _LARGEST


def nice_ticks(low: float, high: float, count: int = 5, *, whole: bool = False) -> list[float]:
    """About `count` round values covering low..high: multiples of 1, 2 or 5 times a power of ten.

    The first tick is at or below `low`, the last at or above `high`. `whole` keeps the step at 1 or more.
    Bounds that cannot be drawn give the ticks of 0..1; a single value gets room on both sides.
    """
    low, high = padded_domain(low, high)
    rough = (high - low) / max(1, count)
    power = 10.0 ** math.floor(math.log10(rough))
    step = next(power * factor for factor in (1, 2, 5, 10) if power * factor >= rough * (1 - 1e-9))
    if whole:
        step = max(1.0, step)
    first, last = math.floor(low / step + 1e-9), math.ceil(high / step - 1e-9)
    # Division by the reciprocal is exact for 0.1 and its kin: 3 / 10 is 0.3 where 3 * 0.1 is not.
    reciprocal = round(1 / step) if step < 1 else 0
    return [index / reciprocal if reciprocal else index * step for index in range(first, last + 1)]


def padded_domain(low: float, high: float) -> tuple[float, float]:
    """low..high in order, finite, and never a point (nor so narrow that floats cannot tell its ends apart)."""
    if not (drawable(low) and drawable(high)):
        return 0.0, 1.0
    low, high = min(low, high), max(low, high)
    least = max(abs(low), abs(high)) * 1e-9
    if high - low > max(least, 1e-100):
        return low, high
    room = max(abs(low), abs(high)) * 0.5
    room = room if room > 1e-100 else 0.5
    return low - room, high + room


def format_tick(value: float, ticks: Iterable[float]) -> str:
    """`value` with just the decimals that the spacing of `ticks` needs."""
    ordered = sorted(ticks)
    step = min((b - a for a, b in pairwise(ordered)), default=abs(value) or 1.0)
    largest = max((abs(t) for t in ordered), default=abs(value))
    if largest >= 1e6 or step < 1e-5:
        digits = max(0, math.ceil(math.log10(max(largest, 1e-300) / step) - 1e-9))
        return f"{value:.{digits}e}".replace("e+0", "e").replace("e-0", "e-").replace("e+", "e") if value else "0"
    decimals = max(0, math.ceil(-math.log10(step) - 1e-9))
    text = f"{value:.{decimals}f}"
    return "0" if float(text) == 0 else text.replace("-", "\N{MINUS SIGN}")


@dataclass(frozen=True)
class LogScale:
    """A logarithmic map of `domain`, both ends above zero, onto `pixels`."""

    domain: tuple[float, float]
    pixels: tuple[float, float]

    def __call__(self, value: float) -> float:
        low, high, here = (math.log(side) for side in (*self.domain, value))
        start, end = self.pixels
        return start + (here - low) / (high - low) * (end - start)

    @property
    def decades(self) -> list[float]:
        """The powers of ten inside the domain."""
        low, high = (math.log10(side) for side in self.domain)
        return [10.0**power for power in range(math.ceil(low - 1e-9), math.floor(high + 1e-9) + 1)]
