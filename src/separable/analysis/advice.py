"""Which layers of a network are slow here, why, and what could be gained: what `separable doctor MODEL` says.

Nothing of the network is changed. Every gain is an upper bound, or the difference between two things that were run.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any

import torch
from torch import nn

from separable.analysis.causes import Cause, LayerGain, causes_of, fastest
from separable.analysis.roofline import MeasuredLayer, MeasuredProfile, in_precision, measure, pictures_like
from separable.analysis.timing import Stopwatch, time_in_turns
from separable.errors import SeparableError
from separable.machine.allocator import keep_freed_memory
from separable.machine.ceilings import PRECISIONS, Ceilings, limited_threads, measure_ceilings
from separable.machine.known_bad import KnownBad, known_bad_convolution
from separable.machine.processor import Processor, read_processor

__all__ = ["Advice", "NetworkDiagnosis", "diagnose_network", "vector_lanes"]

Progress = Callable[[int, int | None], None]
_WORTH_IT = 0.02
"""Share of the time below which a gain is not worth a line."""
_BATCH = 8


@dataclass(frozen=True)
class Advice:
    """One thing that could be done. Seconds of `gain` are at most, or `measured`: the alternative was run."""

    key: str
    title: str
    why: str
    fix: str
    gain: float
    measured: bool
    layers: tuple[LayerGain, ...] = ()
    counts: bool = True
    """Whether it is part of the sum; a larger batch is another workload."""

    def to_json(self) -> dict[str, Any]:
        """Plain values; times in milliseconds."""
        layers = [
            {
                "name": one.name,
                "call": one.call,
                "milliseconds": 1000 * one.seconds,
                "gain_milliseconds": 1000 * one.gain,
            }
            for one in self.layers
        ]
        plain = {key: value for key, value in asdict(self).items() if key not in ("gain", "layers")}
        return {**plain, "gain_milliseconds": 1000 * self.gain, "layers": layers}


@dataclass(frozen=True)
class NetworkDiagnosis:
    """`measured` is the network as it is, its memory kept between runs; `advice` with the largest gain first."""

    measured: MeasuredProfile
    seconds: float
    """Of the network as it was found, before the allocator was told to keep freed memory."""
    advice: tuple[Advice, ...]
    possible: float
    """Seconds that all advice together could gain at most, each layer counted once."""
    warnings: tuple[tuple[str, KnownBad], ...]
    """Layers that are known to fail with these versions, by name."""
    runs: tuple[tuple[str, float], ...] = ()
    """What was run in turns, and the seconds that it took for as many pictures as `measured`."""

    def reasons(self, layer: MeasuredLayer) -> list[str]:
        """Keys of the advice that is about this layer, the largest gain first."""
        found = [
            (one.gain, advice.key)
            for advice in self.advice
            for one in advice.layers
            if (one.name, one.call) == (layer.name, layer.call)
        ]
        return [key for _, key in sorted(found, reverse=True)]

    def slowest(self, most: int = 12) -> list[MeasuredLayer]:
        """The layers furthest above the time they would need at best."""
        ran = [layer for layer in self.measured.layers if layer.seconds > 0]
        return sorted(ran, key=lambda layer: fastest(layer, self.measured) - layer.seconds)[:most]

    def to_json(self) -> dict[str, Any]:
        """Plain dicts, lists and numbers; times in milliseconds."""
        return {
            "input_shape": list(self.measured.profile.input_shape),
            "milliseconds": 1000 * self.seconds,
            "possible_milliseconds": 1000 * self.possible,
            "measured": self.measured.to_json(),
            "runs": [{"what": what, "milliseconds": 1000 * seconds} for what, seconds in self.runs],
            "advice": [advice.to_json() for advice in self.advice],
            "warnings": [{"layer": name, **asdict(bad)} for name, bad in self.warnings],
            "slowest": [
                {"name": layer.name, **layer.to_json(), "reasons": self.reasons(layer)} for layer in self.slowest()
            ],
        }


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
    """
    step = _Steps(progress, 5)
    processor = read_processor()
    threads = min(torch.get_num_threads(), processor.usable_cores)
    precision = _own_precision(model)
    with limited_threads(threads):
        top = ceilings or measure_ceilings(threads=threads)
        step.done()
        runner = in_precision(model, precision, False)
        x = pictures_like(runner, input_shape)
        found = time_in_turns([(runner, x)], watch=watch, budget=budget / 2)[0]
        keep_freed_memory()
        base = measure(runner, input_shape, top, precision=precision, watch=watch, budget=budget)
        step.done()
        variants = _variants(model, input_shape, top, precision, watch, budget / 2)
        step.done()
        wholes = _wholes(model, input_shape, base, variants, watch, budget)
        step.done()
    advice = [
        *_allocator(found, wholes[0], input_shape),
        *_from_variants(base, variants, wholes),
        *_batch(input_shape, wholes),
        *(_from_cause(cause) for cause in causes_of(base, vector_lanes(processor))),
    ]
    worth = [one for one in advice if one.gain >= _WORTH_IT * base.watched]
    step.done()
    return NetworkDiagnosis(
        measured=base,
        seconds=found,
        advice=tuple(sorted(worth, key=lambda one: -one.gain)),
        possible=max(0.0, min(_together(worth), found - _floor(base, variants))),
        warnings=_warnings(base, versions),
        runs=_runs(variants, wholes, input_shape),
    )


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


