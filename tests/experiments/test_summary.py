"""From outcomes to a result's figures: which scores are paired, what is counted, what is missing."""

from collections.abc import Sequence
from typing import Any

import numpy as np
import pytest
from scipy import stats

from separable.experiments.outcomes import Outcome
from separable.experiments.results import ArmResult, Result, SeedResult
from separable.experiments.schema import Arm, Claim, Experiment
from separable.experiments.statistics import compare_paired
from separable.experiments.summary import sample_of, stated_power, summarise, trained_measures


def outcome(seed: int, share: float) -> Outcome:
    right = (np.random.default_rng(seed).random(200) < share).astype(float)
    five = np.maximum(right, np.random.default_rng(seed + 50).random(200) < 0.5)
    measures = {"top1": right.mean(), "top1_error": 1 - right.mean(), "top5_error": 1 - five.mean(), "loss": 0.3}
    return Outcome({k: float(v) for k, v in measures.items()}, {"top1": tuple(right), "top5": tuple(five)})


def arm(name: str, outcomes: Sequence[Outcome], **more: Any) -> ArmResult:
    seeds = tuple(SeedResult(seed, one.measures, failed=one.failed) for seed, one in enumerate(outcomes))
    fields = {"parameters": 1000, "macs": 50_000, "published": {}, "published_parameters": None, "published_macs": None}
    return ArmResult(name, "xception", {}, "", image_size=32, seeds=seeds, **(fields | more))


def experiment(*claims: Claim, kind: Any = "train", measures: tuple[str, ...] = ("top1",)) -> Experiment:
    arms = (Arm("a", "xception"), Arm("b", "inception_v3"))
    return Experiment("x/t", "t", "s", "says", arms, measures, {}, claims, kind)


def result(*arms: ArmResult) -> Result:
    return Result(
        *("x/t", "laptop", "t", "s", "s", "", "classify", "train", ("top1",), "c", "2026-01-01", {}, {}, {}, {}, arms)
    )


def numbered(**outcomes: Sequence[Outcome]) -> dict[str, dict[int, Outcome]]:
    return {name: dict(enumerate(one)) for name, one in outcomes.items()}


GOOD, BAD = [[outcome(seed, share) for seed in range(3)] for share in (0.9, 0.6)]


def test_arms_are_filled() -> None:
    timing = {"milliseconds": (2.0, 3.0)}
    found = summarise(experiment(), result(arm("a", GOOD, timing=timing), arm("b", BAD[:1])), {}).arm("a")
    values = [one.measures["top1"] for one in GOOD]
    interval = stats.ttest_1samp(values, 0).confidence_interval(0.95)
    assert found.mean["top1"] == pytest.approx(np.mean(values))
    assert found.spread["top1"] == pytest.approx(np.std(values, ddof=1))
    assert found.interval["top1"] == pytest.approx((interval.low, interval.high))
    assert (found.mean["parameters"], found.mean["macs"], found.mean["milliseconds"]) == (1000, 50_000, 2.5)
    alone = summarise(experiment(), result(arm("b", BAD[:1])), {}).arm("b")
    assert (alone.spread, alone.interval) == ({}, {})
    assert alone.mean["top1"] == BAD[0].measures["top1"]


@pytest.mark.parametrize(("measure", "source", "sign"), [("top1", "top1", 1), ("top1_error", "top1", -1)])
def test_claims_are_paired_by_picture(measure: str, source: str, sign: int) -> None:
    claim = Claim("better", measure, "a", "above" if sign > 0 else "below", "b")
    published = [{measure: 0.5 + sign * 0.2}, {measure: 0.5}]
    arms = [arm("a", GOOD, published=published[0]), arm("b", BAD, published=published[1])]
    found = summarise(experiment(claim), result(*arms), numbered(a=GOOD, b=BAD)).claims[0]
    rows = [[one.pictures[source] for one in side] for side in (GOOD, BAD)]
    expected = compare_paired(*rows)
    assert found.ours == pytest.approx(sign * expected.mean)
    assert found.interval == pytest.approx(sorted((sign * expected.low, sign * expected.high)))
    assert found.published == pytest.approx(sign * 0.2)
    assert found.verdict == "holds"


