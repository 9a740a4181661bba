"""What is refused before it is looked into or timed, and what is said where a network fails."""

import pytest
import torch
from torch import nn

from separable.analysis.demands import bare_network, cannot_run
from separable.analysis.diagnosing import diagnose_network
from separable.analysis.graph import record_graph
from separable.analysis.measuring import count_only, measure
from separable.errors import UsageError
from separable.machine.ceilings import Ceilings

CEILINGS = Ceilings("cpu", "test", 1, {"fp32": 1e12}, ((10**9, 1e10),), {})
SHAPE = (1, 3, 8, 8)


def network() -> nn.Sequential:
    return nn.Sequential(nn.Conv2d(3, 4, 3), nn.ReLU())


def test_nothing_is_timed_that_has_no_values() -> None:
    bare = network().to("meta")
    with pytest.raises(UsageError, match=r"no weights to run with\. Got: tensors on the meta device"):
        diagnose_network(bare, SHAPE, {}, ceilings=CEILINGS)
    with pytest.raises(UsageError, match="no weights to run with"):
        measure(bare, SHAPE, CEILINGS)


@pytest.mark.parametrize("dtype", [torch.float16, torch.float64])
def test_a_diagnosis_says_no_precision_that_it_did_not_run(dtype: torch.dtype) -> None:
    said = str(dtype).removeprefix("torch.")
    with pytest.raises(UsageError, match=rf"Only networks in fp32 or bf16 are timed\. Got: weights in {said}\."):
        diagnose_network(network().to(dtype), SHAPE, {}, ceilings=CEILINGS)


def test_torchscript_is_refused_everywhere() -> None:
    scripted = torch.jit.script(network())
    for look in (
        lambda: record_graph(scripted, SHAPE),
        lambda: count_only(scripted, SHAPE, "fp32"),
        lambda: measure(scripted, SHAPE, CEILINGS),
        lambda: diagnose_network(scripted, SHAPE, {}, ceilings=CEILINGS),
    ):
        with pytest.raises(UsageError, match="TorchScript has compiled cannot be looked into"):
            look()


def test_wrappers_are_taken_off() -> None:
    model = network()
    assert bare_network(nn.DataParallel(torch.compile(model, backend="eager"))) is model
    assert bare_network(model) is model


@pytest.mark.parametrize(
    ("model", "shape", "fix"),
    [
        (nn.Conv2d(1, 4, 3), (2, 3, 8, 9), r"Give it what its first layer takes: --input 2x1x8x9\.$"),
        (nn.Conv2d(3, 4, 9), SHAPE, r"Give it a size that it can take\.$"),
        (nn.Sequential(nn.Flatten(), nn.Linear(5, 2)), SHAPE, r"cannot be multiplied.*\. Give it a size that it can"),
    ],
)
def test_only_what_is_wrong_is_to_be_changed(model: nn.Module, shape: tuple[int, ...], fix: str) -> None:
    with pytest.raises(UsageError, match=fix):
        record_graph(model, shape)


def test_a_networks_own_trouble_is_quoted_and_no_more() -> None:
    said = cannot_run(RuntimeError("in forward\nsecond line"), SHAPE)
    assert str(said) == "The network cannot be run on an input of 1x3x8x8. Got: RuntimeError: in forward second line."
    missing = cannot_run(TypeError("forward() missing 1 required positional argument: 'y'"), SHAPE)
    assert missing.fix is None
