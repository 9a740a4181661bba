"""Xception at every point of the spectrum: what stays today's network, what each layer becomes, and what it costs."""

from pathlib import Path
from typing import Any

import pytest
import torch
from torch import nn

from separable.analysis import profile
from separable.analysis.graph import record_graph
from separable.analysis.principles import find_broken_principles
from separable.blocks import SeparableConv2d, SpectrumConv2d
from separable.blocks.savings import separable_cost, spectrum_cost
from separable.errors import ModelOptionError, SeparableError, WeightsMismatchError
from separable.models import ImageModel, build_model
from separable.weights import load_weights, save_model
from separable.weights.ports.legacy_xception import LEGACY_XCEPTION
from separable.weights.ports.read import check_fixed
from tests.models.small import assert_same, logits, make, make_alive


def on_meta(**options: Any) -> ImageModel:
    with torch.device("meta"):
        return build_model("xception", **options)


def units(model: nn.Module) -> list[SeparableConv2d | SpectrumConv2d]:
    return [module for module in model.modules() if isinstance(module, SeparableConv2d | SpectrumConv2d)]


PUBLISHED = [(unit.depthwise.in_channels, unit.pointwise.out_channels) for unit in units(on_meta())]
"""Channels in and out of the 34 separable convolutions of figure 5."""


@pytest.mark.parametrize("options", [{"segments": 2048}, {"order": "spatial_first"}, {"segments": 10**6}])
def test_today_s_network_is_one_end(options: dict[str, Any]) -> None:
    """Names, numbers and initial weights, so that its published weights and its speed are those of Xception."""
    assert list(on_meta(**options).state_dict()) == list(on_meta().state_dict())
    assert all(isinstance(unit, SeparableConv2d) for unit in units(on_meta(**options)))
    ours, plain = make("xception", **options), make("xception")
    for name, value in plain.state_dict().items():
        assert torch.equal(ours.state_dict()[name], value), name


@pytest.mark.parametrize("order", ["spatial_first", "pointwise_first"])
@pytest.mark.parametrize("segments", [1, 2, 3, 4, 5, 8, 16, 32, 64, 100, 256, 728, 1024, None])
def test_every_count_costs_what_its_formula_says(segments: int | None, order: str) -> None:
    model = on_meta(segments=segments, order=order)
    expected = 22_855_952
    for ins, outs in PUBLISHED:
        inner = ins if order == "spatial_first" else outs
        count = inner if segments is None else min(segments, inner)
        expected += spectrum_cost(ins, outs, segments=count, order=order).parameters
        expected -= separable_cost(ins, outs).parameters
    assert len(PUBLISHED) == 34
    assert sum(parameter.numel() for parameter in model.parameters()) == expected


@pytest.mark.parametrize(("segments", "parameters"), [(1, 183_616_904), (4, 62_890_616), (64, 25_167_296)])
def test_some_counts(segments: int, parameters: int) -> None:
    assert sum(parameter.numel() for parameter in on_meta(segments=segments).parameters()) == parameters


def test_segments_are_clipped_where_a_layer_has_fewer_channels() -> None:
    found = units(on_meta(segments=200))
    assert [isinstance(unit, SeparableConv2d) for unit in found] == [ins <= 200 for ins, _ in PUBLISHED]
    assert {unit.segments for unit in found if isinstance(unit, SpectrumConv2d)} == {200}
    swapped = units(on_meta(segments=200, order="pointwise_first"))
    assert [unit.segments for unit in swapped] == [min(200, outs) for _, outs in PUBLISHED]


def test_the_middle_flow_at_one_segment_is_written_out() -> None:
    """A regular 3x3 and a 1x1, three times with ReLU before each, plus the identity."""
    model = make("xception", segments=1).eval()
    block, x = model.get_submodule("block5"), torch.randn(2, 88, 6, 5)
    y = x
    for unit in (block.sepconv1, block.sepconv2, block.sepconv3):
        y = torch.conv2d(torch.relu(y), unit.spatial.parts[0].weight, padding=1)
        y = unit.bn(torch.conv2d(y, unit.pointwise.weight))
    torch.testing.assert_close(block(x), x + y)


