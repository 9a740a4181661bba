"""Operators in a contest: what is timed is what is judged, and its work is counted as a person would."""

import pytest
import torch

from separable.benchmarking import operators
from separable.benchmarking.operator_contest import bench_operator
from separable.benchmarking.operators import OPERATORS, Case, contestants_for, parse_shape, work_of
from separable.benchmarking.run import Rules
from separable.errors import UsageError
from separable.ops.cpu import KernelStatus, kernel_status

CASE = Case((2, 6, 5, 4))
ONE = Rules(1)


@pytest.mark.parametrize("operator", OPERATORS)
@pytest.mark.parametrize("precision", ["fp32", "bf16"])
def test_plain_torch_passes_its_own_gate(operator: str, precision: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(operators, "contestants_for", lambda *_: ["reference"])
    monkeypatch.setattr("separable.benchmarking.operator_contest.contestants_for", lambda *_: ["reference"])
    result = bench_operator(Case((2, 6, 5, 4), precision=precision), operator, ONE)
    (entry,) = result.entries
    assert entry.failure == ""
    assert entry.verdict is not None
    assert entry.verdict.error == entry.verdict.yardstick < {"fp32": 1e-5, "bf16": 0.03}[precision]
    assert len(entry.seconds) == 1


@pytest.mark.skipif(not kernel_status().available, reason="the CPU's kernels have not been built here")
def test_ours_takes_part() -> None:
    result = bench_operator(CASE, "fused unit forward and backward", ONE)
    assert [entry.name for entry in result.entries] == ["torch", "ours"]
    assert [entry.failure for entry in result.entries] == ["", ""]


def test_the_gradient_that_is_timed_is_the_one_that_is_named() -> None:
    make, _ = OPERATORS["depthwise weight gradient"]
    (gradient,) = make(CASE, "reference", torch.float64)()
    assert gradient.shape == (6, 1, 3, 3)
    make, _ = OPERATORS["pointwise input gradient"]
    (gradient,) = make(CASE, "reference", torch.float64)()
    assert gradient.shape == (2, 6, 5, 4)


@pytest.mark.usefixtures("kernels_are_there")
def test_a_wrong_kernel_is_not_timed(monkeypatch: pytest.MonkeyPatch) -> None:
    right, _ = OPERATORS["depthwise forward"]

    def wrong(case: Case, implementation: str, dtype: torch.dtype | None) -> operators.Call:
        call = right(case, "reference", dtype)
        return call if implementation == "reference" else lambda: call() * 1.001  # type: ignore[operator]

    monkeypatch.setitem(OPERATORS, "depthwise forward", (wrong, ("reference", "cpu")))
    torchs, ours = bench_operator(CASE, "depthwise forward", ONE).entries
    assert torchs.seconds
    assert not ours.seconds
    assert ours.failure.startswith("wrong answer: 0.001 from fp64")


def test_kernels_that_cannot_be_built_are_named(monkeypatch: pytest.MonkeyPatch) -> None:
    status = KernelStatus(False, "no compiler")
    monkeypatch.setattr("separable.benchmarking.operator_contest.load_kernels", lambda automatic: status)
    torchs, ours = bench_operator(CASE, "pointwise forward", ONE).entries
    assert torchs.seconds
    assert ours.failure == (
        "The CPU kernels are not available. Got: no compiler. They need a C++ compiler, which `separable doctor` "
        "looks for; plain torch is timed all the same."
    )


@pytest.fixture
def kernels_are_there(monkeypatch: pytest.MonkeyPatch) -> None:
    status = KernelStatus(True, "")
    monkeypatch.setattr("separable.benchmarking.operator_contest.load_kernels", lambda automatic: status)


@pytest.mark.usefixtures("kernels_are_there")
def test_a_kernel_that_fails_is_one_line(monkeypatch: pytest.MonkeyPatch) -> None:
    right, _ = OPERATORS["depthwise forward"]

    def missing(case: Case, implementation: str, dtype: torch.dtype | None) -> operators.Call:
        def fail() -> torch.Tensor:
            raise AttributeError("no such operator\nand more")

        return fail if implementation == "cpu" else right(case, implementation, dtype)

    monkeypatch.setitem(OPERATORS, "depthwise forward", (missing, ("reference", "cpu")))
    torchs, ours = bench_operator(CASE, "depthwise forward", ONE).entries
    assert torchs.seconds
    assert ours.failure == "AttributeError: no such operator"


def test_work_is_counted_as_a_person_would() -> None:
    case = Case((2, 6, 8, 8), kernel=3, stride=2, precision="bf16")
    assert case.out_shape == (2, 6, 4, 4)
    forward = work_of(case, "depthwise forward")
    assert forward.flops == 2 * 9 * 2 * 6 * 4 * 4
    assert forward.bytes == 2 * (2 * 6 * 8 * 8 + 2 * 6 * 4 * 4)
    product = work_of(case, "pointwise weight gradient")
    assert product.flops == 2 * 6 * 6 * 2 * 8 * 8
    assert product.bytes == 2 * 2 * 2 * 6 * 8 * 8


def test_a_unit_keeps_the_side_or_is_left_out() -> None:
    unit = "fused unit forward and backward"
    assert contestants_for(CASE, unit) == ["reference", "cpu"]
    assert contestants_for(Case((2, 6, 8, 8), stride=2), unit) == []
    assert contestants_for(Case((2, 6, 8, 8), device="cuda"), unit) == ["reference", "triton"]


@pytest.mark.parametrize("text", ["8x128x147", "0x1x2x3", "axbxcxd", ""])
def test_bad_shapes(text: str) -> None:
    with pytest.raises(UsageError, match=r"A shape is pictures, channels, height and width\."):
        parse_shape(text)
