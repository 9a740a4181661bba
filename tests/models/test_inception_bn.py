"""BN-Inception against its paper's table, TF-slim's own count and shapes, and the ONNX model zoo's graph of it."""

import json
from dataclasses import replace
from pathlib import Path

import pytest
import torch
import torch.nn.functional as F
from torch import nn

from separable.blocks.inception_bn import BNInception, SeparableStem
from separable.models import ImageModel, build_model
from tests.models.onnx_light import described, run_layers

# arXiv:1502.03167, figure 5: output, depth, #1x1, #3x3 reduce, #3x3, double reduce, double, pool and projection.
FIGURE_5 = {
    "inception3a": (28, 256, (64, 64, 64, 64, 96), ("average", 32)),
    "inception3b": (28, 320, (64, 64, 96, 64, 96), ("average", 64)),
    "inception3c": (14, 576, (0, 128, 160, 64, 96), ("max", 0)),
    "inception4a": (14, 576, (224, 64, 96, 96, 128), ("average", 128)),
    "inception4b": (14, 576, (192, 96, 128, 96, 128), ("average", 128)),
    "inception4c": (14, 576, (160, 128, 160, 128, 160), ("average", 96)),  # 128 is printed, and does not add up
    "inception4d": (14, 576, (96, 128, 192, 160, 192), ("average", 96)),  # likewise
    "inception4e": (7, 1024, (0, 128, 192, 192, 256), ("max", 0)),
    "inception5a": (7, 1024, (352, 192, 320, 160, 224), ("average", 128)),
    "inception5b": (7, 1024, (352, 192, 320, 192, 224), ("max", 128)),
}


def on_meta(num_classes: int = 1000, **options: object) -> ImageModel:
    with torch.device("meta"):
        return build_model("bn_inception", num_classes, **options).eval()


@pytest.mark.parametrize("separable_stem", [True, False])
def test_figure_5(separable_stem: bool) -> None:
    model, x = on_meta(separable_stem=separable_stem), torch.zeros(1, 3, 224, 224, device="meta")
    grids = {"conv1": (112, 64), "pool1": (56, 64), "conv2": (56, 64), "conv3": (56, 192), "pool2": (28, 192)}
    for name in model.chain:
        block = model.get_submodule(name)
        x = block(x)
        if name in grids:
            assert (x.shape[2], x.shape[1]) == grids[name]
            continue
        side, channels, widths, (kind, projected) = FIGURE_5[name]
        assert (x.shape[2], x.shape[1]) == (side, channels)
        assert type(block.get_submodule("pool")).__name__ == {"average": "AveragePool", "max": "MaxPool"}[kind]
        names = ("branch1x1", "branch3x3_1", "branch3x3_2", "branch3x3dbl_1", "branch3x3dbl_3", "branch_pool")
        found = [0 if (unit := getattr(block, one)) is None else unit.conv.out_channels for one in names]
        assert found == [*widths, projected]


def test_the_printed_projections_of_4c_and_4d_do_not_add_up() -> None:
    for name in ("inception4c", "inception4d"):
        _, channels, (single, _, wide, _, double), (_, projected) = FIGURE_5[name]
        assert single + wide + double + 128 == 608
        assert single + wide + double + projected == channels == 576


def test_parameters() -> None:
    """TF-slim's inception_v2_test.py counts 10,173,112 in the base network: beta, two statistics, no gamma; and in the
    first layer, which its arg_scope does not reach, a bias and no normalisation."""
    model = on_meta(0, gamma=False, stem_batch_norm=False)
    statistics = sum(value.numel() for name, value in model.state_dict().items() if "running_" in name)
    assert sum(p.numel() for p in model.parameters()) + statistics == 10_173_112
    assert sum(p.numel() for p in on_meta().parameters()) == 11_188_288
    plain = sum(p.numel() for p in on_meta(separable_stem=False).parameters())
    assert plain == 11_188_288 - (3 * 8 * 49 + 24 * 64) + 3 * 49 * 64