@pytest.mark.parametrize("order", ["spatial_first", "pointwise_first"])
@pytest.mark.parametrize("activation", ["relu", "elu"])
def test_the_activation_between_reaches_all_of_them(order: str, activation: str) -> None:
    found = units(on_meta(segments=5, order=order, intermediate_activation=activation, middle_blocks=1))
    kind = {"relu": nn.ReLU, "elu": nn.ELU}[activation]
    assert len(found) == 13
    assert all(type(unit.act) is kind for unit in found)


def test_dilated_maps_are_the_original_ones_between() -> None:
    """`output_stride` samples the same function more densely (arXiv:1802.02611), whatever the segments."""
    plain = make_alive("xception-segments")
    dense = make("xception-segments", output_stride=8)
    dense.load_state_dict(plain.state_dict())
    x = torch.randn(1, 3, 65, 65)
    with torch.no_grad():
        sparse, full = plain.forward_features(x), dense.eval().forward_features(x)
    assert full.shape[2] > sparse.shape[2]
    assert_same(full[:, :, ::2, ::2][:, :, : sparse.shape[2], : sparse.shape[3]], sparse)


@pytest.mark.parametrize("options", [{"segments": 4}, {"segments": 5}, {"order": "pointwise_first"}, {"segments": 1}])
def test_it_is_profiled_and_found_sound(options: dict[str, Any]) -> None:
    model = on_meta(**options)
    counted = profile(model, (1, 3, 299, 299))
    assert counted.parameters == sum(parameter.numel() for parameter in model.parameters())
    graph = record_graph(model, (1, 3, 299, 299))
    assert sum(node.parameters for node in graph.nodes) == counted.parameters
    assert not [finding for finding in find_broken_principles(graph) if finding.level == "warning"]


def test_it_is_kept_with_its_options(tmp_path: Path) -> None:
    model = make("xception", segments=5, order="pointwise_first", stem_stride=1)
    save_model(model, tmp_path / "model")
    again = build_model("xception", model.num_classes, **model.options)
    load_weights(again, tmp_path / "model")
    x = torch.randn(1, 3, 32, 32)
    assert torch.equal(logits(again, x), logits(model, x))
    with pytest.raises(SeparableError):
        load_weights(make("xception"), tmp_path / "model")


@pytest.mark.parametrize("options", [{"segments": 4}, {"segments": 300}, {"order": "pointwise_first"}])
def test_no_weights_of_others_are_taken_for_it(options: dict[str, Any]) -> None:
    model = on_meta(**options)
    with pytest.raises(WeightsMismatchError, match=r"timm has no legacy_xception like this\. Got: (segments|order)="):
        check_fixed(LEGACY_XCEPTION, model)
    ours = {name for name in model.state_dict() if not name.endswith("num_batches_tracked")}
    assert set(LEGACY_XCEPTION.names(model)) == ours, "so that a file of theirs is refused by what it lacks"


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"segments": 0}, "segments. Got: 0. Expected: an integer of at least 1"),
        ({"segments": "all"}, "segments. Got: 'all'. Expected: an integer of at least 1"),
        ({"segments": True}, "segments. Got: True. Expected: an integer of at least 1"),
        ({"order": "depthwise_first"}, "order. Got: 'depthwise_first'. Expected: 'spatial_first' or 'pointwise_first'"),
        ({"order": None}, "order. Got: None. Expected: 'spatial_first' or 'pointwise_first'"),
    ],
)
def test_bad_values_are_named(options: dict[str, Any], message: str) -> None:
    with pytest.raises(ModelOptionError, match=f"Bad model option {message}"):
        build_model("xception", 2, **options)
