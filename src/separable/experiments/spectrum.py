"""What a run of the spectrum found, and how sure it is: from its `Result` alone.

The arms are recognised by their option `segments`; one segment a channel counts as that many as the widest middle layer
has channels.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass

from separable.analysis.distributions import student_t_cdf
from separable.analysis.plots import ScatterPoint, pareto_front
from separable.experiments.results import ArmResult, Result
from separable.experiments.statistics import Difference, compare_seeds
from separable.experiments.wording import difference_text, interval_text, measure_of, value_text

__all__ = ["COSTS", "Trend", "findings", "front", "segments_of", "trend"]

COSTS = ("parameters", "macs", "milliseconds", "memory")
"""What accuracy is set against."""

_MIDDLE = 728  # channels of the middle flow at width 1
_SETS = {
    "spectrum": {"": "equal parameters", "equal multiply-adds": "equal multiply-adds"},
    "spectrum/milliseconds": {"": "equal milliseconds"},
}
"""By experiment and ending of the arms' names, what is equal."""


@dataclass(frozen=True)
class Trend:
    """How a measure moves with each doubling of k, over the arms of one set: `change` is paired by seed.

    `p_value` is two-sided, of no trend at all; NaN of fewer than two seeds.
    """

    change: Difference
    p_value: float
    arms: int


def segments_of(arm: ArmResult) -> float:
    """Segments of the arm's middle layers: at most as many as these have channels."""
    channels = max(8, round(_MIDDLE * arm.options.get("width", 1.0) / 8) * 8)
    segments = arm.options.get("segments")
    return float(channels if segments is None else min(segments, channels))


def front(result: Result, cost: str) -> tuple[str, ...]:
    """Names of the arms that none beats in both, the first measure and `cost`, by rising cost."""
    measure = result.measures[0]
    points = [
        ScatterPoint(arm.name, arm.mean[cost], arm.mean[measure])
        for arm in result.arms
        if cost in arm.mean and measure in arm.mean
    ]
    higher = measure_of(measure).better != "lower"
    return tuple(point.label for point in pareto_front(points, higher=higher))


def trend(arms: Sequence[ArmResult], measure: str) -> Trend | None:
    """The slope of `measure` over log2 k, one for each seed that all arms have; None of fewer than three arms or none.

    Student's test over the slopes of the seeds, which are drawn anew with each.
    """
    values = [{one.seed: one.measures[measure] for one in arm.seeds if measure in one.measures} for arm in arms]
    seeds = sorted(set.intersection(*map(set, values))) if values else []
    if len(arms) < 3 or not seeds:
        return None
    doublings = [math.log2(segments_of(arm)) for arm in arms]
    slopes = [_slope(doublings, [column[seed] for column in values]) for seed in seeds]
    change = compare_seeds(slopes, [0.0] * len(slopes))
    known = change.error > 0 and math.isfinite(change.error)
    p_value = 2 * student_t_cdf(-abs(change.mean) / change.error, change.degrees) if known else math.nan
    return Trend(change, p_value, len(arms))


def findings(result: Result) -> tuple[str, ...]:
    """What was found, in sentences: the trend over k, the best k against both ends, who is on the fronts.

    Nothing, where the result is of something else or nothing was trained.
    """
    measure = result.measures[0] if result.measures else ""
    trained = [arm for arm in result.arms if measure in arm.mean]
    if result.experiment not in _SETS or len(trained) < 3:
        return ()
    sentences = []
    for ending, condition in _SETS[result.experiment].items():
        members = _members(trained, ending)
        if len(members) >= 3:
            sentences += [_trend_sentence(members, measure, condition), *_end_sentences(members, measure, condition)]
    for cost in COSTS:
        names = front(result, cost)
        if names:
            sentences.append(f"By {measure_of(measure).text} and {measure_of(cost).text}, nothing beats {_and(names)}.")
    return tuple(sentences)


def _members(arms: Sequence[ArmResult], ending: str) -> list[ArmResult]:
    """Those of a set, and the one of all segments, which belongs to each; by rising k."""
    chosen = [arm for arm in arms if "segments" not in arm.options or arm.name.partition(", ")[2] == ending]
    return sorted(chosen, key=segments_of)


def _trend_sentence(arms: Sequence[ArmResult], measure: str, condition: str) -> str:
    found = trend(arms, measure)
    name = measure_of(measure).text
    if found is None:
        return f"At {condition} no seed has all of the arms: there is no trend to speak of yet."
    change = difference_text(measure, found.change.mean)
    if math.isnan(found.p_value):
        return f"At {condition} each doubling of k changes {name} by {change}; one seed cannot say how surely."
    within = interval_text(measure, (found.change.low, found.change.high))
    sure = "a trend" if found.p_value < 0.05 else "no trend that these seeds can tell from chance"
    return (
        f"At {condition} each doubling of k changes {name} by {change} (95 %: {within}; p = {found.p_value:.2g} over "
        f"{found.change.seeds} seeds): {sure}."
    )


def _end_sentences(arms: Sequence[ArmResult], measure: str, condition: str) -> list[str]:
    """The best arm against the ends of the spectrum. It was chosen by the same numbers, which flatters it."""
    sign = -1 if measure_of(measure).better == "lower" else 1
    best = max(arms, key=lambda arm: sign * arm.mean[measure])
    value = value_text(measure, best.mean[measure], unit=True)
    if best in (arms[0], arms[-1]):
        other = arms[-1] if best is arms[0] else arms[0]
        sentence = f"Best at {condition} is an end of the spectrum, {best.name}, with {value}"
        return [f"{sentence}; {_against(best, other, measure)}."]
    ends = " and ".join(_against(best, end, measure) for end in (arms[0], arms[-1]))
    return [
        f"Best at {condition} is {best.name} with {value}: {ends}. It is the best of {len(arms)} by the very numbers "
        "that are compared here, so these differences are a little flattering."
    ]


def _against(best: ArmResult, end: ArmResult, measure: str) -> str:
    pairs = [
        (one.measures[measure], other.measures[measure])
        for one in best.seeds
        for other in end.seeds
        if one.seed == other.seed and measure in one.measures and measure in other.measures
    ]
    text = difference_text(measure, best.mean[measure] - end.mean[measure])
    if len(pairs) > 1:
        difference = compare_seeds([pair[0] for pair in pairs], [pair[1] for pair in pairs])
        if math.isfinite(difference.low):
            text += f" (95 %: {interval_text(measure, (difference.low, difference.high))})"
    return f"{text} against {end.name}"


def _slope(places: Sequence[float], values: Sequence[float]) -> float:
    """Of the least-squares line."""
    middle = sum(places) / len(places)
    above = sum((place - middle) * value for place, value in zip(places, values, strict=True))
    return above / sum((place - middle) ** 2 for place in places)


def _and(names: Sequence[str]) -> str:
    return names[0] if len(names) == 1 else f"{', '.join(names[:-1])} and {names[-1]}"