@pytest.mark.shared
def test_layer_by_layer_the_onnx_graph(test_data: Path) -> None:
    """The zoo's Inception V2: kernels, strides, sides, paddings, weights, epsilon, in their order.

    Its numerics are Caffe's (symmetric convolutions, pools that round up, which it writes as one pixel at the end) with
    an epsilon of 1e-5; its stem is plain.
    """
    stored = json.loads((test_data / "reference" / "onnx_light_inception_v2_layers.json").read_text())
    model = on_meta(separable_stem=False)
    model.adopt(replace(model.input_contract, padding="caffe", batch_norm_eps=1e-5))
    ours = run_layers(model, 224)
    for layer in stored:
        if "epsilon" in layer:
            layer["epsilon"] = pytest.approx(layer["epsilon"], rel=1e-6)  # written in single precision
    keys = ("op", "shape", "w", "kernel_shape", "strides", "epsilon")
    theirs = described(stored, *keys)
    assert len(theirs) == 69 + 69 + 12 + 1
    assert described(ours, *keys) == theirs
    pads = [layer["pads"] for layer in stored if layer["op"] == "Conv"]
    assert [layer["pads"] for layer in ours if layer["op"] == "Conv"] == pads


def test_the_separable_stem() -> None:
    """7x7 per channel, eight filters each, in TensorFlow's order of maps (channel by channel), then the 1x1."""
    torch.manual_seed(0)
    stem = SeparableStem(3, 32).eval()
    x = torch.randn(2, 3, 10, 12)
    depthwise, pointwise = stem.conv.depthwise.weight, stem.conv.pointwise.weight
    assert depthwise.shape == (24, 1, 7, 7)
    assert pointwise.shape == (32, 24, 1, 1)
    padded = F.pad(x, (2, 3, 2, 3))
    maps = [F.conv2d(padded[:, n // 8 : n // 8 + 1], depthwise[n : n + 1], stride=2) for n in range(24)]
    expected = F.relu(stem.bn(F.conv2d(torch.cat(maps, 1), pointwise)))
    torch.testing.assert_close(stem(x), expected)
    assert SeparableStem(3, 16).conv.depthwise.weight.shape[0] == 3 * 5, "slim: at most as many maps as outputs"
    assert SeparableStem(12, 8).conv.depthwise.weight.shape[0] == 12
    with_bias = SeparableStem(3, 32, batch_norm=False)
    assert isinstance(with_bias.bn, nn.Identity)
    assert with_bias.conv.pointwise.bias is not None


@pytest.mark.parametrize("side", [8, 7])
def test_the_module_written_out(side: int) -> None:
    torch.manual_seed(0)
    x = torch.randn(2, 20, side, side)
    module = BNInception(20, (16, 17, 18, 19, 21, 22)).eval()
    y = module(x)
    assert y.shape == (2, 16 + 18 + 21 + 22, side, side)
    torch.testing.assert_close(y[:, 16:34], module.branch3x3_2(module.branch3x3_1(x)))
    double = module.branch3x3dbl_3(module.branch3x3dbl_2(module.branch3x3dbl_1(x)))
    torch.testing.assert_close(y[:, 34:55], double)
    assert module.branch_pool is not None
    averaged = F.avg_pool2d(x, 3, 1, 1, count_include_pad=False)
    torch.testing.assert_close(y[:, 55:], module.branch_pool(averaged))
    reduction = BNInception(20, (0, 17, 18, 19, 21, 0), pool="max").eval()
    z = reduction(x)
    assert z.shape == (2, 18 + 21 + 20, 4, 4)
    border = (side % 2, 1, side % 2, 1)
    expected = F.max_pool2d(F.pad(x, border, value=float("-inf")), 3, 2)
    torch.testing.assert_close(z[:, 39:], expected, msg="the pool is passed through")
