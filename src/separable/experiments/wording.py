"""Measures, differences and scales as a reader wants them, the same in every rendering."""

import math
from collections.abc import Sequence

from separable.experiments.results import Result
from separable.experiments.schema import MEASURES, Measure

__all__ = [
    "DASH",
    "TIMED",
    "difference_text",
    "interval_text",
    "is_published_setting",
    "measure_of",
    "scale_text",
    "seen_text",
    "setting_text",
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
    "paper": "paper scale",
    "own": "networks and pictures of your own",
}


_IMAGENET = {"classes": (1000,), "train": (1_281_167,), "held_out": (50_000, 48_238)}
"""ImageNet as it is distributed, and without the pictures that are on the blacklist of its validation set."""


def scale_text(scale: str) -> str:
    """A scale where nothing is known of the pictures."""
    return _SCALES.get(scale, f"{scale} scale: not the published setting")


def setting_text(result: Result) -> str:
    """What stands in the title, over every table and below every plot.

    A result is of "the published setting" where the paper's network and recipe saw ImageNet, all of it and nothing
    else, and the experiment has published figures; whatever else is run at that scale is called what it is.
    """
    if result.scale != "paper":
        return scale_text(result.scale)
    seeds = len(result.setup.get("seeds", ()))
    one = ", one seed" if seeds == 1 else ""
    printed = any(arm.published for arm in result.arms)
    if printed and is_published_setting(result):
        return f"the published setting{one}"
    count = result.data.get("classes")
    classes = "" if not count else ", 1 class" if count == 1 else f", {int(count):,} classes"
    pictures = "ImageNet" if _is_imagenet(result) else result.data.get("what") or "pictures of another kind"
    unknown = "" if printed else ", of which nobody published figures"
    return f"the paper's network and recipe on {pictures}{classes}{one}{unknown}"


def is_published_setting(result: Result) -> bool:
    """Whether figures printed and measured may be set against each other."""
    return result.scale == "paper" and _is_imagenet(result) and any(arm.published for arm in result.arms)


def _is_imagenet(result: Result) -> bool:
    return all(result.data.get(name) in counts for name, counts in _IMAGENET.items())


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
    """(0.008, 0.034) of "top1" as "+0.8 to +3.4"; shares differ by no more than all of it."""
    if interval is None:
        return ""
    measure = measure_of(name)
    ends = [max(-1.0, min(1.0, end)) for end in interval] if measure.unit == "%" else interval
    return " to ".join(_signed(measure, end) for end in ends)


def seen_text(name: str, smallest: float) -> str:
    """What could have been seen, in four of five repetitions: no share is larger than all."""
    if measure_of(name).unit == "%" and smallest >= 1:
        return "the seeds are too far apart for any difference to be seen in four of five repetitions"
    return f"a difference of {size_text(name, smallest)} would have been seen in four of five repetitions"


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