@dataclass(frozen=True)
class _Variant:
    """The network in another layout or precision."""

    precision: str
    channels_last: bool
    measured: MeasuredProfile


def _own_precision(model: nn.Module) -> str:
    first = next((value.dtype for value in model.parameters() if value.is_floating_point()), torch.float32)
    return next((name for name, dtype in PRECISIONS.items() if dtype == first), "fp32")


def _variants(
    model: nn.Module,
    shape: Sequence[int],
    ceilings: Ceilings,
    precision: str,
    watch: Stopwatch | None,
    budget: float,
) -> list[_Variant]:
    """Those that run; a network that fails in one is simply not advised to use it."""
    wanted = [(precision, True)] if len(shape) == 4 else []
    if precision == "fp32" and "bf16" in ceilings.gemm_flops:
        wanted += [("bf16", False), *([("bf16", True)] if len(shape) == 4 else [])]
    found = []
    for name, channels_last in wanted:
        try:
            one = measure(
                model, shape, ceilings, precision=name, channels_last=channels_last, watch=watch, budget=budget
            )
        except (SeparableError, RuntimeError, TypeError, ValueError):
            continue
        found.append(_Variant(name, channels_last, one))
    return found


def _wholes(
    model: nn.Module,
    shape: Sequence[int],
    base: MeasuredProfile,
    variants: Sequence[_Variant],
    watch: Stopwatch | None,
    budget: float,
) -> list[float]:
    """Seconds of the base, of each variant, and last of the base on eight times the pictures, all in turns."""
    runner = in_precision(model, base.precision, False)
    cases = [(runner, pictures_like(runner, shape))]
    for variant in variants:
        other = in_precision(model, variant.precision, variant.channels_last)
        cases.append((other, pictures_like(other, shape, variant.channels_last)))
    if shape[0] < _BATCH:
        cases.append((runner, pictures_like(runner, (_BATCH * shape[0], *shape[1:]))))
    return time_in_turns(cases, watch=watch, budget=budget)


def _runs(variants: Sequence[_Variant], wholes: Sequence[float], shape: Sequence[int]) -> tuple[tuple[str, float], ...]:
    names = ["as it is", *(f"{one.precision}{' channels_last' if one.channels_last else ''}" for one in variants)]
    runs = list(zip(names, wholes, strict=False))
    if shape[0] < _BATCH:
        runs.append((f"batch {_BATCH * shape[0]}, for each {shape[0]}", wholes[-1] / _BATCH))
    return tuple(runs)