def test_scores_that_are_not_the_parts_of_a_measure_are_not_paired() -> None:
    """A list whose mean is something else, as of a measure weighted by class."""
    stranger = Outcome({"weighted_map100": 0.5}, {"weighted_map100": (0.1, 0.2)})
    assert sample_of("weighted_map100", {0: stranger}).pictures == {}
    unlabelled = Outcome({"map100": 0.5}, {"map100": (0.5, float("nan"))})
    assert sample_of("map100", {0: unlabelled}).pictures == {}
    assert sample_of("loss", {0: GOOD[0]}).pictures == {}
    assert sample_of("loss", {0: GOOD[0]}).values == {0: 0.3}


def test_masks_are_paired_by_picture() -> None:
    rng = np.random.default_rng(0)
    labelled = rng.integers(10, 40, (20, 3))
    right = rng.integers(0, 10, (20, 3))
    called = right + rng.integers(0, 10, (20, 3))
    overlap = right.sum(0) / (labelled + called - right).sum(0)
    measures = {"miou": float(overlap.mean()), "pixel_accuracy": float(right.sum() / labelled.sum())}
    counts = {"right": right, "labelled": labelled, "called": called}
    one = Outcome(
        measures, {"pixel_accuracy": (0.1,) * 20}, {name: tuple(map(tuple, rows)) for name, rows in counts.items()}
    )
    for measure, value in measures.items():
        scores = sample_of(measure, {4: one}).pictures[4]
        assert len(scores) == 20
        assert np.mean(scores) == pytest.approx(value)


def test_counts_are_the_published_networks() -> None:
    claim = Claim("smaller", "parameters", "a", "below", "b")
    a = arm("a", [], published_parameters=22_855_952, parameters=9)
    b = arm("b", [], published_parameters=23_626_728, parameters=8)
    found = summarise(experiment(claim), result(a, b), {}).claims[0]
    assert found.sentence == "exactly so: 22,855,952 against 23,626,728 parameters, of the published networks"
    narrow = summarise(experiment(claim), result(a, arm("b", [], parameters=8)), {}).claims[0]
    assert narrow.sentence == "not so: 9 against 8 parameters"


def test_timings_have_their_rounds() -> None:
    claim = Claim("faster", "milliseconds", "a", "below", "b")
    rounds = [{"milliseconds": (2.0, 2.1, 2.2)}, {"milliseconds": (3.0, 3.1)}]
    arms = [arm(name, [], timing=timing) for name, timing in zip("ab", rounds, strict=True)]
    found = summarise(experiment(claim), result(*arms), {}).claims[0]
    expected = stats.ttest_ind(*(one["milliseconds"] for one in rounds), equal_var=False).confidence_interval(0.95)
    assert found.interval == pytest.approx((expected.low, expected.high))
    assert found.verdict == "holds"


def test_an_unfinished_run_measured_nothing() -> None:
    claims = (Claim("better", "top1", "a", "above", "b"), Claim("faster", "milliseconds", "a", "below", "b"))
    found = summarise(experiment(*claims), result(arm("a", GOOD), arm("b", [])), numbered(a=GOOD))
    assert [claim.verdict for claim in found.claims] == ["not measured", "not measured"]
    diverged = [Outcome(failed="The loss became NaN.") for _ in range(2)]
    found = summarise(experiment(claims[0]), result(arm("a", GOOD), arm("b", diverged)), numbered(a=GOOD, b=diverged))
    assert found.claims[0].sentence == "not measured here: b failed with seeds 0, 1 (The loss became NaN)"
    assert found.arm("b").mean == {"parameters": 1000, "macs": 50_000}


def test_power_is_stated_for_what_is_trained() -> None:
    assert trained_measures(["parameters", "milliseconds", "top1", "loss"]) == ["top1", "loss"]
    claims = (Claim("smaller", "parameters", "a", "below", "b"), Claim("better", "top5", "a", "above", "b"))
    plan = stated_power(experiment(*claims), seeds=3, held_out=400)
    assert plan is not None
    assert plan.measure == "top5"
    assert stated_power(experiment(*claims, kind="count"), seeds=3, held_out=400) is None
    assert stated_power(experiment(measures=("parameters",)), seeds=3, held_out=400) is None
