"""Claims judged: what each verdict needs, what is said, and the power stated before and after."""

from dataclasses import replace

import numpy as np
import pytest
from scipy import stats

from separable.experiments.power import SPREAD, power, power_text, smallest_difference
from separable.experiments.results import ArmResult, Result, SeedResult
from separable.experiments.schema import Claim
from separable.experiments.statistics import compare_paired, compare_seeds
from separable.experiments.verdicts import Sample, judge, marked
from tests.tolerances import SMALLEST_DIFFERENCE

CLAIM = Claim("Xception is better", "top1", "Xception", "above", "Inception V3")


def sample(share: float, *, seeds: int = 3, key: int = 0, spread: float = 0.0, pictures: int = 500) -> Sample:
    """Networks that mostly agree on which pictures are hard."""
    hard = np.random.default_rng(99).random(pictures)
    rng = np.random.default_rng(key)
    rows = {
        seed: (hard + 0.05 * rng.standard_normal(pictures) < share + spread * rng.standard_normal()).astype(float)
        for seed in range(seeds)
    }
    return Sample({seed: float(row.mean()) for seed, row in rows.items()}, {s: list(row) for s, row in rows.items()})


def test_holds_and_the_other_way_round() -> None:
    good, bad = sample(0.85, key=1), sample(0.75, key=2)
    found = judge(CLAIM, good, bad, published=0.008)
    assert found.verdict == "holds"
    assert found.ours == pytest.approx(good.mean - bad.mean)  # type: ignore[operator]
    assert found.interval is not None
    assert found.sentence == (
        f"holds here: +{100 * found.ours:.1f} points (+{100 * found.interval[0]:.1f} to "
        f"+{100 * found.interval[1]:.1f}), more than 99.9 % sure"
    )
    assert found.published == 0.008
    turned = judge(CLAIM, bad, good)
    assert turned.verdict == "reversed"
    assert turned.sentence.startswith("the other way round here: -")
    assert turned.sentence.endswith("more than 99.9 % sure")
    assert turned.confidence == pytest.approx(1 - found.confidence, abs=1e-9)  # type: ignore[operator]
    assert judge(replace(CLAIM, relation="below"), bad, good).verdict == "holds"
    assert judge(replace(CLAIM, relation="below"), good, bad).verdict == "reversed"


def test_not_seen_says_what_would_have_been() -> None:
    first, second = sample(0.81, key=1, spread=0.03), sample(0.8, key=2, spread=0.03)
    found = judge(CLAIM, first, second)
    assert found.verdict == "not seen"
    difference = compare_paired(list(first.pictures.values()), list(second.pictures.values()))
    least = smallest_difference(difference.error, difference.degrees)
    assert found.sentence.endswith(
        f"; a difference of {100 * least:.1f} points would have been seen in four of five repetitions"
    )
    assert found.smallest == pytest.approx(least)
    assert found.sentence.startswith("not seen here: ")
    assert 0 < found.confidence < 1  # type: ignore[operator]


@pytest.mark.parametrize(
    ("relation", "margin", "verdict"),
    [("above", 0.02, "holds"), ("above", 0.2, "not seen"), ("same", 0.3, "holds"), ("same", 0.02, "reversed")],
)
def test_margins(relation: str, margin: float, verdict: str) -> None:
    """A difference of about ten points: more than two, less than twenty, and far from the same."""
    claim = replace(CLAIM, relation=relation, margin=margin)  # type: ignore[arg-type]
    found = judge(claim, sample(0.85, key=1), sample(0.75, key=2))
    assert found.verdict == verdict
    assert found.confidence is not None
    assert (found.confidence > 0.97) == (verdict == "holds")
    if relation == "same" and verdict == "reversed":
        assert found.sentence.startswith("not the same here: +10")
        assert found.sentence.endswith("more than 99.9 % sure")


@pytest.mark.parametrize("relation", ["above", "below"])
def test_zero_inside_decides_nothing(relation: str) -> None:
    """An interval that is longer on one side of zero than on the other."""
    claim = replace(CLAIM, measure="loss", relation=relation)  # type: ignore[arg-type]
    for sign in (1, -1):
        found = judge(
            claim, Sample({0: 0.5 + 0.03 * sign, 1: 0.5, 2: 0.5 + 0.01 * sign}), Sample(dict.fromkeys(range(3), 0.5))
        )
        assert found.interval is not None
        assert found.interval[0] < 0 < found.interval[1]
        assert found.verdict == "not seen"


def test_same_without_a_decision() -> None:
    left, right = sample(0.81, key=1, spread=0.03), sample(0.8, key=2, spread=0.03)
    found = judge(replace(CLAIM, relation="same", margin=0.01), left, right)
    assert found.verdict == "not seen"
    assert found.sentence.endswith("neither within 1.0 points nor beyond for sure")


