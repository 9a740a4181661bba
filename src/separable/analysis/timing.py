"""How long each module of a network takes itself, its children's time taken off, in the network's own run."""

import statistics
import time
from abc import ABC, abstractmethod
from collections import defaultdict
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from typing import Any, final

import torch
from torch import Tensor, nn

__all__ = [
    "CpuWatch",
    "CudaWatch",
    "LayerTimes",
    "Stopwatch",
    "evaluating",
    "time_in_turns",
    "time_layers",
    "watch_for",
]

Call = tuple[str, int]
"""A module's name, and the how manieth of its calls in one run: layers may be shared."""


class Stopwatch(ABC):
    """Marks points in time cheaply and says afterwards how far apart they were."""

    @abstractmethod
    def mark(self) -> Any:
        """This moment."""

    @abstractmethod
    def seconds(self, start: Any, end: Any) -> float:
        """From one mark to another."""

    @abstractmethod
    def settle(self) -> None:
        """Wait until everything marked has happened."""


@final
class CpuWatch(Stopwatch):
    """Work is done when its call returns. Tests bring their own `clock`."""

    def __init__(self, clock: Callable[[], float] = time.perf_counter) -> None:
        self._clock = clock

    def mark(self) -> float:
        """Now, in the clock's seconds."""
        return self._clock()

    def seconds(self, start: Any, end: Any) -> float:
        """The difference."""
        return float(end - start)

    def settle(self) -> None:
        """Nothing is outstanding."""


@final
class CudaWatch(Stopwatch):
    """Events in the GPU's own queue: the gaps between short kernels count to the module that comes after them."""

    def mark(self) -> torch.cuda.Event:
        """An event that the GPU reaches in its turn."""
        event = torch.cuda.Event(enable_timing=True)
        event.record()
        return event

    def seconds(self, start: Any, end: Any) -> float:
        """Between two events that have been reached."""
        return float(start.elapsed_time(end)) / 1000

    def settle(self) -> None:
        """Wait for the GPU."""
        torch.cuda.synchronize()


def watch_for(device: str) -> Stopwatch:
    """The stopwatch that fits "cpu" or "cuda"."""
    return CudaWatch() if device.startswith("cuda") else CpuWatch()


@dataclass(frozen=True)
class LayerTimes:
    """Medians over `runs` runs, in seconds.

    `own` is what each call of a module took without the modules called inside it, so for a container what it does
    itself: sums, concatenations, padding, and Python between its layers. Together they are the watched network without
    what disturbed single runs. `whole` is the network without anybody watching, measured in turns with them.
    """

    own: dict[Call, float]
    whole: float
    runs: int

    @property
    def watched(self) -> float:
        """All modules together."""
        return sum(self.own.values())


@dataclass
class _Run:
    """Marks of one run of the network: (enter or leave, module name, when)."""

    marks: list[tuple[bool, str, Any]] = field(default_factory=list)

    def own_seconds(self, watch: Stopwatch) -> dict[Call, float]:
        """Each call's time without its children's."""
        calls: dict[str, int] = defaultdict(int)
        open_calls: list[tuple[Call, Any, float]] = []  # whose call, since when, seconds of children so far
        own: dict[Call, float] = {}
        for enters, name, when in self.marks:
            if enters:
                open_calls.append(((name, calls[name]), when, 0.0))
                calls[name] += 1
                continue
            call, since, inside = open_calls.pop()
            duration = watch.seconds(since, when)
            own[call] = duration - inside
            if open_calls:
                outer, outer_since, outer_inside = open_calls[-1]
                open_calls[-1] = (outer, outer_since, outer_inside + duration)
        return own


def time_layers(
    model: nn.Module,
    x: Tensor,
    *,
    watch: Stopwatch | None = None,
    budget: float = 3.0,
    most: int = 30,
    progress: Callable[[int, int | None], None] | None = None,
) -> LayerTimes:
    """Run `model` in evaluation mode, watched and unwatched in turns, and take medians.

    Args:
        x: the pictures, where the model's parameters are.
        watch: tells the time; by default the one of the device of `x`.
        budget: seconds after which no further run starts; at least three pairs of runs are made.
        most: pairs of runs at most.
        progress: called with (runs done, None), and with (runs, runs) at the end.
    """
    watch = watch or watch_for(x.device.type)
    runs: list[_Run] = []
    whole: list[float] = []
    with evaluating(model):
        for _ in range(2):  # the first run faults in memory and lets libraries choose their kernels
            model(x)
        spent = 0.0
        while len(runs) < 3 or (spent < budget and len(runs) < most):
            whole.append(_once(model, x, watch))
            runs.append(_watched(model, x, watch))
            first, last = runs[-1].marks[0][2], runs[-1].marks[-1][2]
            watch.settle()
            spent += whole[-1] + watch.seconds(first, last)
            if progress is not None:
                progress(len(runs), None)
    if progress is not None:
        progress(len(runs), len(runs))
    return _summary(runs, whole, watch)


def time_in_turns(
    cases: Sequence[tuple[nn.Module, Tensor]], *, watch: Stopwatch | None = None, budget: float = 2.0, most: int = 20
) -> list[float]:
    """Median seconds of each network on its pictures; they take turns, so that a slower minute hits all alike."""
    watch = watch or watch_for(cases[0][1].device.type)
    seconds: list[list[float]] = [[] for _ in cases]
    with ExitStack() as stack:
        for model, x in cases:
            stack.enter_context(evaluating(model))
            model(x)
        while len(seconds[0]) < 3 or (sum(map(sum, seconds)) < budget and len(seconds[0]) < most):
            for (model, x), kept in zip(cases, seconds, strict=True):
                kept.append(_once(model, x, watch))
    return [statistics.median(kept) for kept in seconds]


@contextmanager
def evaluating(model: nn.Module) -> Iterator[None]:
    """Evaluation mode without gradients inside; each module's own mode afterwards."""
    modes = {module: module.training for module in model.modules()}
    try:
        for module in modes:
            module.training = False
        with torch.no_grad():
            yield
    finally:
        for module, training in modes.items():
            module.training = training


def _once(model: nn.Module, x: Tensor, watch: Stopwatch) -> float:
    watch.settle()
    start = watch.mark()
    model(x)
    end = watch.mark()
    watch.settle()
    return watch.seconds(start, end)


def _watched(model: nn.Module, x: Tensor, watch: Stopwatch) -> _Run:
    run = _Run()
    names = {module: name or "(model)" for name, module in model.named_modules()}

    def enter(module: nn.Module, _inputs: Any) -> None:
        run.marks.append((True, names[module], watch.mark()))

    def leave(module: nn.Module, _inputs: Any, _output: Any) -> None:
        run.marks.append((False, names[module], watch.mark()))

    handles = [module.register_forward_pre_hook(enter) for module in names]
    handles += [module.register_forward_hook(leave) for module in names]
    try:
        model(x)
    finally:
        for handle in handles:
            handle.remove()
    return run


def _summary(runs: Sequence[_Run], whole: Sequence[float], watch: Stopwatch) -> LayerTimes:
    watch.settle()
    own = [run.own_seconds(watch) for run in runs]
    common = [call for call in own[0] if all(call in one for one in own)]
    return LayerTimes(
        own={call: statistics.median(one[call] for one in own) for call in common},
        whole=statistics.median(whole),
        runs=len(runs),
    )
