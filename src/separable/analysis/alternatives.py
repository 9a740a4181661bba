"""The same network in the other layout, in bf16 and on more pictures: what each was measured to gain."""

from collections.abc import Sequence
from dataclasses import dataclass

from torch import nn

from separable.analysis.advice import Advice
from separable.analysis.causes import LayerGain, fastest
from separable.analysis.measuring import in_precision, measure, pictures_like
from separable.analysis.roofline import MeasuredProfile
from separable.analysis.timing import Stopwatch, time_in_turns
from separable.errors import SeparableError
from separable.machine.ceilings import Ceilings

__all__ = [
    "Alternative",
    "advice_from_runs",
    "advice_on_batch",
    "floor_of",
    "run_alternatives",
    "runs_in_words",
    "time_alternatives",
]

_BATCH = 8


@dataclass(frozen=True)
class Alternative:
    """The network in another layout or precision."""

    precision: str
    channels_last: bool
    measured: MeasuredProfile


def run_alternatives(
    model: nn.Module,
    shape: Sequence[int],
    ceilings: Ceilings,
    precision: str,
    watch: Stopwatch | None,
    budget: float,
) -> list[Alternative]:
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
        found.append(Alternative(name, channels_last, one))
    return found


def time_alternatives(
    model: nn.Module,
    shape: Sequence[int],
    base: MeasuredProfile,
    variants: Sequence[Alternative],
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


def runs_in_words(
    variants: Sequence[Alternative], wholes: Sequence[float], shape: Sequence[int]
) -> tuple[tuple[str, float], ...]:
    names = ["as it is", *(f"{one.precision}{' channels_last' if one.channels_last else ''}" for one in variants)]
    runs = list(zip(names, wholes, strict=False))
    if shape[0] < _BATCH:
        runs.append((f"batch {_BATCH * shape[0]}, for each {shape[0]}", wholes[-1] / _BATCH))
    return tuple(runs)


def advice_from_runs(base: MeasuredProfile, variants: Sequence[Alternative], wholes: Sequence[float]) -> list[Advice]:
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
    key: str, title: str, why: str, fix: str, base: MeasuredProfile, variant: Alternative, gain: float
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


def advice_on_batch(shape: Sequence[int], wholes: Sequence[float]) -> list[Advice]:
    """What more pictures at once were measured to gain, which is another workload."""
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


def floor_of(base: MeasuredProfile, variants: Sequence[Alternative]) -> float:
    """Seconds that remain if every layer reaches its limit, in the precision in which that is lowest."""
    tried = [base, *(one.measured for one in variants)]
    return min(sum(fastest(layer, one) for layer in one.layers) for one in tried)