def test_one_seed_decides_nothing() -> None:
    found = judge(CLAIM, sample(0.9, seeds=1, key=1), sample(0.5, seeds=1, key=2))
    assert found.verdict == "not seen"
    assert found.confidence is None
    assert found.interval is not None
    assert found.sentence.endswith("between two networks; one seed each says nothing about others")


def test_an_arm_that_diverged() -> None:
    dead = Sample(failed={0: "The loss became NaN at step 12.", 2: "The loss became NaN at step 9."})
    found = judge(CLAIM, dead, sample(0.8))
    assert found.verdict == "not measured"
    assert found.ours is None
    assert found.sentence == ("not measured here: Xception failed with seeds 0, 2 (The loss became NaN at step 12)")
    assert judge(CLAIM, sample(0.8), Sample()).sentence == "not measured here"


def test_a_seed_that_diverged_is_said() -> None:
    left = sample(0.9, key=1)
    right = sample(0.7, key=2)
    left = Sample({s: v for s, v in left.values.items() if s != 1}, left.pictures, {1: "It diverged."})
    found = judge(CLAIM, left, right)
    assert found.verdict == "holds"
    assert found.sentence.endswith("; 1 of 3 trainings of Xception failed and are left out")
    kept = [0, 2]
    expected = np.mean([left.values[s] - right.values[s] for s in kept])
    assert found.ours == pytest.approx(expected)
    strangers = judge(CLAIM, Sample({0: 0.5}), Sample({1: 0.5}))
    assert strangers.verdict == "not measured"
    assert strangers.sentence == "not measured here: the arms have no seed in common"


def test_without_pictures_the_seeds_are_compared() -> None:
    claim = replace(CLAIM, measure="loss", relation="below")
    left, right = Sample({0: 0.5, 1: 0.52, 2: 0.49}), Sample({0: 0.8, 1: 0.85, 2: 0.82})
    found = judge(claim, left, right)
    interval = stats.ttest_rel([0.5, 0.52, 0.49], [0.8, 0.85, 0.82]).confidence_interval(0.95)
    assert found.interval == pytest.approx((interval.low, interval.high))
    assert found.sentence.startswith("holds here: -0.320 (-0.")
    identical = judge(claim, left, left)
    assert identical.verdict == "not seen"
    assert identical.interval is None
    assert "the same to the last digit every time" in identical.sentence


def test_pictures_of_different_sets_are_not_paired() -> None:
    short = sample(0.8, pictures=300)
    found = judge(CLAIM, short, sample(0.7))
    seeds = stats.ttest_rel(list(short.values.values()), list(sample(0.7).values.values())).confidence_interval(0.95)
    assert found.interval == pytest.approx((seeds.low, seeds.high))


def test_scores_that_are_not_the_parts_of_a_measure_are_not_paired() -> None:
    """A list whose mean is something else, as of a measure weighted by class, or with a picture that has none."""
    claim = replace(CLAIM, measure="weighted_map100")
    left, right = sample(0.9, key=1), sample(0.7, key=2)
    for wrong in (0.5, float("nan")):
        pictures = {seed: [wrong, *scores[1:]] for seed, scores in left.pictures.items()}
        found = judge(claim, replace(left, pictures=pictures), right)
        by_seed = compare_seeds(list(left.values.values()), list(right.values.values()))
        assert found.interval == pytest.approx((by_seed.low, by_seed.high))


def test_exact_counts() -> None:
    claim = Claim("smaller", "parameters", "Xception", "below", "Inception V3")
    found = judge(claim, Sample({0: 22_855_952}), Sample({0: 23_626_728}), published=-770_776)
    assert (found.verdict, found.confidence, found.ours) == ("exact", 1.0, -770_776)
    assert found.sentence == "exactly so: 22,855,952 against 23,626,728 parameters"
    turned = judge(replace(claim, relation="above"), Sample({0: 1}), Sample({0: 2}))
    assert (turned.verdict, turned.confidence) == ("reversed", 0.0)
    assert turned.sentence == "not so: 1 against 2 parameters"
    assert judge(replace(claim, relation="same"), Sample({0: 7}), Sample({0: 7})).verdict == "exact"


