"""What the gate lets through and what it does not."""

import numpy as np
import pytest

from separable.benchmarking.contest import Answer
from separable.benchmarking.gate import Verdict, distance, judge

NUMBERS = np.random.default_rng(0)
TRUTH: Answer = {
    "loss": np.array(7.0),
    "first": NUMBERS.normal(size=(8, 3, 3, 3)),
    "small": 1e-3 * NUMBERS.normal(size=(4,)),
    "last": NUMBERS.normal(size=(10, 8)),
}


def off(error: float, seed: int = 1, truth: Answer = TRUTH, **more: float) -> Answer:
    """The truth, each part a relative `error` away from it, or as much as `more` says."""
    numbers = np.random.default_rng(seed)
    found = {}
    for name, value in truth.items():
        noise = numbers.normal(size=value.shape)
        noise *= np.linalg.norm(value) / np.linalg.norm(noise)
        found[name] = np.asarray(value + more.get(name, error) * noise)
    return found


def test_distance_is_relative_to_the_length_of_the_truth() -> None:
    truth = {"a": np.array([3.0, 0.0]), "b": np.array([0.0, 4.0])}
    answer = {"a": np.array([3.0, 0.3]), "b": np.array([0.4, 4.0])}
    assert distance(answer, truth, ["a", "b"]) == pytest.approx(0.1)
    assert distance(answer, truth, []) == 0


@pytest.mark.parametrize(("error", "passed"), [(0.0, True), (0.019, True), (0.021, False)])
def test_twice_torchs_own_error_and_no_more(error: float, passed: bool) -> None:
    verdict = judge(off(error, loss=0.0), TRUTH, off(0.01, 2), "bf16")
    assert verdict.passed == passed
    assert verdict.error == pytest.approx(error)
    assert verdict.yardstick == pytest.approx(0.01)
    assert verdict.reason == ("" if passed else "0.021 from fp64, where 0.02 is allowed (torch: 0.01)")


def test_rounding_passes_where_torch_is_exact_by_luck() -> None:
    assert judge(off(1e-5), TRUTH, TRUTH, "fp32").passed
    assert not judge(off(1e-4), TRUTH, TRUTH, "fp32").passed
    assert not judge(off(1e-5), TRUTH, TRUTH, "fp32", least=1e-6).passed


def test_a_wrong_loss_is_seen_beside_right_gradients() -> None:
    verdict = judge(off(0.0, loss=0.03), TRUTH, off(0.01, loss=0.0), "bf16")
    assert (verdict.passed, verdict.reason) == (False, "the loss is 0.03 from fp64's, where 0.01 is allowed")


def test_a_lost_part_is_seen_however_small() -> None:
    lost = off(0.0) | {"small": np.zeros(4)}
    verdict = judge(lost, TRUTH, off(0.001), "fp32")
    assert verdict.error < 0.001
    assert (verdict.passed, verdict.reason.split(" is ")[0]) == (False, "small")


@pytest.mark.parametrize(("precision", "own"), [("fp32", 1e-3), ("bf16", 0.1), ("bf16", 0.35)])
@pytest.mark.parametrize("part", ["first", "many", "last"])
def test_a_part_that_is_too_short_or_too_long_is_seen(precision: str, own: float, part: str) -> None:
    """However much noise the precision brings."""
    truth = {name: 10.0 * value for name, value in TRUTH.items()} | {"many": NUMBERS.normal(size=64)}
    del truth["small"]
    honest, yardstick = (off(own, seed, truth, loss=0.0) for seed in (1, 2))
    assert judge(honest, truth, yardstick, precision, least=3e-3).passed
    for scale in (0.0, 0.2, 0.75, 1.35):
        verdict = judge(honest | {part: scale * honest[part]}, truth, yardstick, precision, least=3e-3)
        assert not verdict.passed, scale
        assert verdict.reason.startswith(part) or verdict.error > 2 * own


def test_nothing_that_far_from_the_truth_passes_whatever_torchs_own_error() -> None:
    assert not judge(off(0.0, small=0.95), TRUTH, off(0.0, 2, small=0.8), "bf16").passed
    lost = judge(off(0.0, small=1.1), TRUTH, off(0.0, 2, small=1.1), "bf16")  # Inception V3 in bf16 at 96 pixels
    assert (lost.passed, lost.reason.split("; ")[1]) == (False, "the precision itself loses it on so small pictures")


def test_what_ought_to_be_nothing_is_not_judged_by_itself() -> None:
    """A bias before batch normalisation: every precision has its own rounding there."""
    exact, rounded = 1e-16 * NUMBERS.normal(size=3), 1e-7 * NUMBERS.normal(size=3)
    truth, near = TRUTH | {"zero": exact}, off(1e-6) | {"zero": rounded}
    assert judge(near, truth, off(1e-6, 2) | {"zero": -rounded}, "fp32").passed
    assert not judge(near | {"zero": np.ones(3)}, truth, near, "fp32").passed


def test_one_relu_that_flips_is_no_lost_part() -> None:
    assert judge(off(0.0015, small=0.0016), TRUTH, off(0.0015, small=4.9e-6), "fp32").passed


@pytest.mark.parametrize(
    ("answer", "reason"),
    [
        ({}, "the answer came without loss"),
        ({"loss": np.array(7.0), "odd": np.zeros(1)}, "the answer came with odd"),
        ({"loss": np.array(7.0), "small": np.zeros(3)}, "small has shape (3,), not (4,)"),
        ({"loss": np.array(np.nan)}, "loss has numbers that are not finite"),
    ],
)
def test_what_cannot_be_compared(answer: Answer, reason: str) -> None:
    verdict = judge(answer, TRUTH, TRUTH, "fp32", demanded=["loss"])
    assert (verdict.passed, verdict.reason) == (False, reason)
    assert str(Verdict.from_json(verdict.to_json())) == str(verdict)
