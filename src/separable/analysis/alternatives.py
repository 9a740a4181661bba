"""The same network in the other layout, in bf16 and on more pictures: what each was measured to gain."""

from collections.abc import Sequence
from dataclasses import dataclass

from torch import nn

from separable.analysis.advice import Advice
from separable.analysis.causes import LayerGain, fastest
from separable.analysis.measuring import in_precision, measure, pictures_like, try_out
from separable.analysis.roofline import MeasuredProfile
from separable.analysis.timing import Stopwatch, time_in_turns
from separable.errors import SeparableError
from separable.machine.ceilings import Ceilings

__all__ = [
    "Alternative",
    "Timed",
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


@dataclass(frozen=True)
class Timed:
    """Seconds that whole runs took, in turns: the network as it is, each alternative, and more pictures."""

    base: float
    alternatives: tuple[float, ...]
    batch: float | None
    """For as many pictures as `base`, out of eight times as many; None for a network that takes no more."""


def time_alternatives(
    model: nn.Module,
    shape: Sequence[int],
    base: MeasuredProfile,
    alternatives: Sequence[Alternative],
    watch: Stopwatch | None,
    budget: float,
) -> Timed:
    """Run the base, each alternative, and the base on eight times the pictures, in turns."""
    runner = in_precision(model, base.precision, False)
    cases = [(runner, pictures_like(runner, shape))]
    for one in alternatives:
        other = in_precision(model, one.precision, one.channels_last)
        cases.append((other, pictures_like(other, shape, one.channels_last)))
    larger = (_BATCH * shape[0], *shape[1:])
    batched = shape[0] < _BATCH and _runs(runner, larger)
    if batched:
        cases.append((runner, pictures_like(runner, larger)))
    seconds = time_in_turns(cases, watch=watch, budget=budget)
    return Timed(seconds[0], tuple(seconds[1 : 1 + len(alternatives)]), seconds[-1] / _BATCH if batched else None)


def _runs(model: nn.Module, shape: Sequence[int]) -> bool:
    """Whether the network takes so many pictures: a fixed batch is written into some, and memory ends."""
    try:
        try_out(model, shape)
    except Exception:
        return False
    return True


def runs_in_words(
    alternatives: Sequence[Alternative], timed: Timed, shape: Sequence[int]
) -> tuple[tuple[str, float], ...]:
    """What was run, and its seconds for as many pictures as the base."""
    runs = [("as it is", timed.base)]
    for one, seconds in zip(alternatives, timed.alternatives, strict=True):
        runs.append((f"{one.precision}{' channels_last' if one.channels_last else ''}", seconds))
    if timed.batch is not None:
        runs.append((f"batch {_BATCH * shape[0]}, for each {shape[0]}", timed.batch))
    return tuple(runs)


def advice_from_runs(base: MeasuredProfile, alternatives: Sequence[Alternative], timed: Timed) -> list[Advice]:
    """What the other layout and bf16 were measured to gain."""
    advice = []
    pairs = list(zip(alternatives, timed.alternatives, strict=True))
    for one, seconds in pairs:
        if one.precision == base.precision:
            text = f"With channels innermost it takes {1000 * seconds:.4g} ms, {1000 * timed.base:.4g} ms now."
            fix = "model.to(memory_format=torch.channels_last), and the same for the pictures"
            title = "The contiguous layout where channels_last pays"
            advice.append(_from_variant("channels_last", title, text, fix, base, one, timed.base - seconds))
    halves = [pair for pair in pairs if pair[0].precision != base.precision]
    if halves:
        one, seconds = min(halves, key=lambda pair: pair[1])
        layout = "channels_last" if one.channels_last else "contiguous"
        text = (
            f"In bf16, {layout}, it takes {1000 * seconds:.4g} ms, {1000 * timed.base:.4g} ms now: this processor "
            "multiplies bf16 itself, and half the bytes move."
        )
        fix = "torch.autocast('cpu', torch.bfloat16) or model.bfloat16(); check the accuracy, three digits remain"
        title = "fp32 where the processor has bf16"
        advice.append(_from_variant("bf16", title, text, fix, base, one, timed.base - seconds))
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


def advice_on_batch(shape: Sequence[int], timed: Timed) -> list[Advice]:
    """What more pictures at once were measured to gain, which is another workload."""
    if timed.batch is None:
        return []
    alone, together = timed.base, timed.batch
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
