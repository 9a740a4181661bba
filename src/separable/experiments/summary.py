"""From what every training left to the figures of a table: means, intervals, verdicts, and the power stated before."""

from collections.abc import Mapping, Sequence
from dataclasses import replace

import numpy as np

from separable.experiments.outcomes import Outcome
from separable.experiments.power import power
from separable.experiments.results import ArmResult, ClaimResult, Power, Result
from separable.experiments.schema import MEASURES, Claim, Experiment
from separable.experiments.statistics import mean_interval, overlap_scores
from separable.experiments.verdicts import TIMED, Sample, judge

__all__ = ["sample_of", "stated_power", "summarise", "trained_measures"]

_SAME = 1e-4
"""How near the mean of the pictures' scores has to be to a measure to be its parts: fp32 sums in another order are."""
_ERRORS = {"top1_error": "top1", "top5_error": "top5"}


Outcomes = Mapping[str, Mapping[int, Outcome]]
"""By arm, by seed."""


def trained_measures(measures: Sequence[str]) -> list[str]:
    """Those that need trainings, in the order given."""
    return [one for one in measures if one not in TIMED and not (one in MEASURES and MEASURES[one].exact)]


def stated_power(experiment: Experiment, *, seeds: int, held_out: int, previous: Result | None = None) -> Power | None:
    """What the experiment can see in its first trained measure; None where nothing is trained or can be said.

    `previous`: of the same experiment at the same scale, if there is one.
    """
    named = trained_measures([*(claim.measure for claim in experiment.claims), *experiment.measures])
    if experiment.kind == "count" or not named:
        return None
    return power(seeds=seeds, held_out=held_out, measure=named[0], earlier=previous)


def summarise(experiment: Experiment, result: Result, outcomes: Outcomes) -> Result:
    """The result with the means, spreads and intervals of its arms, and its claims judged, as far as it was run.

    Args:
        result: its arms have their seeds, counts and timings.
        outcomes: by arm and seed; an ensemble's stands under any one seed.

    Claims on counts are about the published networks, which counting costs nothing, where a scale trains smaller ones.
    """
    arms = tuple(_filled(arm) for arm in result.arms)
    filled = replace(result, arms=arms)
    claims = tuple(_judged(claim, filled, outcomes) for claim in experiment.claims)
    return replace(filled, claims=claims)


def _filled(arm: ArmResult) -> ArmResult:
    mean: dict[str, float] = {}
    spread: dict[str, float] = {}
    interval: dict[str, tuple[float, float]] = {}
    for measure in dict.fromkeys(name for seed in arm.seeds for name in seed.measures):
        values = [seed.measures[measure] for seed in arm.seeds if measure in seed.measures]
        mean[measure] = sum(values) / len(values)
        around = mean_interval(values)
        if around is not None:
            spread[measure], interval[measure] = float(np.std(values, ddof=1)), around
    counts = {"parameters": arm.parameters, "macs": arm.macs}
    mean |= {name: float(count) for name, count in counts.items() if count is not None}
    mean |= {name: sum(values) / len(values) for name, values in arm.timing.items() if values}
    return replace(arm, mean=mean, spread=spread, interval=interval)


def _judged(claim: Claim, result: Result, outcomes: Outcomes) -> ClaimResult:
    left, right = result.arm(claim.left), result.arm(claim.right)
    if claim.measure in MEASURES and MEASURES[claim.measure].exact:
        return _counted(claim, left, right)
    elif claim.measure in TIMED:
        samples = [Sample(dict(enumerate(arm.timing.get(claim.measure, ())))) for arm in (left, right)]
    else:
        samples = [sample_of(claim.measure, outcomes.get(arm.name, {}), arm.ensemble) for arm in (left, right)]
    return judge(claim, samples[0], samples[1], _published(claim, left, right))


def _counted(claim: Claim, left: ArmResult, right: ArmResult) -> ClaimResult:
    """Of the published networks, or where one has none of the trained ones."""
    field = f"published_{claim.measure}"
    counts = [getattr(arm, field, None) for arm in (left, right)]
    trained = None in counts
    if trained:
        counts = [arm.mean.get(claim.measure) for arm in (left, right)]
    samples = [Sample({} if count is None else {0: float(count)}) for count in counts]
    found = judge(claim, samples[0], samples[1], _published(claim, left, right))
    return found if trained else replace(found, sentence=f"{found.sentence}, of the published networks")


def _published(claim: Claim, left: ArmResult, right: ArmResult) -> float | None:
    printed = [arm.published.get(claim.measure) for arm in (left, right)]
    return printed[0] - printed[1] if printed[0] is not None and printed[1] is not None else None


def sample_of(measure: str, outcomes: Mapping[int, Outcome], ensemble: bool = False) -> Sample:
    """Values by seed, and the pictures' scores where they are the measure's parts."""
    values = {seed: one.measures[measure] for seed, one in outcomes.items() if measure in one.measures}
    failed = {seed: one.failed for seed, one in outcomes.items() if one.failed}
    pictures = {seed: _scores(measure, outcomes[seed]) for seed in values}
    whole = {seed: scores for seed, scores in pictures.items() if scores is not None}
    return Sample(values, whole, failed, ensemble)


def _scores(measure: str, outcome: Outcome) -> list[float] | None:
    """A score a picture whose mean is the measure; None where there are none, or their mean is something else."""
    if measure in ("miou", "pixel_accuracy") and outcome.counts:
        right, labelled, called = (
            np.asarray(outcome.counts[name], np.float64) for name in ("right", "labelled", "called")
        )
        if measure == "miou":
            scores = overlap_scores(right, labelled + called - right)
        else:
            scores = overlap_scores(right.sum(1, keepdims=True), labelled.sum(1, keepdims=True))
    else:
        found = np.asarray(outcome.pictures.get(_ERRORS.get(measure, measure), ()), np.float64)
        scores = 1 - found if measure in _ERRORS else found
    value = outcome.measures[measure]
    if len(scores) < 2 or not abs(float(scores.mean()) - value) <= _SAME * max(1.0, abs(value)):
        return None
    return [float(one) for one in scores]
