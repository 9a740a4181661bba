"""Measures, differences and scales as a reader wants them, the same in every rendering."""

import math
from collections.abc import Sequence

from separable.experiments.schema import MEASURES, Measure

__all__ = [
    "DASH",
    "TIMED",
    "difference_text",
    "interval_text",
    "measure_of",
    "scale_text",
    "size_text",
    "sure_text",
    "trained_measures",
    "value_text",
]

DASH = "-"
"""What is not there."""

TIMED = ("steps_per_second", "milliseconds", "memory")
"""Measures that are taken in rounds, which have nothing to do with seeds."""

_SCALES = {
    "smoke": "smoke scale: seconds of training, not the published setting",
    "laptop": "laptop scale: not the published setting",
    "gpu": "GPU scale: not the published setting",
    "paper": "the published setting",
    "own": "networks and pictures of your own",
}


def scale_text(scale: str) -> str:
    """What stands in the title, over every table and below every plot."""
    return _SCALES.get(scale, f"{scale} scale: not the published setting")


def measure_of(name: str) -> Measure:
    """The column of that name; one unknown to this version is shown by its name."""
    return MEASURES.get(name, Measure(name, "", digits=3))


def trained_measures(measures: Sequence[str]) -> list[str]:
    """Those that need trainings, in the order given."""
    return [one for one in measures if one not in TIMED and not measure_of(one).exact]


def value_text(name: str, value: float | None, *, unit: bool = False) -> str:
    """0.79 of "top1" as "79.0" or, with `unit`, "79.0 %"; counts as they are; a dash for what is not there."""
    measure = measure_of(name)
    if value is None or not math.isfinite(value):
        return DASH
    text = f"{_scaled(measure, value):,.{measure.digits}f}"
    return f"{text} {measure.unit}" if unit and measure.unit else text


def difference_text(name: str, value: float | None) -> str:
    """0.021 of "top1" as "+2.1 points", 3.4 of "milliseconds" as "+3.40 ms"."""
    measure = measure_of(name)
    if value is None or not math.isfinite(value):
        return DASH
    return f"{_signed(measure, value)} {_unit_of_differences(name)}".rstrip()


def interval_text(name: str, interval: tuple[float, float] | None) -> str:
    """(0.008, 0.034) of "top1" as "+0.8 to +3.4"."""
    if interval is None:
        return ""
    measure = measure_of(name)
    return " to ".join(_signed(measure, end) for end in interval)


def size_text(name: str, value: float) -> str:
    """0.016 of "top1" as "1.6 points": a difference without its sign."""
    measure = measure_of(name)
    return f"{_digits(measure, value)} {_unit_of_differences(name)}".rstrip()


def sure_text(confidence: float) -> str:
    """0.996 as "99.6 % sure"; never 100."""
    if confidence >= 0.9995:
        return "more than 99.9 % sure"
    return f"{100 * confidence:.1f} % sure"


def _signed(measure: Measure, value: float) -> str:
    text = _digits(measure, value)
    zero = not any(mark in "123456789" for mark in text)
    return text if zero else f"{'+' if value > 0 else '-'}{text}"


def _digits(measure: Measure, value: float) -> str:
    return f"{abs(_scaled(measure, value)):,.{measure.digits}f}"


def _scaled(measure: Measure, value: float) -> float:
    return 100 * value if measure.unit == "%" else value


def _unit_of_differences(name: str) -> str:
    measure = measure_of(name)
    if measure.exact:
        return measure.text
    return "points" if measure.unit == "%" else measure.unit
