"""What is said of the spectrum: against closed forms, and against scipy."""

from dataclasses import replace
from typing import Any

import numpy as np
import pytest
from scipy import stats

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
    names = front(_result(*arms), "macs")
    assert set(names) == undominated
    assert list(names) == sorted(names, key=lambda name: next(arm.mean["macs"] for arm in arms if arm.name == name))
    assert front(_result(*arms), "milliseconds") == ()


def test_findings_say_the_trend_the_best_and_the_fronts() -> None:
    arms = [*_rising([0.010, 0.013, 0.018]), _arm("k = all", None, [0.5, 0.51, 0.52], parameters=900.0)]
    sentences = findings(_result(*arms))
    assert sentences[0].startswith("At equal parameters each doubling of k changes top-1 by ")
    assert sentences[1].startswith("Best at equal parameters is k = 16 with 56.5 %: ")
    assert "against k = 1" in sentences[1]
    assert "against k = all" in sentences[1]
    assert "By top-1 and parameters, nothing beats k = all and k = 16." in sentences
    assert not [one for one in sentences if "equal multiply-adds each" in one]


def test_a_clear_trend_is_called_one_and_noise_is_not() -> None:
    clear, noise = (findings(_result(*_rising(slopes)))[0] for slopes in ([0.01, 0.011, 0.012], [0.02, -0.02, 0.001]))
    assert clear.endswith(": a trend.")
    assert noise.endswith("no trend that these seeds can tell from chance.")
    assert "one seed cannot say how surely" in findings(_result(*_rising([0.01])))[0]


def test_an_end_that_is_best_is_called_an_end() -> None:
    sentence = findings(_result(*_rising([0.010, 0.013, 0.018])))[1]
    assert sentence.startswith("Best at equal parameters is an end of the spectrum, k = 16, with ")
    assert sentence.endswith("against k = 1.")


def test_both_sets_have_their_sentences() -> None:
    arms = _rising([0.010, 0.013, 0.018])
    more = [replace(arm, name=f"{arm.name}, equal multiply-adds") for arm in arms]
    sentences = findings(_result(*arms, *more))
    assert sum("At equal multiply-adds" in one for one in sentences) == 1
    assert sum("Best at" in one for one in sentences) == 2


def test_equal_milliseconds_are_called_so() -> None:
    sentences = findings(_result(*_rising([0.010, 0.013, 0.018]), experiment="spectrum/milliseconds"))
    assert sentences[0].startswith("At equal milliseconds each doubling of k changes top-1 by ")
    assert sentences[1].startswith("Best at equal milliseconds is ")


def test_other_results_and_empty_ones_have_no_findings() -> None:
    arms = _rising([0.01, 0.02])
    assert findings(_result(*arms, experiment="xception/table1")) == ()
    assert findings(_result(*[replace(arm, seeds=(), mean={}) for arm in arms])) == ()
