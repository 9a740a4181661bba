"""Examining a network on this machine before touching it: runs, comparisons, and the advice that follows from them."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

import torch
from torch import nn

from separable.analysis.advice import Advice, NetworkDiagnosis, gain_together
from separable.analysis.alternatives import (
    Alternative,
    Timed,
    advice_from_runs,
    advice_on_batch,
    floor_of,
    run_alternatives,
    runs_in_words,
    time_alternatives,
)
from separable.analysis.causes import Cause, causes_of
from separable.analysis.demands import demand_openness, demand_precision, demand_values, without_replicas
from separable.analysis.measuring import Progress, in_precision, measure, pictures_like
from separable.analysis.roofline import MeasuredProfile
from separable.analysis.timing import Stopwatch, time_in_turns
from separable.machine.allocator import keep_freed_memory
from separable.machine.ceilings import PRECISIONS, Ceilings, limited_threads, measure_ceilings
from separable.machine.known_bad import KnownBad, known_bad_convolution
from separable.machine.processor import Processor, read_processor

__all__ = ["diagnose_network", "vector_lanes"]

_WORTH_IT = 0.02
"""Share of the time below which a gain is not worth a line."""


def diagnose_network(
    model: nn.Module,
    input_shape: Sequence[int],
    versions: Mapping[str, str],
    *,
    ceilings: Ceilings | None = None,
    watch: Stopwatch | None = None,
    budget: float = 2.0,
    progress: Progress | None = None,
) -> NetworkDiagnosis:
    """Run `model` as it is, in the other layout, in bf16 where the processor has it, and on more pictures; compare.

    The allocator of this process is told to keep freed memory after the first measurement, and stays so.

    Args:
        input_shape: (N, C, H, W).
        versions: distribution name -> version, for what is known to fail.
        ceilings: of this machine, measured when None.
        watch, budget: see `time_layers`; the budget is spent a few times.
        progress: called with (steps done, steps in all).

    Raises:
        UsageError: a network that cannot be timed as it is: TorchScript, the meta device, neither fp32 nor bf16.
    """
    model = without_replicas(model)
    demand_openness(model)
    demand_values(model)
    demand_precision(model)
    step = _Steps(progress, 5)
    processor = read_processor()
    threads = min(torch.get_num_threads(), processor.usable_cores)
    with limited_threads(threads):
        runs = _run(model, input_shape, ceilings, threads, watch, budget, step)
    advice = [
        *_allocator(runs.found, runs.timed.base, input_shape),
        *advice_from_runs(runs.base, runs.variants, runs.timed),
        *advice_on_batch(input_shape, runs.timed),
        *(
            _from_cause(cause, min(1.0, runs.found / runs.base.watched))
            for cause in causes_of(runs.base, vector_lanes(processor))
        ),
    ]
    worth = [one for one in advice if one.gain >= _WORTH_IT * runs.found]
    step.done()
    return NetworkDiagnosis(
        measured=runs.base,
        seconds=runs.found,
        advice=tuple(sorted(worth, key=lambda one: -one.gain)),
        possible=max(0.0, min(gain_together(worth), runs.found - floor_of(runs.base, runs.variants))),
        warnings=_warnings(runs.base, versions),
        runs=runs_in_words(runs.variants, runs.timed, input_shape),
    )


@dataclass(frozen=True)
class _Runs:
    found: float
    """Seconds of the network as it came, before the allocator was told anything."""
    base: MeasuredProfile
    variants: list[Alternative]
    timed: Timed


def _run(
    model: nn.Module,
    input_shape: Sequence[int],
    ceilings: Ceilings | None,
    threads: int,
    watch: Stopwatch | None,
    budget: float,
    step: "_Steps",
) -> _Runs:
    precision = _own_precision(model)
    top = ceilings or measure_ceilings(threads=threads)
    step.done()
    runner = in_precision(model, precision, False)
    x = pictures_like(runner, input_shape)
    found = time_in_turns([(runner, x)], watch=watch, budget=budget / 2)[0]
    keep_freed_memory()
    base = measure(runner, input_shape, top, precision=precision, watch=watch, budget=budget)
    step.done()
    variants = run_alternatives(model, input_shape, top, precision, watch, budget / 2)
    step.done()
    timed = time_alternatives(model, input_shape, base, variants, watch, budget)
    step.done()
    return _Runs(found, base, variants, timed)


def vector_lanes(processor: Processor) -> int:
    """fp32 numbers in a vector of the processor."""
    known = {"avx512": 16, "avx2": 8, "neon": 4}
    return next((lanes for feature, lanes in known.items() if feature in processor.features), 8)


class _Steps:
    """Reports progress as steps done."""

    def __init__(self, progress: Progress | None, total: int) -> None:
        self.progress, self.total, self.count = progress, total, 0

    def done(self) -> None:
        self.count += 1
        if self.progress is not None:
            self.progress(self.count, self.total)


def _own_precision(model: nn.Module) -> str:
    first = next((value.dtype for value in model.parameters() if value.is_floating_point()), torch.float32)
    return next((name for name, dtype in PRECISIONS.items() if dtype == first), "fp32")


def _allocator(found: float, kept: float, shape: Sequence[int]) -> list[Advice]:
    return [
        Advice(
            "allocator",
            "Freed memory goes back to the system",
            f"As found, the network takes {1000 * found:.4g} ms; with an allocator that keeps what is freed, "
            f"{1000 * kept:.4g} ms. Every activation of megabytes is otherwise faulted in and zeroed again.",
            "separable.machine.allocator.keep_freed_memory() at the start of the program, or the variables "
            "MALLOC_MMAP_MAX_=0 MALLOC_TRIM_THRESHOLD_=4294967296 MALLOC_TOP_PAD_=67108864",
            found - kept,
            measured=True,
        )
    ]


def _from_cause(cause: Cause, scale: float) -> Advice:
    """`scale` makes of time under a stopwatch at every layer time without one, which is what gains are told of."""
    layers = tuple(replace(one, gain=scale * one.gain, seconds=scale * one.seconds) for one in cause.layers)
    return Advice(cause.key, cause.title, cause.why, cause.fix, scale * cause.gain, False, layers)


def _warnings(measured: MeasuredProfile, versions: Mapping[str, str]) -> tuple[tuple[str, KnownBad], ...]:
    found = []
    for layer in measured.layers:
        for operation in layer.operations:
            one = operation.convolution
            if one is None or one.transposed:
                continue
            bad = known_bad_convolution(versions, one.kernel, one.stride, (one.in_channels, one.out_channels))
            if bad is not None:
                found.append((layer.name, bad))
    return tuple(found)
