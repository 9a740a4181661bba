"""GoogLeNet against what its paper prints, TF-slim's own count, and the ONNX model zoo's graph of it."""

import json
from functools import cache
from pathlib import Path

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from separable.blocks import MaxPool
from separable.blocks.inception_v1 import GoogLeNetAux, LocalResponseNorm, ReducedInception
from separable.models import ImageModel, build_model
from tests.models.onnx_light import described, run_layers

# arXiv:1409.4842, table 1: output, parameters in K, operations in M, both as printed.
TABLE_1 = {
    "conv1": ((112, 64), 2.7, 34),
    "pool1": ((56, 64), None, None),
    "conv3": ((56, 192), 112, 360),  # with its reduction, conv2
    "pool2": ((28, 192), None, None),
    "inception3a": ((28, 256), 159, 128),
    "inception3b": ((28, 480), 380, 304),
    "pool3": ((14, 480), None, None),
    "inception4a": ((14, 512), 364, 73),
    "inception4b": ((14, 512), 437, 88),
    "inception4c": ((14, 512), 463, 100),
    "inception4d": ((14, 528), 580, 119),
    "inception4e": ((14, 832), 840, 170),
    "pool4": ((7, 832), None, None),
    "inception5a": ((7, 832), 1072, 54),
    "inception5b": ((7, 1024), 1388, 71),
    "head": ((1, 1000), 1000, 1),
}
# What the widths of the same table give instead, where that is not what is printed.
COMPUTED_K = {
    "inception4a": 366.75,
    "inception4c": 497.5,
    "inception4d": 590.5,
    "inception4e": 847.0,
    "inception5a": 1018.0,
    "inception5b": 1409.0,
}
COMPUTED_M = {"inception5a": 51}


def on_meta(**options: object) -> ImageModel:
    with torch.device("meta"):
        return build_model("inception_v1", **options).eval()


def weights_of(module: nn.Module) -> int:
    """Without biases, as the paper counts."""
    return sum(p.numel() for name, p in module.named_parameters() if name.endswith("weight"))


@cache
def per_block(*, separable_stem: bool) -> dict[str, tuple[tuple[int, int], int, int]]:
    """For each block (side, channels), weights, multiply-adds at 224; conv2 is counted into conv3 as in the paper."""
    model, found = on_meta(separable_stem=separable_stem), {}
    x, carried = torch.zeros(1, 3, 224, 224, device="meta"), (0, 0)
    for name in model.chain:
        block = model.get_submodule(name)
        x = block(x)
        weights = weights_of(block)
        macs = weights * x.shape[2] * x.shape[3]
        if name == "conv2":
            carried = (weights, macs)
            continue
        extra = carried if name == "conv3" else (0, 0)
        found[name] = ((x.shape[2], x.shape[1]), weights + extra[0], macs + extra[1])
    assert model.head is not None
    found["head"] = ((1, model.head(x).shape[1]), weights_of(model.head), weights_of(model.head))
    return found


@pytest.mark.parametrize("block", TABLE_1)
def test_table_1(block: str) -> None:
    (side, channels), printed_k, printed_m = TABLE_1[block]
    shape, weights, macs = per_block(separable_stem=True)[block]
    assert shape == (side, channels)
    if printed_k is None:
        assert weights == 0
        return
    assert weights / 1024 == pytest.approx(COMPUTED_K.get(block, printed_k), abs=0.06 if block == "conv1" else 1.01)
    assert (block in COMPUTED_K) == (abs(weights / 1024 - printed_k) > 2)
    assert macs / 1e6 == pytest.approx(COMPUTED_M.get(block, printed_m), abs=0.65)
    assert (block in COMPUTED_M) == (abs(macs / 1e6 - printed_m) > 1)


def test_the_first_row_of_table_1_is_separable() -> None:
    """2.7K and 34M are 3 x 8 x 49 + 24 x 64 weights on 112x112; the plain 7x7 that the table names has 9408."""
    plain = per_block(separable_stem=False)["conv1"]
    assert plain[1:] == (9408, 9408 * 112**2)
    separable = per_block(separable_stem=True)["conv1"]
    assert separable[1:] == (2712, 2712 * 112**2)
    totals = [sum(row[2] for row in per_block(separable_stem=stem).values()) for stem in (True, False)]
    assert [round(total / 1e9, 2) for total in totals] == [1.50, 1.58], '"1.5 billion multiply-adds", section 1'


@pytest.mark.parametrize(
    ("options", "parameters"),
    [
        ({}, 6_998_552),
        ({"aux_head": True}, 13_378_280),
        ({"batch_norm": True, "five_by_five": False}, 6_624_904),  # torchvision, as its page says
        ({"batch_norm": True, "five_by_five": False, "aux_head": True}, 13_004_888),  # and with its auxiliary heads
    ],
)
def test_parameters(options: dict[str, bool], parameters: int) -> None:
    model = on_meta(**options)
    assert sum(p.numel() for p in model.parameters()) == parameters
    if not options:  # weights of the table's rows with a plain stem, a bias for every map and class
        rows = per_block(separable_stem=False).values()
        maps = sum(m.out_channels for m in model.modules() if isinstance(m, nn.Conv2d))
        assert parameters == sum(weights for _, weights, _ in rows) + maps + 1000


def test_tf_slims_own_count() -> None:
    """slim's inception_v1_test.py: 5,607,184 in the base network, with beta and two statistics, without gamma."""
    model = on_meta(num_classes=0, batch_norm=True, gamma=False, five_by_five=False)
    statistics = sum(value.numel() for name, value in model.state_dict().items() if "running_" in name)
    assert sum(p.numel() for p in model.parameters()) + statistics == 5_607_184


