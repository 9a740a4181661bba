"""Calibration error, temperature and the reject threshold, against definitions written another way and SciPy."""

import json

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import optimize, special, stats

from separable.analysis.calibration import (
    apply_temperature,
    calibrate,
    expected_calibration_error,
    fit_temperature,
    reliability_bins,
)
from separable.analysis.rejection import reject_threshold
from separable.data.order import shuffled
from separable.errors import UsageError
from tests.tolerances import REJECT_SHORTFALL, SAME_FORMULA_FLOAT64, TEMPERATURE

QUICK = settings(max_examples=40, deadline=None)
SEEDS = st.integers(0, 2**32 - 1)


def drawn_answers(rng: np.random.Generator, n: int, classes: int, heat: float = 1.0) -> tuple[np.ndarray, np.ndarray]:
    """Logits, and labels drawn from softmax(logits / heat): calibrated at exactly that temperature."""
    logits = rng.normal(0, 2.5, (n, classes))
    chance = special.softmax(logits / heat, axis=1)
    return logits, (chance.cumsum(axis=1) < rng.random((n, 1))).sum(axis=1).clip(0, classes - 1)


@QUICK
@given(seed=SEEDS, n=st.integers(1, 60), bins=st.integers(1, 20))
def test_calibration_error_by_a_loop_over_pictures(seed: int, n: int, bins: int) -> None:
    rng = np.random.default_rng(seed)
    sure = rng.integers(0, 21, n) / 20  # often exactly on an edge
    right = rng.random(n) < sure
    members: dict[int, list[int]] = {}
    for i, confidence in enumerate(sure):
        inside = [b for b in range(bins) if b / bins < confidence <= (b + 1) / bins]
        members.setdefault(inside[0] if inside else 0, []).append(i)
    expected = sum(abs(sum(right[i] - sure[i] for i in group)) for group in members.values()) / n
    assert expected_calibration_error(sure, right, bins) == pytest.approx(expected, abs=SAME_FORMULA_FLOAT64)
    assert sum(one.count for one in reliability_bins(sure, right, bins)) == n


def test_bins_close_at_their_upper_end() -> None:
    bins = reliability_bins([0.0, 0.5, 0.500001, 1.0], [0, 1, 1, 1], bins=2)
    assert [(one.low, one.high, one.count, one.accuracy) for one in bins] == [(0, 0.5, 2, 0.5), (0.5, 1, 2, 1)]
    empty = reliability_bins([], [], bins=3)
    assert [one.count for one in empty] == [0, 0, 0]
    assert np.isnan(empty[0].accuracy)
    assert np.isnan(expected_calibration_error([], []))


@QUICK
@given(seed=SEEDS, n=st.integers(3, 60), classes=st.integers(2, 6), scale=st.floats(0.2, 8))
def test_temperature_minimises_the_loss(seed: int, n: int, classes: int, scale: float) -> None:
    rng = np.random.default_rng(seed)
    logits, labels = drawn_answers(rng, n, classes)
    logits *= scale

    def loss(log_temperature: float) -> float:
        chances = special.log_softmax(logits / np.exp(log_temperature), axis=1)
        return -chances[np.arange(n), labels].mean()

    ours = fit_temperature(logits, labels)
    best = optimize.minimize_scalar(loss, bounds=np.log([0.05, 20.0]), method="bounded", options={"xatol": 1e-9})
    assert loss(np.log(ours)) <= best.fun + TEMPERATURE


def test_temperature_recovers_the_heat_of_a_large_sample() -> None:
    logits, labels = drawn_answers(np.random.default_rng(1), 20_000, 10, heat=2.5)
    assert fit_temperature(logits, labels) == pytest.approx(2.5, rel=0.03)


def test_temperature_of_a_faultless_and_of_a_hopeless_network_stays_in_range() -> None:
    logits = np.eye(3) * 5
    assert fit_temperature(logits, [0, 1, 2]) == pytest.approx(0.05)
    assert fit_temperature(logits, [1, 2, 0]) == pytest.approx(20)
    assert fit_temperature(np.zeros((0, 3)), []) == 1
    assert fit_temperature(np.zeros((4, 3)), [0, 1, 2, 0]) > 0  # flat: any temperature is as good


