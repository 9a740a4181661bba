"""Limits by arithmetic, and every millisecond accounted for."""

import json
import math

import pytest
import torch
from torch import Tensor, nn

from separable.analysis.kinds import Convolution, Operation, layer_kind
from separable.analysis.measuring import count_only, measure
from separable.analysis.profile import count
from separable.analysis.roofline import limit_of
from separable.analysis.timing import CpuWatch
from separable.blocks import SeparableConv2d
from separable.errors import UsageError
from separable.machine.ceilings import Ceilings
from separable.models import build_model

CEILINGS = Ceilings("cpu", "test", 1, {"fp32": 2e9, "bf16": 4e9}, ((10**4, 4e9), (10**8, 1e9)), {})


class Ticking:
    """Every look at it takes a millisecond, so that a layer takes one and each call in a container one more."""

    def __init__(self) -> None:
        self.now = 0.0

    def __call__(self) -> float:
        self.now += 0.001
        return self.now


def watch() -> CpuWatch:
    return CpuWatch(Ticking())


def test_the_longer_of_two_times_is_the_limit() -> None:
    assert limit_of(3_000_000, 1_000_000, CEILINGS, "fp32") == (0.003, "compute")
    assert limit_of(3_000_000, 1_000_000, CEILINGS, "bf16") == (0.0015, "compute")
    assert limit_of(3_000, 5_000_000, CEILINGS, "fp32") == (0.005, "memory")
    assert limit_of(0, 0, CEILINGS, "fp32") == (0.0, "nothing")


def test_one_layer_by_hand() -> None:
    model = nn.Sequential(nn.Conv2d(3, 8, 3, stride=2), nn.ReLU())
    found = measure(model, (2, 3, 9, 9), CEILINGS, watch=watch(), budget=0.0)
    convolution, relu = found.layers
    macs, moved = 2 * 8 * 4 * 4 * 27, 4 * (2 * 3 * 81 + 8 * 27 + 8 + 2 * 8 * 16)
    assert (convolution.macs, convolution.bytes) == (macs, moved)
    assert convolution.limit == max(2 * macs / 2e9, moved / 1e9)
    assert convolution.bound == "compute"
    assert convolution.kind == "3x3 convolution"
    assert convolution.seconds == pytest.approx(0.001)
    assert convolution.share == pytest.approx(convolution.limit / 0.001)
    assert (relu.kind, relu.bound, relu.limit) == ("activation", "memory", 2 * 4 * 2 * 8 * 16 / 1e9)


def test_layers_and_what_is_outside_make_the_whole() -> None:
    found = measure(build_model("mobilenet_v1", 3, width=0.1), (1, 3, 64, 64), CEILINGS, watch=watch(), budget=0.0)
    assert found.inside + found.outside == pytest.approx(found.watched)
    assert found.outside > 0, "containers that only call their layers still take a look at the clock each"
    assert found.inside == pytest.approx(sum(layer.seconds for layer in found.layers))
    names = [layer.name for layer in found.layers]
    assert names == [row.layer.name for row in count(build_model("mobilenet_v1", 3, width=0.1), (1, 3, 64, 64))[1]]
    lines = found.to_text().splitlines()
    assert lines[-3].startswith("outside of layers")
    assert lines[-1].startswith("total")
    told = json.loads(json.dumps(found.to_json()))
    assert told["layers_milliseconds"] + told["outside_milliseconds"] == pytest.approx(told["watched_milliseconds"])


class _Shared(nn.Module):
    """One layer called twice, one never, a sum between."""

    def __init__(self) -> None:
        super().__init__()
        self.shared, self.spare = nn.Linear(4, 4), nn.Linear(4, 4)

    def forward(self, x: Tensor) -> Tensor:
        y: Tensor = self.shared(x)
        return y + self.shared(y)


def test_shared_and_idle_layers() -> None:
    found = measure(_Shared(), (2, 4), CEILINGS, watch=watch(), budget=0.0)
    rows = [(layer.name, layer.call, layer.kind) for layer in found.layers]
    assert rows == [
        ("shared", 0, "linear"),
        ("shared", 1, "linear"),
        ("(model)", 0, "sums and products"),
        ("spare", 0, "no operation"),
    ]
    assert math.isnan(found.layers[-1].seconds)
    assert found.layers[2].seconds == pytest.approx(0.003)
    assert found.outside == pytest.approx(0.0), "the container is a row itself, with the sum"