def test_every_unit_of_the_printed_network_has_a_bias_and_no_normalisation() -> None:
    model = on_meta(aux_head=True)
    assert not any(isinstance(module, nn.BatchNorm2d) for module in model.modules())
    assert all(m.bias is not None for m in model.modules() if isinstance(m, nn.Conv2d))
    assert [type(model.get_submodule(name)) for name in ("lrn1", "lrn2")] == [LocalResponseNorm] * 2
    assert model.chain[:7] == ("conv1", "pool1", "lrn1", "conv2", "conv3", "lrn2", "pool2"), "figure 3"
    assert on_meta(batch_norm=True).chain[:5] == ("conv1", "pool1", "conv2", "conv3", "pool2")
    assert model.aux_names == {"inception4a": "aux_head1", "inception4d": "aux_head2"}
    rates = {name: module.p for name, module in model.named_modules() if hasattr(module, "p")}
    assert rates == {"head.dropout": 0.4, "aux_head1.dropout": 0.7, "aux_head2.dropout": 0.7}


def test_local_response_normalisation() -> None:
    """Written out: five neighbouring channels, alpha over their number, none beyond the ends."""
    x = torch.randn(2, 7, 3, 4, dtype=torch.float64) * 40
    expected = torch.empty_like(x)
    for channel in range(7):
        window = x[:, max(0, channel - 2) : channel + 3].square().sum(1)
        expected[:, channel] = x[:, channel] / (1 + 1e-4 / 5 * window) ** 0.75
    torch.testing.assert_close(LocalResponseNorm()(x), expected)
    assert (expected - x).abs().max() > 1, "the pictures are loud enough for it to matter"


def test_the_module_of_figure_2b() -> None:
    torch.manual_seed(0)
    module = ReducedInception(6, (1, 2, 3, 4, 5, 6), width=1.0, batch_norm=False, bias=True).eval()
    assert module.out_channels == 4 * 16, "no branch is narrower than 16"
    module = ReducedInception(32, (16, 17, 18, 19, 20, 21), batch_norm=False, bias=True).eval()
    x = torch.randn(2, 32, 6, 5)

    def conv(name: str, y: Tensor) -> Tensor:
        layer = module.get_submodule(f"{name}.conv")
        return F.relu(F.conv2d(y, layer.weight, layer.bias, padding=layer.weight.shape[-1] // 2))

    expected = torch.cat(
        (
            conv("branch1x1", x),
            conv("branch3x3_2", conv("branch3x3_1", x)),
            conv("branch5x5_2", conv("branch5x5_1", x)),
            conv("branch_pool", F.max_pool2d(x, 3, 1, 1)),
        ),
        1,
    )
    torch.testing.assert_close(module(x), expected)
    assert module.get_submodule("branch5x5_2.conv").weight.shape[-2:] == (5, 5)
    small = ReducedInception(32, (16, 17, 18, 19, 20, 21), five_by_five=False)
    assert small.get_submodule("branch5x5_2.conv").weight.shape[-2:] == (3, 3)


def test_the_auxiliary_head_of_section_5() -> None:
    """5x5/3 pooling leaves 4x4 of the 14x14 grid; other grids give an answer too."""
    torch.manual_seed(0)
    head = GoogLeNetAux(8, 3, width=0.125, batch_norm=False, bias=True).eval()
    x = torch.randn(2, 8, 14, 14)
    pooled = F.avg_pool2d(x, 5, 3)
    assert pooled.shape[2:] == (4, 4)
    y = F.relu(head.fc1(head.conv(pooled).flatten(1)))
    torch.testing.assert_close(head(x), head.classifier(y))
    torch.testing.assert_close(head(x, pre_logits=True), y)
    for side in ((2, 2), (2, 14), (7, 9), (20, 17)):
        assert head(torch.randn(2, 8, *side)).shape == (2, 3)


@pytest.mark.shared
def test_the_widths_and_the_order_are_those_of_the_onnx_graph(test_data: Path) -> None:
    """Sides are left out: the zoo's bvlc_googlenet lost the rounding up of Caffe's pools: 55, 27, 13, 6."""
    graph = json.loads((test_data / "reference" / "onnx_light_inception_v1_layers.json").read_text())
    keys = ("op", "channels", "w", "kernel_shape", "strides")
    assert described(run_layers(on_meta(), 224), *keys) == described(graph, *keys)
    lrn = [layer for layer in graph if layer["op"] == "LRN"]
    assert [(n["size"], n["beta"], n["bias"], round(n["alpha"], 9)) for n in lrn] == [(5, 0.75, 1.0, 1e-4)] * 2


@pytest.mark.compiles
@pytest.mark.filterwarnings("ignore::torch.jit.TracerWarning", "ignore:.*torch.jit.*:DeprecationWarning")
@pytest.mark.parametrize("kernel", [2, 3])
def test_pools_that_round_up_are_traced_for_every_side(kernel: int) -> None:
    pool, auto = MaxPool("same", kernel=kernel), torch.export.Dim.AUTO
    pool.set_border("caffe")
    example = torch.randn(2, 3, 12, 13)
    exported = torch.export.export(pool, (example,), dynamic_shapes=({2: auto, 3: auto},)).module()
    traced = torch.jit.trace(pool, example)
    for side in ((5, 6), (6, 7), (8, 5), (12, 13)):
        x = torch.randn(2, 3, *side)
        expected = F.max_pool2d(x, kernel, 2, ceil_mode=True)
        assert torch.equal(pool(x), expected)
        assert torch.equal(exported(x), expected)
        assert torch.equal(traced(x), expected)