def test_applying_a_temperature_keeps_the_order_and_survives_underflow() -> None:
    table = np.array([[1.0, 0.0, 0.0], [0.7, 0.2, 0.1]], np.float32)
    hot = apply_temperature(table, 3.0)
    assert np.array_equal(hot.argmax(1), table.argmax(1))
    assert np.isfinite(hot).all()
    np.testing.assert_allclose(hot[1], special.softmax(np.log(table[1].astype(float)) / 3), atol=SAME_FORMULA_FLOAT64)
    np.testing.assert_allclose(apply_temperature(table[1:], 1.0), table[1:], atol=1e-7)


def brute_force_threshold(sure: np.ndarray, right: np.ndarray, target: float, certainty: float) -> float | None:
    for threshold in sorted({0.0, *sure.tolist()}):
        hits = right[sure >= threshold]
        if len(hits) and stats.binomtest(int(hits.sum()), len(hits), alternative="greater").proportion_ci(
            certainty, method="exact"
        ).low >= target:  # fmt: skip
            return threshold
    return None


@QUICK
@given(seed=SEEDS, n=st.integers(0, 150), target=st.sampled_from([0.5, 0.8, 0.95]), step=st.sampled_from([20, 1000]))
def test_threshold_is_the_smallest_whose_bound_reaches_the_target(seed: int, n: int, target: float, step: int) -> None:
    rng = np.random.default_rng(seed)
    sure = np.ceil(rng.beta(5, 1, n) * step) / step  # ties
    right = rng.random(n) < sure
    rule = reject_threshold(sure, right, target, 0.9)
    expected = brute_force_threshold(sure, right, target, 0.9)
    assert rule.threshold == expected
    if expected is None:
        assert rule.reason is not None
    else:
        assert rule.bound >= target
        assert (rule.accepted, rule.right) == ((sure >= expected).sum(), right[sure >= expected].sum())


def test_unreachable_says_why() -> None:
    few = reject_threshold(np.full(58, 0.99), np.ones(58))
    assert few.threshold is None
    assert few.reason == "58 pictures cannot show 95% right with 95% certainty: even without a mistake it takes 59."
    assert reject_threshold(np.full(59, 0.99), np.ones(59)).threshold == 0
    poor = reject_threshold(np.full(500, 0.99), np.arange(500) % 2)
    assert poor.reason == "At no confidence are the accepted pictures 95% right with 95% certainty."


def test_the_promise_holds_on_fresh_pictures_as_often_as_certified() -> None:
    """300 fits on calibrated confidences; the accuracy that the threshold truly gives may fall short in few of them."""
    rng = np.random.default_rng(0)
    fresh = rng.beta(4, 1, 200_000)
    short = 0
    for _ in range(300):
        sure = rng.beta(4, 1, 600)
        rule = reject_threshold(sure, rng.random(600) < sure)
        short += rule.threshold is not None and fresh[fresh >= rule.threshold].mean() < rule.target
    assert short / 300 <= REJECT_SHORTFALL


def test_calibrate_scores_on_pictures_it_did_not_fit() -> None:
    logits, labels = drawn_answers(np.random.default_rng(5), 4000, 8, heat=2.0)
    given_table = special.softmax(logits, axis=1).astype(np.float32)
    found = calibrate(given_table, labels, target=0.7)
    assert found.held_out == 2000
    assert found.temperature == pytest.approx(2.0, rel=0.1)
    assert found.ece > 0.1
    assert found.ece_scaled < found.ece / 3
    assert found.reject.threshold is not None
    assert 0 < found.coverage < 1
    # The held half reproduces from the rule alone.
    order = shuffled(4000, seed=0, epoch=0)[2000:]
    sure = apply_temperature(given_table[order], found.temperature).max(axis=1)
    right = given_table[order].argmax(axis=1) == labels[order]
    kept = sure >= found.reject.threshold
    assert (found.coverage, found.accepted_accuracy) == (kept.mean(), right[kept].mean())
    # Labels of the held half change nothing that was fitted, and everything that was scored.
    spoilt = labels.copy()
    spoilt[order] = (spoilt[order] + 1) % 8
    other = calibrate(given_table, spoilt, target=0.7)
    assert (other.temperature, other.reject) == (found.temperature, found.reject)
    assert other.accepted_accuracy < 0.2


@pytest.mark.parametrize("n", [1, 4, 12, 24, 198])
def test_few_pictures_choose_no_temperature(n: int) -> None:
    """12 pictures, all right and rightly sure: a fit would sharpen or flatten without end."""
    logits = np.eye(3)[np.arange(n) % 3] * 4.0
    for labels in (np.arange(n) % 3, (np.arange(n) + 1) % 3):
        found = calibrate(special.softmax(logits, axis=1), labels)
        assert found.temperature == 1
        half = (n + 1) // 2
        assert found.uncorrected == f"{half} pictures to fit a correction on are too few: it takes 100."
        assert found.ece_scaled == found.ece_held or n == 1


