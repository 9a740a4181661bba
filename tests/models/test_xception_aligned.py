"""Xception-41, -65 and -71: counts of timm and of the field's tables, DeepLab's structure, the options."""

import pytest
import torch
from torch import nn

from separable.analysis import profile
from separable.blocks.separable import SeparableConv2d
from separable.errors import ModelOptionError
from separable.models import ImageModel, build_model, model_spec
from tests.peers import timm

NAMES = ["xception41", "xception65", "xception71"]


def meta(name: str, **options: object) -> ImageModel:
    with torch.device("meta"):
        return build_model(name, **options).eval()


def separables(model: nn.Module) -> list[SeparableConv2d]:
    return [module for module in model.modules() if isinstance(module, SeparableConv2d)]


@pytest.mark.parametrize(
    ("name", "millions", "gmacs", "mega_activations"),
    [("xception41", 26.97, 9.28, 39.86), ("xception65", 39.92, 13.96, 52.48), ("xception71", 42.34, 18.09, 69.92)],
)
def test_counts_are_those_of_timms_table(name: str, millions: float, gmacs: float, mega_activations: float) -> None:
    """Its GMACs count batch normalisation as two operations on every output; multiply-adds alone are 1 % fewer."""
    with torch.device("meta"):
        theirs = timm.create_model(name)
    model = meta(name)
    parameters = sum(value.numel() for value in model.parameters())
    assert parameters == sum(value.numel() for value in theirs.parameters()) == model_spec(name).parameters
    assert round(parameters / 1e6, 2) == millions
    found = profile(model, (1, 3, 299, 299))
    assert found.macs == model_spec(name).macs
    assert round(found.activations / 1e6, 2) == mega_activations
    assert round((found.macs + 2 * found.activations) / 1e9, 2) == gmacs


@pytest.mark.parametrize(
    ("name", "modules", "entry"),
    [
        ("xception41", 13, [(128, 75), (256, 38), (728, 19)]),
        ("xception65", 21, [(128, 75), (256, 38), (728, 19)]),
        ("xception71", 23, [(128, 75), (256, 75), (256, 38), (728, 38), (728, 19)]),
    ],
)
def test_the_flows_of_figure_4(name: str, modules: int, entry: list[tuple[int, int]]) -> None:
    model, x = meta(name), torch.empty(1, 3, 299, 299, device="meta")
    shapes = {}
    for block in model.chain:
        x = model.get_submodule(block)(x)
        shapes[block] = (x.shape[1], x.shape[2])
    assert len(separables(model)) == 3 * modules, "always three to a module"
    assert [shapes[block] for block in shapes if block.startswith("entry")] == entry
    assert {shapes[block] for block in shapes if block.startswith("middle")} == {(728, 19)}
    assert (shapes["conv2"], shapes["exit1"], shapes["exit2"]) == ((64, 150), (1024, 10), (2048, 10))
    # "41" and "65" count two convolutions and the separable ones; "71" counts the same way.
    assert 2 + 3 * modules == int(name.removeprefix("xception"))


def test_where_relu_is() -> None:
    """Batch normalisation after every depthwise convolution; ReLU after it in the last module only, unlike the text."""
    model = meta("xception41")
    for block in model.chain[2:]:
        for layer in separables(model.get_submodule(block)):
            assert (layer.act is not None) is (block == "exit2")
            assert isinstance(layer.intermediate_bn, nn.BatchNorm2d)
    with_shortcut = [block for block in model.chain if "shortcut" in dict(model.get_submodule(block).named_children())]
    assert [block for block in with_shortcut if model.get_submodule(block).shortcut is not None] == [
        *("entry1", "entry2", "entry3", "exit1")
    ]


def test_dilations_at_output_stride_8_and_the_multi_grid() -> None:
    model = meta("xception71", output_stride=8, multi_grid=(1, 2, 4), middle_blocks=1)
    found = {block: [layer.dilation for layer in separables(model.get_submodule(block))] for block in model.chain[2:]}
    assert found == {
        **{f"entry{number}": [1, 1, 1] for number in range(1, 6)},
        "middle1": [2, 2, 2],
        "exit1": [2, 2, 2],
        "exit2": [4, 8, 16],
    }
    assert [tap.stride for tap in model.taps] == [2, 4, 8, 8, 8]
    assert [tap.block for tap in model.taps] == ["conv2", "entry2", "entry4", "middle1", "exit2"]


def test_weights_start_as_deeplabs() -> None:
    """Normal of deviation 0.09 cut at two deviations, which leaves 0.0792; depthwise kernels and classifier too."""
    model = build_model("xception41", 1000, width=0.5, middle_blocks=0)
    for layer in ("exit2.sepconv3.depthwise", "exit2.sepconv3.pointwise", "head.classifier"):
        weight = model.get_submodule(layer).weight
        assert weight.std().item() == pytest.approx(0.0792, rel=0.02), layer
        assert weight.abs().max() <= 0.18


def test_the_name_decides_the_depth() -> None:
    for name in NAMES:
        model = meta(name)
        assert model.name == name
        assert "depth" not in model.options
    assert model_spec("xception65").input.padding == "symmetric"


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"multi_grid": (1, 2)}, r"multi_grid\. Got: \(1, 2\)\. Expected: a list of 3"),
        ({"multi_grid": (1, 2, 0)}, r"multi_grid\. Got: 0\. Expected: an integer of at least 1"),
        ({"middle_blocks": -1}, r"middle_blocks\. Got: -1\. Expected: an integer of at least 0"),
        ({"output_stride": 4}, r"output_stride\. Got: 4\. Expected: 8 or 16 or 32"),
    ],
)
def test_illegal_options_are_named(options: dict[str, object], message: str) -> None:
    with pytest.raises(ModelOptionError, match=f"Bad model option {message}"):
        build_model("xception41", **options)


def test_a_short_middle_flow_keeps_the_taps() -> None:
    assert [tap.block for tap in meta("xception41", middle_blocks=0).taps] == [
        *("conv2", "entry1", "entry2", "entry3", "exit2")
    ]
