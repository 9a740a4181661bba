"""A contest over one operator: plain torch, the CPU's kernels, and Triton's where there is a GPU, in this process."""

import time
from functools import partial
from typing import Any, final

import torch
from torch import Tensor

from separable.benchmarking.arrays import as_array
from separable.benchmarking.contest import Answer, Runner
from separable.benchmarking.gate import Verdict, judge
from separable.benchmarking.operators import OPERATORS, Call, Case, Make, contestants_for, work_of
from separable.benchmarking.outcome import ContestResult, Entry
from separable.benchmarking.run import Listener, Rules, Seat, contained, run_contest
from separable.errors import UsageError
from separable.ops.cpu import load_kernels

__all__ = ["bench_operator"]

_LONG_ENOUGH = 0.01
"""Seconds: shorter operators are repeated within one step until they take as long."""
_MOST_REPEATS = 1000
_LEAST = 1e-6
"""Relative error in fp32 that the order of a sum explains, whatever torch's own is."""
_NO_KERNELS = "They need a C++ compiler, which `separable doctor` looks for; plain torch is timed all the same"
_NAMES = {"reference": "torch", "cpu": "ours", "triton": "ours (triton)"}


@final
class _CallRunner(Runner):
    """An operator in this process; short ones are repeated, and the mean is one step."""

    def __init__(self, call: Call, device: str) -> None:
        self._call, self._device, self._repeats = call, device, 0

    def answer(self) -> Answer:
        with contained():
            return _answer(self._call())

    def step(self) -> float:
        with contained():
            return self._step()

    def _step(self) -> float:
        if not self._repeats:
            self._repeats = min(
                _MOST_REPEATS, max(1, round(_LONG_ENOUGH / max(min(self._timed(1) for _ in range(3)), 1e-7)))
            )
        return self._timed(self._repeats) / self._repeats

    def _timed(self, repeats: int) -> float:
        self._wait()
        begun = time.perf_counter()
        for _ in range(repeats):
            self._call()
        self._wait()
        return time.perf_counter() - begun

    def _wait(self) -> None:
        if self._device.startswith("cuda"):
            torch.cuda.synchronize()


def bench_operator(
    case: Case, operator: str, rules: Rules | None = None, listener: Listener | None = None
) -> ContestResult:
    """Everybody who can do it, in this process; in channels_last, and judged by fp64 like every kernel here."""
    make, _ = OPERATORS[operator]
    truth = _answer(make(case, "reference", torch.float64)())
    own = _answer(make(case, "reference", None)())
    seats = [
        Seat(
            Entry(_NAMES[name], name, operator, case.precision, "channels_last", work_of(case, operator)),
            open=partial(_open, make, case, name),
            judge=partial(_judge, truth=truth, own=own, precision=case.precision),
        )
        for name in contestants_for(case, operator)
    ]
    return run_contest(case.title(operator), seats, baseline="torch", rules=rules, listener=listener)


def _open(make: Make, case: Case, implementation: str) -> Runner:
    with contained():
        if implementation == "cpu":
            status = load_kernels(automatic=False)  # built now, not within a step
            if not status.available:
                raise UsageError("The CPU kernels are not available", got=status.reason, fix=_NO_KERNELS)
        return _CallRunner(make(case, implementation, None), case.device)


def _judge(answer: Answer, truth: Answer, own: Answer, precision: str) -> Verdict:
    return judge(answer, truth, own, precision, least=_LEAST)


def _answer(found: Any) -> Answer:
    values = [found] if isinstance(found, Tensor) else list(found)
    return {f"part {number}": as_array(value) for number, value in enumerate(values)}
