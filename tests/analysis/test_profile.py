"""Profiles against the known totals, against arithmetic by hand, and on other people's modules."""

import json
import re
from typing import Any

import pytest
import torch
from torch import Tensor, nn

from separable.analysis import profile
from separable.blocks import SeparableConv2d
from separable.errors import InputSizeError, UsageError
from separable.models import build_model, model_spec


@pytest.mark.parametrize(
    ("name", "side", "macs", "gigamacs", "activations"),
    [
        ("xception", 299, 8_357_403_496, 8.357, 35.83),
        ("inception_v3", 299, 5_713_216_096, 5.713, 8.97),
        ("mobilenet_v1", 224, 568_740_352, 0.569, 5.04),
    ],
)
def test_known_totals(name: str, side: int, macs: int, gigamacs: float, activations: float) -> None:
    """Multiply-adds and convolution outputs that torchvision, timm and the MobileNet paper (table 4) publish."""
    result = profile(build_model(name), (1, 3, side, side))
    assert result.macs == macs == model_spec(name).macs
    assert round(result.macs / 1e9, 3) == gigamacs
    assert round(result.activations / 1e6, 2) == activations
    assert result.parameters == model_spec(name).parameters


def test_shares_of_the_middle_flow_and_the_stem() -> None:
    layers = profile(build_model("xception"), (1, 3, 299, 299)).layers
    total = sum(layer.macs for layer in layers)
    middle = sum(layer.macs for layer in layers if layer.name.split(".")[0] in {f"block{n}" for n in range(5, 13)})
    stem = sum(layer.macs for layer in layers if layer.name.startswith("block1."))
    assert round(100 * middle / total, 1) == 55.6
    assert round(100 * stem / total, 1) == 5.0


def test_one_layer_by_hand() -> None:
    (row,) = profile(nn.Conv2d(3, 8, 3, stride=2, bias=True), (2, 3, 9, 9)).layers
    assert (row.name, row.kind, row.output_shape) == ("(model)", "Conv2d", (2, 8, 4, 4))
    assert row.parameters == 8 * 3 * 9 + 8
    assert row.macs == 2 * 8 * 4 * 4 * 3 * 9
    assert row.activations == 2 * 8 * 4 * 4
    assert row.bytes == 4 * (2 * 3 * 9 * 9 + 8 * 3 * 9 + 8 + 2 * 8 * 4 * 4)


def test_a_fused_separable_convolution_counts_both_halves() -> None:
    convolution, norm = profile(SeparableConv2d(4, 6, batch_norm=True), (1, 4, 5, 5)).layers
    assert convolution.kind == "SeparableConv2d"
    assert convolution.parameters == 4 * 9 + 4 * 6
    assert convolution.macs == 25 * (4 * 9 + 4 * 6)
    assert convolution.activations == 25 * (4 + 6)
    assert (norm.name, norm.parameters) == ("bn", 12)


def test_half_precision_halves_the_bytes_and_leaves_the_rest() -> None:
    full = profile(build_model("mobilenet_v1", width=0.25), (1, 3, 64, 64))
    half = profile(build_model("mobilenet_v1", width=0.25).bfloat16(), (1, 3, 64, 64))
    assert (half.macs, half.parameters) == (full.macs, full.parameters)
    assert half.bytes == pytest.approx(full.bytes / 2, rel=0.02), "statistics stay in fp32"


class _Foreign(nn.Module):
    """A shared layer, a layer that is never called, an operation outside any layer, a branch on a value."""

    def __init__(self, looks_at_values: bool) -> None:
        super().__init__()
        self.looks_at_values = looks_at_values
        self.first, self.shared, self.spare = nn.Linear(4, 6), nn.Linear(6, 6), nn.Linear(6, 2)

    def forward(self, x: Tensor) -> Tensor:
        y = self.shared(self.shared(self.first(x)))
        if self.looks_at_values and y.sum() > 1e9:
            raise AssertionError
        return y @ y.T


@pytest.mark.parametrize("looks_at_values", [False, True])
def test_any_module(looks_at_values: bool) -> None:
    result = profile(_Foreign(looks_at_values), (3, 4))
    rows = [(row.name, row.parameters, row.macs) for row in result.layers]
    assert rows == [("first", 30, 72), ("shared", 42, 108), ("shared", 0, 108), ("(model)", 0, 54), ("spare", 14, 0)]
    assert result.layers[-1].output_shape == ()
    assert result.parameters == 86


def test_attention_and_integer_inputs() -> None:
    model = nn.Sequential(nn.Embedding(10, 8), nn.TransformerEncoderLayer(8, 2, 16, batch_first=True))
    result = profile(model, torch.zeros(2, 5, dtype=torch.int64))
    assert result.parameters == sum(p.numel() for p in model.parameters())
    projections, feed_forward, attention = 4 * 8 * 8, 2 * 8 * 16, 2 * 5 * 8
    assert result.macs == 2 * 5 * (projections + feed_forward + attention)


def test_leaves_the_model_as_it_was() -> None:
    model = build_model("mobilenet_v1", 3, width=0.25).train()
    model.head.eval()
    before = {name: value.clone() for name, value in model.state_dict().items()}
    profile(model, (1, 3, 64, 64))
    assert model.training
    assert not model.head.training
    assert all(torch.equal(value, before[name]) for name, value in model.state_dict().items())
    assert not any(module._forward_hooks or module._forward_pre_hooks for module in model.modules())


def test_the_models_own_complaints_come_through() -> None:
    with pytest.raises(InputSizeError, match="the smallest side that works is 71"):
        profile(build_model("xception", width=0.1), (1, 3, 64, 64))
    with pytest.raises(RuntimeError):
        profile(nn.Linear(3, 4), (2, 5))


@pytest.mark.parametrize("shape", [96, "96", (1, 3, -96, 96), (1, 3, 96.5, 96), None])
def test_what_is_no_shape_is_said(shape: Any) -> None:
    message = re.escape(
        f"`input_shape` is no shape. Got: {shape!r}. Expected: (N, C, H, W), for example (1, 3, 224, 224)."
    )
    with pytest.raises(UsageError, match=f"^{message}$"):
        profile(nn.Linear(3, 4), shape)


def test_table_and_json() -> None:
    result = profile(build_model("mobilenet_v1", 3, width=0.25), (1, 3, 64, 64))
    stored = json.loads(json.dumps(result.to_json()))
    assert stored["macs"] == result.macs == sum(layer["macs"] for layer in stored["layers"])
    assert stored["input_shape"] == [1, 3, 64, 64]
    assert [row["name"] for row in stored["layers"][:3]] == ["conv1", "conv1.conv", "conv1.bn"], "its padding is a copy"
    lines = result.to_text().splitlines()
    assert lines[0].split() == ["layer", "kind", "output", "parameters", "MACs", "activations", "bytes"]
    assert lines[-1].split() == [
        "total",
        *(f"{value:,}" for value in (result.parameters, result.macs, result.activations, result.bytes)),
    ]
    assert len(lines) == len(result.layers) + 4


@pytest.mark.parametrize("model", [5, "xception", nn.Linear])
def test_what_is_no_network_is_refused(model: Any) -> None:
    with pytest.raises(UsageError, match=r"Only a network can be profiled. Got: .*. Expected: a torch.nn.Module"):
        profile(model, (1, 3, 96, 96))


def test_a_missing_batch_axis_is_told() -> None:
    with pytest.raises(UsageError, match=r"takes pictures in batches. Got: a tensor of shape \(3, 96, 96\)"):
        profile(build_model("mobilenet_v1", 2, width=0.25), (3, 96, 96))