def test_timings_are_paired_by_round() -> None:
    """The arms take turns: what slows a round down slows both."""
    claim = Claim("slower", "steps_per_second", "Xception", "below", "Inception V3")
    slow, fast = [28.0, 24.1, 27.9, 20.2], [28.4, 24.4, 28.5, 20.5]
    found = judge(claim, Sample(dict(enumerate(slow))), Sample(dict(enumerate(fast))))
    interval = stats.ttest_rel(slow, fast).confidence_interval(0.95)
    assert found.interval == pytest.approx((interval.low, interval.high))
    assert found.verdict == "holds"
    assert "over 4 rounds of one process)" in found.sentence
    assert stats.ttest_ind(slow, fast, equal_var=False).pvalue > 0.5, "unpaired it would not have been seen"


def test_rounds_that_nothing_pairs() -> None:
    claim = Claim("slower", "steps_per_second", "Xception", "below", "Inception V3")
    left, right = {0: 28.0, 1: 28.5, 2: 27.9, 3: 28.2}, {0: 31.0, 1: 30.8}
    found = judge(claim, Sample(left), Sample(right))
    interval = stats.ttest_ind(list(left.values()), list(right.values()), equal_var=False).confidence_interval(0.95)
    assert found.interval == pytest.approx((interval.low, interval.high))
    assert found.verdict == "holds"
    once = judge(claim, Sample({0: 28.0}), Sample({0: 31.0}))
    assert once.verdict == "not seen"
    assert once.sentence == ("not decided here: -3.00 1/s; one measurement each, so how sure that is cannot be said")


def test_an_ensemble_is_one_draw() -> None:
    """Set against the networks' mean picture by picture, whatever their number; and that is said."""
    single, together = sample(0.75, key=2), replace(sample(0.85, seeds=1, key=1), ensemble=True)
    found = judge(CLAIM, together, single)
    differences = np.asarray(together.pictures[0]) - np.mean(list(single.pictures.values()), 0)
    interval = stats.ttest_1samp(differences, 0.0).confidence_interval(0.95)
    assert found.interval == pytest.approx((interval.low, interval.high))
    assert found.verdict == "holds"
    assert found.sentence.endswith("; of this one ensemble and these networks, other seeds are not judged")
    assert judge(CLAIM, single, together).verdict == "reversed"
    alone = judge(CLAIM, replace(together, pictures={}), single)
    assert (alone.verdict, alone.interval) == ("not seen", None)


def test_ensembles_that_are_no_better_seldom_seem_so() -> None:
    """Where the ensemble is right as often as its networks over all pictures, 5 % of 400 verdicts are wrong, give or
    take three deviations (3.3 %)."""
    rng, wrong = np.random.default_rng(5), 0
    for _ in range(400):
        share = rng.beta(4, 1, 300)
        rows = (rng.random((4, 300)) < share).astype(float)
        singles = Sample({s: float(rows[s].mean()) for s in range(3)}, {s: list(rows[s]) for s in range(3)})
        together = Sample({0: float(rows[3].mean())}, {0: list(rows[3])}, ensemble=True)
        wrong += judge(CLAIM, together, singles).verdict in ("holds", "reversed")
    assert wrong / 400 < 0.083


@pytest.mark.parametrize("degrees", [2.0, 7.3, 200.0])
def test_smallest_difference(degrees: float) -> None:
    """SciPy's noncentral t says that it is found in 80 of 100 cases."""
    shift = smallest_difference(0.5, degrees) / 0.5
    limit = stats.t.ppf(0.975, degrees)
    seen = stats.nct.sf(limit, degrees, shift) + stats.nct.cdf(-limit, degrees, shift)
    assert seen == pytest.approx(0.8, abs=SMALLEST_DIFFERENCE)


def test_stated_power_is_what_simulation_gives() -> None:
    """Normal seeds and lasting picture effects as the plan assumes them, a true difference as it states: found in 80 %
    of 500 repetitions, give or take three deviations (0.054) and what Satterthwaite's degrees, planned but not known,
    take away.
    """
    seeds, pictures = 5, 400
    plan = power(seeds=seeds, held_out=pictures)
    assert plan is not None
    rng, seen = np.random.default_rng(3), 0
    # Spreads of the plan: by seed 2 * SPREAD^2, by picture half of 0.8 * 0.2.
    for _ in range(500):
        difference = plan.smallest_difference + np.sqrt(2) * SPREAD * rng.standard_normal((seeds, 1))
        difference = difference + np.sqrt(0.08) * rng.standard_normal(pictures) + np.zeros((seeds, pictures))
        found = compare_paired(difference, np.zeros_like(difference))
        seen += found.low > 0
    assert 0.73 < seen / 500 < 0.86