def test_a_temperature_never_sits_at_its_bound() -> None:
    table = special.softmax(np.eye(3)[np.arange(300) % 3] * 5.0, axis=1)
    for labels in (np.arange(300) % 3, (np.arange(300) + 1) % 3):
        found = calibrate(table, labels)
        assert (found.temperature, found.ece_scaled) == (1, found.ece_held)
        assert found.uncorrected == "The pictures to fit a correction on ask for an endless one."


def test_a_temperature_that_does_not_help_elsewhere_is_dropped() -> None:
    logits, labels = drawn_answers(np.random.default_rng(6), 1000, 5)
    table = special.softmax(logits, axis=1)
    order = shuffled(1000, seed=0, epoch=0)
    labels[order[:500]] = (labels[order[:500]] + (np.arange(500) % 3 == 0)) % 5  # the fitting half alone is worse
    assert fit_temperature(np.log(table[order[:500]]), labels[order[:500]]) > 1.3
    found = calibrate(table, labels)
    assert found.temperature == 1
    assert found.uncorrected is not None
    assert "did not help" in found.uncorrected


def test_the_error_before_and_after_is_of_the_same_pictures() -> None:
    logits, labels = drawn_answers(np.random.default_rng(7), 600, 8, heat=2.0)
    table = special.softmax(logits, axis=1)
    found = calibrate(table, labels)
    held = shuffled(600, seed=0, epoch=0)[300:]
    right = table[held].argmax(1) == labels[held]
    expected = [
        expected_calibration_error(apply_temperature(table[held], t).max(1), right) for t in (1.0, found.temperature)
    ]
    assert found.temperature > 1.5
    said = found.to_json()
    assert [said["ece_before_temperature"], said["ece_after_temperature"]] == pytest.approx(expected, abs=1e-12)
    assert said["temperature_reason"] is None
    assert expected[1] < expected[0]


def test_calibrate_leaves_nan_out_and_writes_json_without_nan() -> None:
    table = np.full((5, 2), 0.5)
    table[3] = np.nan
    found = calibrate(table, [0, 1, 0, 1, 0])
    assert (found.n, found.left_out) == (4, 1)
    text = json.dumps(found.to_json(), allow_nan=False)
    assert json.loads(text)["reject_threshold"] is None
    assert json.loads(text)["bins"][0] == {
        "low": 0.0, "high": pytest.approx(1 / 15), "confidence": None, "accuracy": None, "count": 0
    }  # fmt: skip
    empty = calibrate(np.zeros((0, 3)), np.zeros(0, np.int64)).to_json()
    assert (empty["n"], empty["ece"], empty["temperature"], empty["reject_threshold"]) == (0, None, 1.0, None)
    one_class = calibrate(np.ones((3, 1)), [0, 0, 0])
    assert one_class.ece == 0


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: reliability_bins([0.5], [1, 0]), "needs one confidence. Got: shapes (1,) and (2,)."),
        (lambda: reliability_bins([1.5], [1]), "A confidence lies between 0 and 1. Got: 1.5 to 1.5."),
        (lambda: reliability_bins([float("nan")], [1]), "A confidence lies between 0 and 1. Got: nan to nan."),
        (lambda: reliability_bins([0.5], [1], bins=0), "needs bins. Got: 0. Expected: 1 or more."),
        (lambda: fit_temperature([[0.0, 1.0]], [0, 1]), "Logits and labels do not fit. Got: shapes (1, 2) and (2,)."),
        (lambda: fit_temperature([[0.0, np.inf]], [0]), "logits that are infinite or NaN."),
        (lambda: apply_temperature([[1.0]], 0), "A temperature is positive. Got: 0."),
        (lambda: reject_threshold([0.5], [1], target=1.0), "strictly between 0 and 1. Got: 1.0 and 0.95."),
        (lambda: calibrate([[1.0]], [0, 1]), "Probabilities and labels do not fit. Got: shapes (1, 1) and (2,)."),
    ],
)
def test_wrong_input_is_named(call, message: str) -> None:
    with pytest.raises(UsageError) as raised:
        call()
    assert message in str(raised.value)
