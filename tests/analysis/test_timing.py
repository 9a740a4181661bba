"""Whose time is whose, by a clock that only the layers under test move."""

import pytest
import torch
from torch import Tensor, nn

from separable.analysis.timing import CpuWatch, time_in_turns, time_layers


class Clock:
    def __init__(self) -> None:
        self.now = 0.0

    def __call__(self) -> float:
        return self.now


class Work(nn.Module):
    """Takes `seconds`, by the clock."""

    def __init__(self, clock: Clock, seconds: float) -> None:
        super().__init__()
        self.clock, self.seconds = clock, seconds

    def forward(self, x: Tensor) -> Tensor:
        self.clock.now += self.seconds
        return x


class Around(Work):
    """Takes its own time before, between and after two calls of one inner layer."""

    def __init__(self, clock: Clock, seconds: float, inside: nn.Module) -> None:
        super().__init__(clock, seconds)
        self.inside = inside

    def forward(self, x: Tensor) -> Tensor:
        y: Tensor = super().forward(self.inside(super().forward(self.inside(super().forward(x)))))
        return y


def test_each_call_gets_its_own_time() -> None:
    clock = Clock()
    model = nn.Sequential(Work(clock, 1.0), Around(clock, 0.25, Work(clock, 2.0)))
    times = time_layers(model, torch.zeros(1), watch=CpuWatch(clock), budget=0.0)
    assert times.own == {("0", 0): 1.0, ("1.inside", 0): 2.0, ("1.inside", 1): 2.0, ("1", 0): 0.75, ("(model)", 0): 0.0}
    assert times.whole == times.watched == 5.75
    assert times.runs == 3


def test_medians_forget_a_disturbed_run() -> None:
    clock, runs = Clock(), [0]

    class Disturbed(Work):
        def forward(self, x: Tensor) -> Tensor:
            runs[0] += 1
            self.clock.now += 100.0 if runs[0] == 4 else 0.0  # the first watched run, after two that warm up
            return super().forward(x)

    times = time_layers(Disturbed(clock, 1.0), torch.zeros(1), watch=CpuWatch(clock), budget=0.0)
    assert times.own == {("(model)", 0): 1.0}
    assert times.whole == 1.0


def test_the_budget_and_the_most_runs_end_it() -> None:
    clock = Clock()
    model, told = Work(clock, 1.0), []
    times = time_layers(
        model,
        torch.zeros(1),
        watch=CpuWatch(clock),
        budget=11.0,
        progress=lambda done, total: told.append((done, total)),
    )
    assert times.runs == 6, "a watched and an unwatched second in each"
    assert told == [*((n, None) for n in range(1, 7)), (6, 6)]
    assert time_layers(model, torch.zeros(1), watch=CpuWatch(clock), budget=1e9, most=4).runs == 4


def test_networks_take_turns() -> None:
    clock, order = Clock(), []

    class Named(Work):
        def forward(self, x: Tensor) -> Tensor:
            order.append(self.seconds)
            return super().forward(x)

    cases = [(Named(clock, seconds), torch.zeros(1)) for seconds in (1.0, 3.0)]
    assert time_in_turns(cases, watch=CpuWatch(clock), budget=0.0) == [1.0, 3.0]
    assert order == [1.0, 3.0] * 4


def test_the_model_is_left_as_it_was() -> None:
    model = nn.Sequential(nn.Dropout(), nn.Linear(3, 2))
    model[0].eval()

    def fail(*_: object) -> None:
        raise ZeroDivisionError

    handle = model[1].register_forward_pre_hook(fail)
    with pytest.raises(ZeroDivisionError):
        time_layers(model, torch.zeros(1, 3))
    handle.remove()
    time_layers(model, torch.zeros(1, 3), budget=0.0)
    assert model.training
    assert not model[0].training
    assert not any(module._forward_hooks or module._forward_pre_hooks for module in model.modules())
