"""What is said of the spectrum: against closed forms, and against scipy."""

import re
from dataclasses import replace
from typing import Any

import numpy as np
import pytest
from scipy import stats

from separable.experiments.layouts import layout_of, on_front
from separable.experiments.results import ArmResult, Result, SeedResult
from separable.experiments.spectrum import findings, front, segments_of, trend

KS = (1, 2, 4, 8, 16)


def _arm(name: str, segments: int | None, values: list[float], **more: Any) -> ArmResult:
    options: dict[str, Any] = {"width": 0.25} | ({} if segments is None else {"segments": segments})
    costs = {"parameters": 1000.0, "macs": 2000.0, **more}
    return ArmResult(
        name=name,
        model="xception",
        options=options,
        note="",
        parameters=1000,
        macs=2000,
        image_size=40,
        published={},
        published_parameters=None,
        published_macs=None,
        seeds=tuple(SeedResult(seed, {"top1": value}) for seed, value in enumerate(values)),
        mean={"top1": float(np.mean(values)), **costs},
    )


def _result(*arms: ArmResult, experiment: str = "spectrum") -> Result:
    texts = dict.fromkeys(("title", "source", "says", "reading", "command", "date"), "")
    return Result(
        experiment=experiment,
        scale="laptop",
        task="classify",
        kind="train",
        measures=("top1", "loss"),
        versions={},
        machine={},
        data={},
        setup={},
        arms=arms,
        **texts,
    )


def _rising(slopes: list[float]) -> list[ArmResult]:
    """Arms whose top-1 moves by a seed's slope with each doubling of k, from the seed's own start."""
    starts = [0.5 + 0.01 * seed for seed in range(len(slopes))]
    return [
        _arm(f"k = {k}", k, [start + slope * np.log2(k) for start, slope in zip(starts, slopes, strict=True)])
        for k in KS
    ]


def test_segments_are_clipped_at_the_channels() -> None:
    assert segments_of(_arm("k = 3", 3, [0.5])) == 3
    assert segments_of(_arm("k = all", None, [0.5])) == 184  # 728 / 4 = 182, to a multiple of 8
    assert segments_of(_arm("k = 1000", 1000, [0.5])) == 184


def test_the_trend_is_students_over_the_slopes_of_the_seeds() -> None:
    slopes = [0.010, 0.013, 0.018]
    found = trend(_rising(slopes), "top1")
    assert found is not None
    expected = stats.ttest_1samp(slopes, 0.0)
    low, high = expected.confidence_interval()
    assert found.change.mean == pytest.approx(np.mean(slopes), abs=1e-12)
    assert (found.change.low, found.change.high) == pytest.approx((low, high), abs=1e-9)
    assert found.p_value == pytest.approx(expected.pvalue, abs=1e-9)


def test_the_slope_is_that_of_least_squares() -> None:
    rng = np.random.default_rng(3)
    values = rng.random((3, len(KS)))
    arms = [_arm(f"k = {k}", k, list(values[:, place])) for place, k in enumerate(KS)]
    found = trend(arms, "top1")
    assert found is not None
    slopes = [np.polyfit(np.log2(KS), row, 1)[0] for row in values]
    assert found.change.mean == pytest.approx(np.mean(slopes), abs=1e-12)


def test_seeds_that_an_arm_lacks_are_left_out() -> None:
    arms = _rising([0.01, 0.02, 0.03])
    arms[2] = replace(arms[2], seeds=arms[2].seeds[:2])
    found = trend(arms, "top1")
    assert found is not None
    assert found.change.seeds == 2
    assert found.change.mean == pytest.approx(0.015)
    assert trend(arms[:2], "top1") is None
    assert trend([replace(arm, seeds=()) for arm in arms], "top1") is None


def test_the_front_is_that_of_brute_force() -> None:
    rng = np.random.default_rng(5)
    arms = [_arm(f"k = {k}", k, [float(rng.random())], macs=float(rng.integers(1, 9))) for k in range(1, 13)]
    undominated = {
        one.name
        for one in arms
        if not any(
            other.mean["top1"] >= one.mean["top1"]
            and other.mean["macs"] <= one.mean["macs"]
            and (other.mean["top1"], other.mean["macs"]) != (one.mean["top1"], one.mean["macs"])
            for other in arms
        )
    }
    names = front(arms, "top1", "macs")
    assert set(names) == undominated
    assert list(names) == sorted(names, key=lambda name: next(arm.mean["macs"] for arm in arms if arm.name == name))
    assert front(arms, "top1", "milliseconds") == ()


def test_findings_say_the_trend_the_best_and_the_fronts() -> None:
    arms = [*_rising([0.010, 0.013, 0.018]), _arm("k = all", None, [0.5, 0.51, 0.52], parameters=900.0)]
    sentences = findings(_result(*arms))
    assert sentences[0].startswith("At equal parameters each doubling of k changes top-1 by ")
    assert sentences[1].startswith("Best at equal parameters is k = 16 with 56.5 %: ")
    assert "against k = 1" in sentences[1]
    assert "against k = all" in sentences[1]
    assert sentences[2].startswith("At equal parameters, by top-1 and multiply-adds, nothing beats k = ")
    assert not [one for one in sentences if "by top-1 and parameters" in one], "parameters were held equal"
    assert not [one for one in sentences if "equal multiply-adds each" in one]