def earlier(spread: float, mean: float) -> Result:
    arm = ArmResult("a", "xception", {}, "", None, None, None, {}, None, None)
    arms = tuple(
        replace(arm, spread={"top1": one}, mean={"top1": mean}, seeds=(SeedResult(0, cell=f"{spread}-{place}"),))
        for place, one in enumerate((spread, spread, 0.0))
    )
    data, setup = {"fingerprint": "ab12"}, {"recipe": "small", "epochs": 8, "seeds": [0, 1, 2]}
    return Result(
        *("x/t", "laptop", "t", "s", "s", "", "classify", "train", ("top1",), "c", "2026-01-01", {}, {}),
        *(data, setup, arms),
    )


def test_planned_power() -> None:
    plan = power(seeds=3, held_out=500)
    assert plan is not None
    assert (plan.spread, plan.seeds, plan.held_out, plan.measure) == (SPREAD, 3, 500, "top1")
    more = power(seeds=10, held_out=500)
    larger = power(seeds=10, held_out=50_000)
    assert more is not None
    assert larger is not None
    assert more.smallest_difference < plan.smallest_difference
    assert larger.smallest_difference < more.smallest_difference
    endless = power(seeds=3, held_out=10**9)
    assert endless is not None
    by_hand = smallest_difference(SPREAD * np.sqrt(2 / 3), 2.0)
    assert endless.smallest_difference == pytest.approx(by_hand, rel=1e-3), "two arms' seeds alone"
    before = earlier(0.002, 0.98)
    known = power(seeds=3, held_out=500, earlier=before, like=(before.data, before.setup))
    assert known is not None
    assert known.spread == pytest.approx(0.002)
    assert known.smallest_difference < plan.smallest_difference
    assert known.spread_source == "pooled over 2 arms of an earlier result on the same pictures"
    for data, setup in (({"fingerprint": "other"}, before.setup), (before.data, {**before.setup, "epochs": 9})):
        other = power(seeds=3, held_out=500, earlier=[before], like=(data, setup))
        assert other == plan, "spreads on other pictures or of another recipe say nothing"
    assert power(seeds=3, held_out=500, earlier=before) == plan
    both = [before, replace(earlier(0.004, 0.9), experiment="x/u")]
    pooled = power(seeds=3, held_out=500, earlier=both, like=(before.data, {**before.setup, "seeds": [0, 1]}))
    assert pooled is not None
    assert pooled.spread == pytest.approx(np.sqrt((0.002**2 + 0.004**2) / 2))
    assert power_text(plan, seeds=3) == (
        f"With 3 seeds and 500 held-out pictures, a difference in top-1 of {100 * plan.smallest_difference:.1f} points "
        "is seen in four of five repetitions (two-sided 5 %), if seeds spread by 1.0 points (assumed, there is no "
        "earlier result)."
    )


def test_nothing_can_be_planned() -> None:
    assert power(seeds=1, held_out=500) is None
    assert power(seeds=3, held_out=500, measure="loss") is None
    assert power_text(None, seeds=1).startswith("One seed an arm: nothing can be said")
    assert power_text(None, seeds=3).startswith("Nothing can be said")


def test_verdicts_that_do_not_survive_holm_say_so() -> None:
    good, bad = sample(0.85, key=1), sample(0.75, key=2)
    sure = judge(CLAIM, good, bad)
    weak = replace(sure, p_value=0.03, sentence="holds here")
    unseen = replace(sure, p_value=0.4, verdict="not seen")
    counted = replace(sure, p_value=None, verdict="exact")
    found = marked([sure, weak, unseen, counted, weak])
    assert found[0] == sure
    assert found[1].sentence == "holds here; by itself: not after Holm's correction for the 4 claims tested here"
    assert found[1].verdict == "holds"
    assert found[2:4] == (unseen, counted)
    assert marked([weak]) == (weak,)


@pytest.mark.parametrize(("relation", "margin"), [("above", 0.0), ("above", 0.02), ("below", 0.0), ("same", 0.05)])
def test_p_values_agree_with_verdicts(relation: str, margin: float) -> None:
    claim = replace(CLAIM, relation=relation, margin=margin)  # type: ignore[arg-type]
    verdicts = set()
    for share in (0.6, 0.68, 0.7, 0.72, 0.75, 0.78, 0.8, 0.9):
        found = judge(claim, sample(share, key=1, pictures=2000), sample(0.75, key=2, pictures=2000))
        verdicts.add(found.verdict)
        assert (found.p_value < 0.05) == (found.verdict != "not seen")  # type: ignore[operator]
    assert {"holds", "reversed"} < verdicts


def test_no_share_differs_by_more_than_all() -> None:
    left, right = Sample({0: 0.60, 1: 0.70}), Sample({0: 0.70, 1: 0.60})
    found = judge(CLAIM, left, right)
    assert "(-100.0 to +100.0)" in found.sentence
    assert found.sentence.endswith(
        "the seeds are too far apart for any difference to be seen in four of five repetitions"
    )