def _allocator(found: float, kept: float, shape: Sequence[int]) -> list[Advice]:
    return [
        Advice(
            "allocator",
            "Freed memory goes back to the system",
            f"As found, the network takes {1000 * found:.4g} ms; with an allocator that keeps what is freed, "
            f"{1000 * kept:.4g} ms. Every activation of megabytes is otherwise faulted in and zeroed again.",
            "separable.machine.allocator.keep_freed_memory() at the start of the program, or the variables "
            "MALLOC_MMAP_THRESHOLD_=1073741824 MALLOC_TRIM_THRESHOLD_=-1 MALLOC_TOP_PAD_=67108864",
            found - kept,
            measured=True,
        )
    ]


def _from_variants(base: MeasuredProfile, variants: Sequence[_Variant], wholes: Sequence[float]) -> list[Advice]:
    advice = []
    timed = list(zip(variants, wholes[1:], strict=False))
    for variant, seconds in timed:
        if variant.precision == base.precision:
            text = f"With channels innermost it takes {1000 * seconds:.4g} ms, {1000 * wholes[0]:.4g} ms now."
            fix = "model.to(memory_format=torch.channels_last), and the same for the pictures"
            title = "The contiguous layout where channels_last pays"
            advice.append(_from_variant("channels_last", title, text, fix, base, variant, wholes[0] - seconds))
    halves = [(variant, seconds) for variant, seconds in timed if variant.precision != base.precision]
    if halves:
        variant, seconds = min(halves, key=lambda pair: pair[1])
        layout = "channels_last" if variant.channels_last else "contiguous"
        text = (
            f"In bf16, {layout}, it takes {1000 * seconds:.4g} ms, {1000 * wholes[0]:.4g} ms now: this processor "
            "multiplies bf16 itself, and half the bytes move."
        )
        fix = "torch.autocast('cpu', torch.bfloat16) or model.bfloat16(); check the accuracy, three digits remain"
        title = "fp32 where the processor has bf16"
        advice.append(_from_variant("bf16", title, text, fix, base, variant, wholes[0] - seconds))
    return advice


def _from_variant(
    key: str, title: str, why: str, fix: str, base: MeasuredProfile, variant: _Variant, gain: float
) -> Advice:
    """The whole's gain as it was measured in turns, and which layers it comes from."""
    others = {(layer.name, layer.call): layer.seconds for layer in variant.measured.layers}
    gains = [
        LayerGain(layer.name, layer.call, layer.seconds, layer.seconds - others.get((layer.name, layer.call), 0.0))
        for layer in base.layers
        if layer.seconds > 0 and others.get((layer.name, layer.call), 0.0) > 0
    ]
    won = tuple(sorted((one for one in gains if one.gain > 0), key=lambda one: -one.gain))
    return Advice(key, title, why, fix, gain, True, won)


def _batch(shape: Sequence[int], wholes: Sequence[float]) -> list[Advice]:
    if shape[0] >= _BATCH:
        return []
    alone, together = wholes[0], wholes[-1] / _BATCH
    return [
        Advice(
            "batch",
            f"Only {shape[0]} picture{'' if shape[0] == 1 else 's'} at a time",
            f"{_BATCH} times as many at once take {1000 * together:.4g} ms for each {shape[0]}, "
            f"{1000 * alone:.4g} ms now: weights are read and layers called once for all.",
            "Collect pictures into batches where the delay does not matter",
            alone - together,
            measured=True,
            counts=False,
        )
    ]


def _from_cause(cause: Cause) -> Advice:
    return Advice(cause.key, cause.title, cause.why, cause.fix, cause.gain, False, cause.layers)


def _together(advice: Sequence[Advice]) -> float:
    """Every call of a layer under the advice that gains most there; and what is gained outside of layers once."""
    best: dict[tuple[str, int], float] = {}
    beside = 0.0
    for one in advice:
        if not one.counts:
            continue
        for layer in one.layers:
            place = (layer.name, layer.call)
            best[place] = max(best.get(place, 0.0), layer.gain)
        if not one.measured or not one.layers:
            beside += one.gain - sum(layer.gain for layer in one.layers)
    return sum(best.values()) + beside


def _floor(base: MeasuredProfile, variants: Sequence[_Variant]) -> float:
    """Seconds that remain if every layer reaches its limit, in the precision in which that is lowest."""
    tried = [base, *(one.measured for one in variants)]
    return min(sum(fastest(layer, one) for layer in one.layers) for one in tried)


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