def _noisy(shares: list[float], **costs: list[float]) -> list[ArmResult]:
    """Arms with these means and some noise over three seeds, that neither arms nor seeds explain."""
    noise = np.random.default_rng(4).standard_normal((len(shares), 3)) * 0.005
    noise -= noise.mean(1, keepdims=True)
    return [
        _arm(f"k = {2**place}", 2**place, list(share + noise[place]), **{n: c[place] for n, c in costs.items()})
        for place, share in enumerate(shares)
    ]


def test_the_best_is_compared_as_any_arm_might_be() -> None:
    """Against a two-way analysis of variance by hand; the interval holds for 13 comparisons of 8 arms."""
    arms = _noisy([0.90, 0.91, 0.92, 0.93, 0.95, 0.93, 0.92, 0.91])
    table = np.array([[one.measures["top1"] for one in arm.seeds] for arm in arms])
    rest = table - table.mean(0) - table.mean(1)[:, None] + table.mean()
    half = stats.t.ppf(1 - 0.025 / 13, 14) * np.sqrt(2 / 3 * (rest**2).sum() / 14)
    sentence = findings(_result(*arms))[1]
    for end, difference in (("k = 1", 0.05), ("k = 128", 0.04)):
        low, high = 100 * (difference - half), 100 * (difference + half)
        assert f"+{100 * difference:.1f} points (95 %: +{low:.1f} to +{high:.1f}) against {end}" in sentence
    assert "the intervals hold for every arm against both ends at once" in sentence
    assert "flattering" not in sentence


def test_arms_that_are_all_alike_seldom_have_a_best_one() -> None:
    """Eight alike, 400 times: the best one's interval leaves out zero in at most 5 %, give or take three deviations."""
    rng, wrong = np.random.default_rng(2), 0
    for _ in range(400):
        arms = [_arm(f"k = {2**k}", 2**k, list(0.9 + 0.01 * rng.standard_normal(3))) for k in range(8)]
        layout = layout_of(arms, "top1")
        assert layout is not None
        ahead = layout.means.max() - layout.means[[0, -1]].min()
        wrong += ahead > layout.reach(13)
    assert wrong / 400 < 0.083


def test_fronts_say_how_surely() -> None:
    """Three points apart and no noise to speak of is on it for sure; a tie half of the time."""
    costs = {"macs": [1.0, 2.0, 3.0, 4.0]}
    arms = _noisy([0.90, 0.93, 0.93, 0.80], **costs)
    sentence = next(one for one in findings(_result(*arms)) if "by top-1 and multiply-adds" in one)
    assert "k = 1 (100 %)" in sentence
    assert "k = 2 (100 %)" in sentence
    assert "k = 8" not in sentence
    share = float(re.findall(r"k = 4 \((\d+) %\)", sentence)[0])
    assert 40 < share < 60
    values = np.array([[1.0, 2.0], [2.0, 1.0], [3.0, 1.0], [1.0, 1.0]])
    assert on_front(values, np.array([1.0, 2.0])) == [1.0, 0.5], "brute force: beaten in two of four draws"
    assert on_front(values, np.array([1.0, 1.0])) == [0.75, 0.5]


def test_a_clear_trend_is_called_one_and_noise_is_not() -> None:
    clear, noise = (findings(_result(*_rising(slopes)))[0] for slopes in ([0.01, 0.011, 0.012], [0.02, -0.02, 0.001]))
    assert clear.endswith(": a trend.")
    assert noise.endswith("no trend that these seeds can tell from chance.")
    assert "one seed cannot say how surely" in findings(_result(*_rising([0.01])))[0]


def test_an_end_that_is_best_is_called_an_end() -> None:
    sentence = findings(_result(*_rising([0.010, 0.013, 0.018])))[1]
    assert sentence.startswith("Best at equal parameters is an end of the spectrum, k = 16 with ")
    assert "against k = 1. " in sentence


def test_both_sets_have_their_sentences() -> None:
    arms = _rising([0.010, 0.013, 0.018])
    more = [replace(arm, name=f"{arm.name}, equal multiply-adds") for arm in arms]
    sentences = findings(_result(*arms, *more))
    assert sum("At equal multiply-adds each" in one for one in sentences) == 1
    assert sum("Best at" in one for one in sentences) == 2
    assert not [one for one in sentences if "At equal multiply-adds, by top-1 and multiply-adds" in one]
    assert [one for one in sentences if "At equal multiply-adds, by top-1 and parameters" in one]
    alone, together = (findings(_result(*some))[0] for some in (arms, [*arms, *more]))
    p_values = [float(re.findall(r"p = ([\d.e-]+)", one)[0]) for one in (alone, together)]
    assert p_values[1] == pytest.approx(2 * p_values[0], rel=0.1)
    assert "after Holm's correction for 2 trends" in together


def test_equal_milliseconds_are_called_so() -> None:
    sentences = findings(_result(*_rising([0.010, 0.013, 0.018]), experiment="spectrum/milliseconds"))
    assert sentences[0].startswith("At equal milliseconds each doubling of k changes top-1 by ")
    assert sentences[1].startswith("Best at equal milliseconds is ")


def test_other_results_and_empty_ones_have_no_findings() -> None:
    arms = _rising([0.01, 0.02])
    assert findings(_result(*arms, experiment="xception/table1")) == ()
    assert findings(_result(*[replace(arm, seeds=(), mean={}) for arm in arms])) == ()
