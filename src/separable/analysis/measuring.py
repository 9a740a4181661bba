"""Running a network to see how long each of its layers takes, in a precision and a layout of one's choice."""

import copy
import math
from collections.abc import Callable, Sequence

import torch
from torch import Tensor, nn

from separable.analysis.counting import Counted
from separable.analysis.demands import demand_openness, demand_values
from separable.analysis.profile import Profile, count
from separable.analysis.roofline import MeasuredLayer, MeasuredProfile, layer_of, limit_of
from separable.analysis.timing import LayerTimes, Stopwatch, evaluating, time_layers
from separable.errors import UsageError
from separable.machine.ceilings import PRECISIONS, Ceilings, limited_threads, measure_ceilings
from separable.machine.processor import read_processor

__all__ = ["Progress", "count_only", "in_precision", "measure", "measure_here", "pictures_like", "try_out"]

Progress = Callable[[int, int | None], None]
"""Called with what is done and how much there is, None while nobody knows."""


def measure(
    model: nn.Module,
    input_shape: Sequence[int],
    ceilings: Ceilings,
    *,
    precision: str = "fp32",
    channels_last: bool = False,
    watch: Stopwatch | None = None,
    budget: float = 3.0,
    progress: Progress | None = None,
) -> MeasuredProfile:
    """Count what `model` costs, run it, and set each layer's time beside its limit.

    The model runs in evaluation mode without gradients on random pictures. With another precision than its own, or with
    `channels_last`, a copy runs: the model is left as it was.

    Args:
        input_shape: (N, C, H, W).
        ceilings: of this machine, with the rate of `precision` among them.
        precision: "fp32" or "bf16", that of weights and pictures alike.
        channels_last: whether weights and pictures lie with their channels innermost.
        watch, budget, progress: see `time_layers`.

    Raises:
        UsageError: no ceiling for this precision, a network that does not run in it, TorchScript, or no weights.
    """
    demand_openness(model)
    demand_values(model)
    if precision not in ceilings.gemm_flops:
        raise UsageError(
            f"This processor only emulates {precision}, which has no limit to measure against", fix="Measure in fp32"
        )
    runner = in_precision(model, precision, channels_last)
    x = pictures_like(runner, input_shape, channels_last)
    try:
        counted_profile, counted = count(runner, x)
        times = time_layers(runner, x, watch=watch, budget=budget, progress=progress)
    except (RuntimeError, TypeError) as error:
        if runner is model:
            raise
        raise UsageError(
            f"The network does not run in {precision}", got=str(error).splitlines()[0], fix="Measure it in fp32"
        ) from error
    layers = tuple(_measured(row, times, ceilings, precision) for row in counted)
    return MeasuredProfile(
        counted_profile, layers, times.whole, times.watched, times.runs, precision, channels_last, ceilings
    )


def measure_here(
    model: nn.Module,
    input_shape: Sequence[int],
    precision: str = "fp32",
    device: str = "cpu",
    *,
    channels_last: bool = False,
    budget: float = 3.0,
    progress: Progress | None = None,
) -> MeasuredProfile:
    """`measure` with the ceilings of this machine, on as many threads as it has cores for.

    The ceilings are measured before and after, and the higher ones count: whatever else the machine had to do meanwhile
    makes them lower, and layers faster than their limit.
    """
    dtypes = [PRECISIONS[precision]]
    threads = min(torch.get_num_threads(), read_processor().usable_cores)
    before = measure_ceilings(dtypes, threads, device)
    with limited_threads(threads):
        measured = measure(
            model, input_shape, before, precision=precision, channels_last=channels_last, budget=budget,
            progress=progress,
        )  # fmt: skip
    return measured.under(before.higher(measure_ceilings(dtypes, threads, device)))


def in_precision(model: nn.Module, precision: str, channels_last: bool) -> nn.Module:
    """`model` itself where it already is so, otherwise a copy."""
    dtype = PRECISIONS[precision]
    floats = [value for value in model.parameters() if value.is_floating_point()]
    if not channels_last and all(value.dtype == dtype for value in floats):
        return model
    copied = copy.deepcopy(model).to(dtype)
    return copied.to(memory_format=torch.channels_last) if channels_last else copied  # type: ignore[call-overload]


def try_out(model: nn.Module, input_shape: Sequence[int]) -> None:
    """Run `model` once as it is, in evaluation mode; what it raises comes through."""
    with evaluating(model):
        model(pictures_like(model, input_shape))


def pictures_like(model: nn.Module, shape: Sequence[int], channels_last: bool = False) -> Tensor:
    """Random numbers of the type and on the device of the model's weights."""
    like = next((value for value in model.parameters() if value.is_floating_point()), torch.zeros(()))
    generator = torch.Generator().manual_seed(0)
    x = torch.randn(tuple(shape), generator=generator).to(like.device, like.dtype)
    return x.to(memory_format=torch.channels_last) if channels_last and x.dim() == 4 else x


def count_only(
    model: nn.Module, input_shape: Sequence[int], precision: str
) -> tuple[Profile, tuple[MeasuredLayer, ...]]:
    """What `measure` counts, without running anything: times and limits are NaN.

    Raises:
        UsageError: TorchScript, or lazy layers without weights.
    """
    demand_openness(model)
    shape = tuple(input_shape)
    counted_profile, counted = count(in_precision(model, precision, False), shape)
    return counted_profile, tuple(layer_of(row, math.nan, math.nan, "nothing") for row in counted)


def _measured(row: Counted, times: LayerTimes, ceilings: Ceilings, precision: str) -> MeasuredLayer:
    layer = row.layer
    seconds = times.own.get((layer.name, row.call), math.nan) if layer.output_shape else math.nan
    return layer_of(row, seconds, *limit_of(layer.macs, layer.bytes, ceilings, precision))
