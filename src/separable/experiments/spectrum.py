"""What a run of the spectrum found, and how sure it is: from its `Result` alone.

The arms are recognised by their option `segments`; one segment a channel counts as that many as the widest middle layer
has channels.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from separable.analysis.distributions import student_t_cdf
from separable.analysis.plots import ScatterPoint, pareto_front
from separable.experiments.layouts import Layout, layout_of, on_front
from separable.experiments.results import ArmResult, Result
from separable.experiments.statistics import Difference, compare_seeds, holm
from separable.experiments.wording import difference_text, interval_text, measure_of, value_text

__all__ = ["COSTS", "Trend", "findings", "front", "segments_of", "trend"]

COSTS = ("parameters", "macs", "milliseconds", "memory")
"""What accuracy is set against."""

_MIDDLE = 728  # channels of the middle flow at width 1
_DRAWS = 4000
_BRACKETS = (
    "Brackets say how often an arm would be on a front, were all means drawn again from what seeds spread by; costs "
    "are taken as they are."
)


@dataclass(frozen=True)
class _Condition:
    """A set of arms: the ending of their names, what is equal in words, and which cost that is."""

    ending: str
    text: str
    equal: str


_SETS = {
    "spectrum": (
        _Condition("", "equal parameters", "parameters"),
        _Condition("equal multiply-adds", "equal multiply-adds", "macs"),
    ),
    "spectrum/milliseconds": (_Condition("", "equal milliseconds", "milliseconds"),),
}


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


def front(arms: Sequence[ArmResult], measure: str, cost: str) -> tuple[str, ...]:
    """Names of the arms that none beats in both, `measure` and `cost`, by rising cost."""
    points = [
        ScatterPoint(arm.name, arm.mean[cost], arm.mean[measure])
        for arm in arms
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

    Everything is said of a set of arms, among which one cost was held equal: over that there is no front. Where there
    are several sets, the p-values of their trends are Holm's. Nothing, where the result is of something else or nothing
    was trained.
    """
    measure = result.measures[0] if result.measures else ""
    trained = [arm for arm in result.arms if measure in arm.mean]
    if result.experiment not in _SETS or len(trained) < 3:
        return ()
    sets = [(one, _members(trained, one.ending)) for one in _SETS[result.experiment]]
    sets = [(one, members) for one, members in sets if len(members) >= 3]
    trends = [trend(members, measure) for _, members in sets]
    tested = [found.p_value for found in trends if found is not None and not math.isnan(found.p_value)]
    corrected = iter(holm(tested))
    sentences = []
    for (condition, members), found in zip(sets, trends, strict=True):
        p_value = next(corrected) if found is not None and not math.isnan(found.p_value) else math.nan
        sentences += [_trend_sentence(found, p_value, len(tested), measure, condition.text)]
        layout = layout_of(members, measure)
        sentences += [_end_sentence(members, layout, measure, condition.text)]
        for cost in COSTS:
            if cost != condition.equal and (names := front(members, measure, cost)):
                sentences.append(_front_sentence(names, members, layout, (measure, cost), condition.text))
    bracketed = any("nothing beats" in one and "(" in one for one in sentences)
    return (*sentences, *((_BRACKETS,) if bracketed else ()))


def _members(arms: Sequence[ArmResult], ending: str) -> list[ArmResult]:
    """Those of a set, and the one of all segments, which belongs to each; by rising k."""
    chosen = [arm for arm in arms if "segments" not in arm.options or arm.name.partition(", ")[2] == ending]
    return sorted(chosen, key=segments_of)


def _trend_sentence(found: Trend | None, p_value: float, tests: int, measure: str, condition: str) -> str:
    name = measure_of(measure).text
    if found is None:
        return f"At {condition} no seed has all of the arms: there is no trend to speak of yet."
    change = difference_text(measure, found.change.mean)
    if math.isnan(p_value):
        return f"At {condition} each doubling of k changes {name} by {change}; one seed cannot say how surely."
    within = interval_text(measure, (found.change.low, found.change.high))
    sure = "a trend" if p_value < 0.05 else "no trend that these seeds can tell from chance"
    by_holm = f", after Holm's correction for {tests} trends" if tests > 1 else ""
    return (
        f"At {condition} each doubling of k changes {name} by {change} (95 %: {within}; p = {p_value:.2g} over "
        f"{found.change.seeds} seeds{by_holm}): {sure}."
    )


def _end_sentence(arms: Sequence[ArmResult], layout: Layout | None, measure: str, condition: str) -> str:
    """The best arm against the ends of the spectrum. It was chosen by the same numbers, so that every arm might have
    been: the intervals hold for all of them at once."""
    sign = -1 if measure_of(measure).better == "lower" else 1
    best = max(range(len(arms)), key=lambda place: sign * arms[place].mean[measure])
    last = len(arms) - 1
    value = f"{_short(arms[best].name)} with {value_text(measure, arms[best].mean[measure], unit=True)}"
    ends = [end for end in (0, last) if end != best]
    against = " and ".join(_against(arms, layout, best, end, measure) for end in ends)
    end_is_best = "an end of the spectrum, " if best in (0, last) else ""
    sentence = f"Best at {condition} is {end_is_best}{value}: {against}."
    if layout is None:
        return f"{sentence} How surely, these seeds cannot say."
    return (
        f"{sentence} It is the best of {len(arms)} by these very numbers; the intervals hold for every arm against "
        "both ends at once (Bonferroni), over seeds, on these held-out pictures."
    )


def _against(arms: Sequence[ArmResult], layout: Layout | None, best: int, end: int, measure: str) -> str:
    difference = arms[best].mean[measure] - arms[end].mean[measure]
    text = difference_text(measure, difference)
    if layout is not None:
        half = layout.reach(2 * len(arms) - 3)
        text += f" (95 %: {interval_text(measure, (difference - half, difference + half))})"
    return f"{text} against {_short(arms[end].name)}"


def _front_sentence(
    names: Sequence[str], arms: Sequence[ArmResult], layout: Layout | None, axes: tuple[str, str], condition: str
) -> str:
    """With how often each would be on it, were the seeds others."""
    measure, cost = axes
    head = f"At {condition}, by {measure_of(measure).text} and {measure_of(cost).text}, nothing beats"
    if layout is None:
        return f"{head} {_and([_short(name) for name in names])}."
    places = [place for place, arm in enumerate(arms) if cost in arm.mean]
    sign = -1.0 if measure_of(measure).better == "lower" else 1.0
    values = sign * layout.draws(_DRAWS)[:, places]
    costs = np.array([arms[place].mean[cost] for place in places])
    shares = dict(zip((arms[place].name for place in places), on_front(values, costs), strict=True))
    said = [f"{_short(name)} ({100 * shares[name]:.0f} %)" for name in names]
    others = [
        f"{_short(name)} ({100 * share:.0f} %)" for name, share in shares.items() if name not in names and share > 0.05
    ]
    also = f"; of the others {_and(others)} might be there" if others else ""
    return f"{head} {_and(said)}{also}."


def _short(name: str) -> str:
    """Without what the sentence has said of all of them."""
    return name.partition(", ")[0]


def _slope(places: Sequence[float], values: Sequence[float]) -> float:
    """Of the least-squares line."""
    middle = sum(places) / len(places)
    above = sum((place - middle) * value for place, value in zip(places, values, strict=True))
    return above / sum((place - middle) ** 2 for place in places)


def _and(names: Sequence[str]) -> str:
    return names[0] if len(names) == 1 else f"{', '.join(names[:-1])} and {names[-1]}"
