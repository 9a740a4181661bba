"""From outcomes to rows and claims."""

import statistics as stdlib_statistics
from collections.abc import Mapping, Sequence

import numpy as np

from separable.experiments.campaign import Campaign
from separable.experiments.chance import chance_levels
from separable.experiments.counts import published_counts, scaled_counts
from separable.experiments.outcomes import Outcome
from separable.experiments.results import ArmResult, ClaimResult, SeedResult
from separable.experiments.schema import MEASURES, Arm, Claim
from separable.experiments.statistics import mean_interval, overlap_scores
from separable.experiments.verdicts import Sample, judge, marked
from separable.experiments.wording import TIMED

__all__ = ["judged", "row_of"]

Rounds = Mapping[str, Sequence[float]]
"""By measure, what each round of a timing gave."""


def row_of(campaign: Campaign, arm: Arm, timing: Rounds) -> ArmResult:
    """An arm as far as it has been measured; `timing` is empty where that has not been done."""
    setup, base = campaign.setup, arm if arm.like is None else campaign.experiment.arm(arm.like)
    published, scaled = published_counts(arm), scaled_counts(setup, arm, len(campaign.source.class_names))
    seeds = tuple(_seed(campaign, arm, seed) for seed in campaign.seeds_of(arm))
    there = tuple(one for one in seeds if one is not None)
    values = _by_measure(there)
    trains = campaign.experiment.kind != "count"
    spread = {name: stdlib_statistics.stdev(numbers) for name, numbers in values.items() if len(numbers) > 1}
    intervals = {name: mean_interval(numbers) for name, numbers in values.items()}
    mean = {name: stdlib_statistics.fmean(numbers) for name, numbers in (values | dict(timing)).items() if numbers}
    return ArmResult(
        name=arm.name,
        model=arm.model,
        options=setup.options_of(arm),
        note=campaign.note_of(arm),
        parameters=scaled.parameters,
        macs=scaled.macs,
        image_size=scaled.side,
        published=dict(arm.published),
        published_parameters=None if published is None else published.parameters,
        published_macs=None if published is None else published.macs,
        published_image_size=None if published is None else published.side,
        learning_rate=campaign.factor(base) if trains else None,
        tuning=campaign.trials(base) if trains and arm.like is None else (),
        seeds=there,
        mean=mean | {"parameters": float(scaled.parameters), "macs": float(scaled.macs)},
        spread=spread,
        interval={name: interval for name, interval in intervals.items() if interval is not None},
        timing={name: tuple(numbers) for name, numbers in timing.items()},
        like=arm.like,
        crops=arm.crops,
        ensemble=arm.ensemble,
    )


def judged(campaign: Campaign, rows: Sequence[ArmResult]) -> tuple[ClaimResult, ...]:
    """Every claim; of trainings only where both arms have all their seeds.

    Those that do not survive Holm's correction say so; pairs of one's own networks are corrected by `compare`.
    """
    by_name = {row.name: row for row in rows}
    claims = tuple(_judged(campaign, claim, by_name) for claim in campaign.experiment.claims)
    return claims if "own" in campaign.experiment.setups else marked(claims)


def _judged(campaign: Campaign, claim: Claim, rows: Mapping[str, ArmResult]) -> ClaimResult:
    left, right = (rows[name].published.get(claim.measure) for name in (claim.left, claim.right))
    published = None if left is None or right is None else left - right
    sides = [rows[claim.left], rows[claim.right]]
    counted = not any(getattr(row, f"published_{claim.measure}", None) is None for row in sides)
    printed = published is not None and counted
    ours, theirs = (_sample(campaign, claim.measure, row, printed=printed) for row in sides)
    return judge(claim, ours, theirs, published)


def _sample(campaign: Campaign, measure: str, row: ArmResult, *, printed: bool) -> Sample:
    """Exact counts are the published networks' where the paper prints them, else those of what is trained here."""
    if MEASURES[measure].exact:
        return Sample(values={0: float(getattr(row, f"published_{measure}" if printed else measure))})
    if measure in TIMED:
        return Sample(values=dict(enumerate(row.timing.get(measure, ()))))
    arm = campaign.experiment.arm(row.name)
    if len(row.seeds) < len(campaign.seeds_of(arm)):
        return Sample()
    values = {one.seed: one.measures[measure] for one in row.seeds if measure in one.measures}
    failed = {one.seed: one.failed for one in row.seeds if one.failed is not None}
    pictures = {}
    for seed in values:
        cell = campaign.cell(arm, seed)
        outcome = None if cell is None else campaign.outcome(cell)
        scores = None if outcome is None else _picture_scores(measure, outcome)
        if scores is not None:
            pictures[seed] = scores
    chance = chance_levels(campaign.source).get(measure)
    return Sample(values, pictures, failed, ensemble=row.ensemble, chance=chance)


def _picture_scores(measure: str, outcome: Outcome) -> Sequence[float] | None:
    """Of each picture a number whose mean is the measure; None where there are none."""
    if measure in ("top1_error", "top5_error"):
        right = outcome.pictures.get(measure.removesuffix("_error"))
        return None if right is None else [1.0 - one for one in right]
    if measure in ("miou", "pixel_accuracy") and outcome.counts:
        inside, labelled, called = (np.array(outcome.counts[name]) for name in ("right", "labelled", "called"))
        around = labelled + called - inside
        if measure == "pixel_accuracy":
            inside, around = inside.sum(1, keepdims=True), labelled.sum(1, keepdims=True)
        scores: list[float] = overlap_scores(inside, around).tolist()
        return scores
    return outcome.pictures.get(measure)


def _seed(campaign: Campaign, arm: Arm, seed: int) -> SeedResult | None:
    cell = None if campaign.experiment.kind == "count" else campaign.cell(arm, seed)
    outcome = None if cell is None else campaign.outcome(cell)
    if cell is None or outcome is None:
        return None
    return SeedResult(seed, outcome.measures, outcome.curve, cell.key, outcome.seconds, outcome.failed)


def _by_measure(seeds: Sequence[SeedResult]) -> dict[str, list[float]]:
    names = dict.fromkeys(name for one in seeds for name in one.measures)
    return {name: [one.measures[name] for one in seeds if name in one.measures] for name in names}