def test_bf16_and_channels_last_run_a_copy() -> None:
    seen = []
    model = nn.Conv2d(3, 8, 3)
    model.register_forward_pre_hook(lambda _, inputs: seen.append(inputs[0]))
    measure(model, (1, 3, 8, 8), CEILINGS, precision="bf16", channels_last=True, watch=watch(), budget=0.0)
    real = [x for x in seen if not x.is_meta]
    assert real
    assert all(x.dtype == torch.bfloat16 and x.is_contiguous(memory_format=torch.channels_last) for x in real)
    assert model.weight.dtype == torch.float32
    half = measure(nn.ReLU(), (1, 3, 8, 8), CEILINGS, watch=watch(), budget=0.0)
    assert half.layers[0].bytes == 2 * 4 * 3 * 64


def test_what_cannot_be_measured_is_said() -> None:
    only = Ceilings("cpu", "test", 1, {"fp32": 1e9}, ((1, 1e9),), {})
    with pytest.raises(UsageError, match=r"only emulates bf16, which has no limit to measure against. Measure in fp32"):
        measure(nn.ReLU(), (1, 3), only, precision="bf16")

    class Stubborn(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.weight = nn.Parameter(torch.ones(3, 3))

        def forward(self, x: Tensor) -> Tensor:
            return x @ self.weight @ torch.ones(3, 3)

    with pytest.raises(UsageError, match=r"The network does not run in bf16. Got: .* Measure it in fp32."):
        measure(Stubborn(), (1, 3), CEILINGS, precision="bf16")


def test_whole_runs_far_above_their_parts_are_called_disturbed() -> None:
    found = measure(nn.ReLU(), (1, 3), CEILINGS, watch=watch(), budget=0.0)
    assert not found.disturbed
    assert type(found)(**{**vars(found), "whole": 2 * found.watched}).disturbed


def test_other_ceilings_move_the_limits_alone() -> None:
    found = measure(nn.Linear(64, 64), (1, 64), CEILINGS, watch=watch(), budget=0.0)
    faster = Ceilings("cpu", "test", 1, {"fp32": 2e9}, ((10**8, 2e9),), {})
    assert found.under(faster).layers[0].limit == found.layers[0].limit / 2
    assert found.under(faster).layers[0].seconds == found.layers[0].seconds


def test_counting_alone_has_no_times() -> None:
    totals, layers = count_only(build_model("mobilenet_v1", 3, width=0.1), (1, 3, 64, 64), "bf16")
    assert totals.macs == sum(layer.macs for layer in layers)
    assert all(math.isnan(layer.seconds) for layer in layers)
    full = count_only(build_model("mobilenet_v1", 3, width=0.1), (1, 3, 64, 64), "fp32")[0]
    assert totals.bytes == pytest.approx(full.bytes / 2, rel=0.03)


@pytest.mark.parametrize(
    ("module", "shape", "kind"),
    [
        (nn.Conv2d(4, 4, (1, 7), groups=4), (1, 4, 8, 8), "depthwise 1x7"),
        (nn.Conv2d(4, 8, 3, groups=2), (1, 4, 8, 8), "grouped 3x3 convolution"),
        (nn.ConvTranspose2d(4, 8, 2, 2), (1, 4, 8, 8), "transposed 2x2 convolution"),
        (SeparableConv2d(4, 8), (1, 4, 8, 8), "separable 3x3"),
        (nn.BatchNorm2d(4), (1, 4, 8, 8), "batch norm"),
        (nn.LayerNorm(8), (1, 4, 8), "normalisation"),
        (nn.MaxPool2d(2), (1, 4, 8, 8), "pooling"),
        (nn.Hardswish(), (1, 4), "activation"),
        (nn.Dropout(), (1, 4), "no operation"),
        (nn.Linear(4, 4), (1, 4), "linear"),
    ],
)
def test_kinds(module: nn.Module, shape: tuple[int, ...], kind: str) -> None:
    rows = count(module, shape)[1]
    assert [layer_kind(row.operations) for row in rows] == [kind]


def test_what_a_layer_follows() -> None:
    model = nn.Sequential(nn.Conv2d(3, 8, 3), nn.BatchNorm2d(8), nn.ReLU(), nn.Flatten(), nn.Linear(8, 2))
    rows = [row for row in count(model, (1, 3, 3, 3))[1] if row.operations]
    assert [row.operations[-1].follows for row in rows] == ["", "3x3 convolution", "batch norm", ""]


def test_transposed_convolutions_count_their_channels() -> None:
    (row,) = count(nn.ConvTranspose2d(4, 6, 2, 2, groups=2), (1, 4, 3, 3))[1]
    assert row.operations[0].convolution == Convolution(4, 6, (2, 2), (2, 2), 2, True)
    assert layer_kind([Operation("a", 5, 1), Operation("b", 7, 1)]) == "several products"
