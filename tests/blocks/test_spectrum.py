"""The spectrum from a regular to a depthwise separable convolution: both ends, the points between, and their costs."""

from typing import Any

import pytest
import torch
import torch.nn.functional as F
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor, nn

from separable import ops
from separable.blocks import (
    ExtremeInception,
    InceptionUnits,
    RegroupedInception,
    SegmentedConv2d,
    SeparableConv2d,
    SpectrumConv2d,
)
from separable.blocks.init import init_glorot_uniform
from separable.blocks.numerics import set_numerics
from separable.blocks.savings import convolution_cost, segmented_cost, separable_cost, spectrum_cost
from separable.blocks.segments import segment_sizes
from separable.errors import ModelOptionError
from tests.blocks.test_units import unsettle
from tests.tolerances import SAME_FORMULA_FLOAT64

ORDERS = ("spatial_first", "pointwise_first")
PLAIN = InceptionUnits(intermediate_activation=None, activation=None, batch_norm=False)
ACTIVATIONS = {None: lambda x: x, "relu": F.relu, "elu": F.elu}

orders = st.sampled_from(ORDERS)
channels = st.integers(1, 12)


@st.composite
def forms(draw: st.DrawFn) -> dict[str, Any]:
    """Arguments of a block, and a number of segments that it can have."""
    form: dict[str, Any] = {
        "in_channels": draw(channels),
        "out_channels": draw(channels),
        "order": draw(orders),
        "kernel": draw(st.sampled_from([1, 3, 5])),
        "intermediate_activation": draw(st.sampled_from([None, "relu", "elu"])),
        "stride": draw(st.sampled_from([1, 2])),
        "dilation": draw(st.sampled_from([1, 2])),
        "padding": draw(st.sampled_from(["same", 0, 2])),
        "depth_multiplier": draw(st.integers(1, 3)),
        "bias": draw(st.booleans()),
        "batch_norm": draw(st.booleans()),
        "intermediate_norm": draw(st.booleans()),
    }
    inner = form["in_channels"]
    if form["order"] == "pointwise_first":
        inner = form["out_channels"]
        form["out_channels"] *= form["depth_multiplier"]
    form["segments"] = draw(st.integers(1, inner))
    return form


def weights(module: nn.Module) -> int:
    return sum(value.numel() for value in module.parameters())


def picture(in_channels: int, height: int = 9, width: int = 10) -> Tensor:
    return torch.randn(2, in_channels, height, width, dtype=torch.float64)


def same(found: Tensor, expected: Tensor) -> None:
    scale = max(1.0, expected.abs().max().item())
    torch.testing.assert_close(found, expected, rtol=0, atol=SAME_FORMULA_FLOAT64 * scale)


def gradients(module: nn.Module, x: Tensor) -> tuple[Tensor, ...]:
    """The output, and the gradients of a loss that weighs every number of it differently."""
    x = x.clone().requires_grad_()
    y = module(x)
    return (y, *torch.autograd.grad((y * torch.arange(y.numel()).view(y.shape).cos()).sum(), (x, *module.parameters())))


def one_by_one(module: SpectrumConv2d, x: Tensor, form: dict[str, Any]) -> Tensor:
    """The definition: a loop over segments, each a regular convolution of its own with a slice of the weights."""
    if form["order"] == "pointwise_first":
        x = between(module, F.conv2d(x, module.pointwise.weight), form)
    if form["padding"] == "same":
        x = ops.pad_same(x, form["kernel"], form["stride"], form["dilation"])
    else:
        x = F.pad(x, (form["padding"],) * 4)
    filters = [filter for part in module.spatial.parts for filter in part.weight]  # one by one, in order
    biases = [value for part in module.spatial.parts if part.bias is not None for value in part.bias]
    multiplier, y, channel = form["depth_multiplier"], [], 0
    for size in segment_sizes(x.shape[1], form["segments"]):
        for number in range(channel * multiplier, (channel + size) * multiplier):
            own = x[:, channel : channel + size]
            bias = biases[number][None] if biases else None
            y.append(F.conv2d(own, filters[number][None], bias, form["stride"], dilation=form["dilation"]))
        channel += size
    x = torch.cat(y, 1)
    if form["order"] == "spatial_first":
        x = F.conv2d(between(module, x, form), module.pointwise.weight, module.pointwise.bias)
    return x if module.bn is None else module.bn(x)


def between(module: SpectrumConv2d, x: Tensor, form: dict[str, Any]) -> Tensor:
    x = x if module.intermediate_bn is None else module.intermediate_bn(x)
    return ACTIVATIONS[form["intermediate_activation"]](x)


@settings(max_examples=60, deadline=None)
@given(form=forms(), seed=st.integers(0, 99))
def test_any_number_of_segments_is_a_loop_over_segments(form: dict[str, Any], seed: int) -> None:
    torch.manual_seed(seed)
    module = unsettle(SpectrumConv2d(**form)).double()
    x = picture(form["in_channels"])
    found, expected = gradients(module, x), gradients(Loop(module, form), x)
    assert len(found) == len(expected)
    for one, other in zip(found, expected, strict=True):
        same(one, other)
    assert len(module.spatial.parts) <= 2, "two grouped convolutions, however many segments"


class Loop(nn.Module):
    """The loop as a module with the same parameters, for its gradients."""

    def __init__(self, module: SpectrumConv2d, form: dict[str, Any]) -> None:
        super().__init__()
        self.module, self.form = module, form

    def forward(self, x: Tensor) -> Tensor:
        return one_by_one(self.module, x, self.form)


@settings(max_examples=25, deadline=None)
@given(wide=channels, narrow=channels, order=orders, count=st.integers(1, 12))
def test_segments_that_divide_the_channels_are_a_grouped_convolution(
    wide: int, narrow: int, order: str, count: int
) -> None:
    first = order == "spatial_first"
    inner = wide * count
    module = SpectrumConv2d(inner if first else narrow, narrow if first else inner, segments=count, order=order)
    module = module.double()
    x = picture(inner if first else narrow, 5, 4)
    (weight,) = (part.weight for part in module.spatial.parts)
    y = x if first else F.conv2d(x, module.pointwise.weight)
    y = F.conv2d(y, weight, padding=1, groups=count)
    same(module(x), F.conv2d(y, module.pointwise.weight) if first else y)


@pytest.mark.parametrize("order", ORDERS)
@pytest.mark.parametrize("stride", [1, 2])
def test_one_segment_is_a_regular_convolution_beside_a_1x1(order: str, stride: int) -> None:
    module = SpectrumConv2d(5, 7, segments=1, order=order, stride=stride, padding=1, bias=True)
    side = 5 if order == "spatial_first" else 7
    regular = nn.Conv2d(side, side, 3, stride, 1, bias=order == "pointwise_first")
    regular.load_state_dict(module.spatial.parts[0].state_dict())
    x = torch.randn(2, 5, 9, 8)
    steps = (regular, module.pointwise) if order == "spatial_first" else (module.pointwise, regular)
    torch.testing.assert_close(module(x), nn.Sequential(*steps)(x))


@settings(max_examples=40, deadline=None)
@given(form=forms(), border=st.sampled_from(["tf_same", "symmetric", "caffe"]), seed=st.integers(0, 99))
def test_one_channel_a_segment_is_the_separable_convolution(form: dict[str, Any], border: str, seed: int) -> None:
    """With its weights carried over, at every border that weights may bring."""
    torch.manual_seed(seed)
    options = {name: value for name, value in form.items() if name not in ("order", "segments")}
    separable = unsettle(SeparableConv2d(**options)).double()
    module = SpectrumConv2d(**options, segments="all").double().eval()
    state = {name.replace("depthwise", "spatial.parts.0"): value for name, value in separable.state_dict().items()}
    module.load_state_dict(state)
    for one in (separable, module):
        set_numerics(one, padding=border, batch_norm_eps=1e-3, counts_padding=False)
    x = picture(form["in_channels"])
    found, expected = gradients(module, x), gradients(separable, x)
    for one, other in zip(found, expected, strict=True):
        same(one, other)
    assert module.segments == form["in_channels"]
    nothing_else = not (form["intermediate_activation"] or form["batch_norm"] or form["intermediate_norm"])
    if border == "tf_same" and nothing_else:
        halves = (separable.depthwise.weight, separable.pointwise.weight, separable.pointwise.bias)
        same(ops.separable_conv2d(x, *halves, form["stride"], form["padding"], form["dilation"]), module(x))


@settings(max_examples=25, deadline=None)
@given(ins=channels, outs=channels, activation=st.sampled_from([None, "relu", "elu"]), norm=st.booleans())
def test_pointwise_first_with_one_channel_a_segment_is_figure_4(
    ins: int, outs: int, activation: str | None, norm: bool
) -> None:
    units = InceptionUnits(intermediate_activation=activation, activation=None, batch_norm=norm)
    extreme = unsettle(ExtremeInception(ins, outs, units)).double()
    module = SpectrumConv2d(
        ins,
        outs,
        segments=outs,
        order="pointwise_first",
        intermediate_activation=activation,
        intermediate_norm=norm,
        batch_norm=norm,
    ).double()
    names = {
        "pointwise.conv.": "pointwise.",
        "spatial.conv.": "spatial.parts.0.",
        "pointwise.bn.": "intermediate_bn.",
        "spatial.bn.": "bn.",
    }
    module.load_state_dict({renamed(name, names): value for name, value in extreme.state_dict().items()})
    x = picture(ins, 5, 6)
    same(module.eval()(x), extreme(x))


def renamed(name: str, names: dict[str, str]) -> str:
    start = next(start for start in names if name.startswith(start))
    return names[start] + name.removeprefix(start)


@settings(max_examples=25, deadline=None)
@given(ins=channels, outs=channels, data=st.data(), activation=st.sampled_from([None, "relu"]))
def test_pointwise_first_is_figure_3_with_towers_of_these_sizes(
    ins: int, outs: int, data: st.DataObject, activation: str | None
) -> None:
    """Uneven ones too: towers of the segments' sizes, each with a weight of its own."""
    count = data.draw(st.integers(1, outs))
    towers = [(size, size) for size in segment_sizes(outs, count)]
    units = InceptionUnits(intermediate_activation=activation, activation=None, batch_norm=False)
    regrouped = RegroupedInception(ins, towers, units).double()
    module = SpectrumConv2d(ins, outs, segments=count, order="pointwise_first", intermediate_activation=activation)
    module = module.double()
    module.pointwise.load_state_dict(regrouped.pointwise.conv.state_dict())
    stacked = [segment.conv.weight for segment in regrouped.segments]
    for part in module.spatial.parts:
        part.weight.data = torch.cat(stacked[: part.groups])
        del stacked[: part.groups]
    assert not stacked
    x = picture(ins, 5, 6)
    same(module(x), regrouped(x))
    assert weights(module) == weights(regrouped) == segmented_cost(ins, tuple(towers)).parameters
    assert spectrum_cost(ins, outs, segments=count, order="pointwise_first", area=30) == segmented_cost(
        ins, tuple(towers), area=30
    )


@given(total=st.integers(1, 3000), data=st.data())
def test_sizes_differ_by_at_most_one(total: int, data: st.DataObject) -> None:
    count = data.draw(st.integers(1, total))
    sizes = segment_sizes(total, count)
    assert len(sizes) == count
    assert sum(sizes) == total
    assert max(sizes) - min(sizes) <= 1
    assert list(sizes) == sorted(sizes, reverse=True)
    assert segment_sizes(total, "all") == (1,) * total


@given(form=forms(), area=st.integers(1, 400))
def test_the_cost_is_counted_exactly(form: dict[str, Any], area: int) -> None:
    form |= {"bias": False, "batch_norm": False, "intermediate_norm": False}
    names = ("segments", "order", "depth_multiplier")
    shape = (form["in_channels"], form["out_channels"], form["kernel"])
    cost = spectrum_cost(*shape, **{name: form[name] for name in names}, area=area)
    assert cost.parameters == weights(SpectrumConv2d(**form))
    assert cost.macs == cost.parameters * area


@given(m=st.integers(1, 40), size=st.integers(1, 12), count=st.integers(1, 30), k=st.sampled_from([1, 3, 5]))
def test_the_formula_of_the_spectrum(m: int, size: int, count: int, k: int) -> None:
    """M N + K^2 N^2 / S, and its ends: a regular convolution behind a 1x1, and K^2 N + M N."""
    n = size * count
    found = spectrum_cost(m, n, k, segments=count, order="pointwise_first").parameters
    assert found * count == m * n * count + k * k * n * n
    assert spectrum_cost(n, m, k, segments=count).parameters == found, "the other order, from N to M"
    one = convolution_cost(n, n, k) + convolution_cost(m, n, 1)
    assert spectrum_cost(m, n, k, segments=1, order="pointwise_first") == one
    assert spectrum_cost(n, m, k, segments="all") == separable_cost(n, m, k)


def test_more_segments_never_cost_more() -> None:
    costs = [spectrum_cost(13, 13, segments=count).parameters for count in range(1, 14)]
    assert costs == sorted(costs, reverse=True)
    assert costs[0] == 13 * 13 * 10
    assert costs[2] == 13 * 13 + 9 * (5**2 + 4**2 + 4**2), "uneven: the sum of the squares"


@pytest.mark.parametrize("layout", [torch.contiguous_format, torch.channels_last])
@pytest.mark.parametrize("count", [1, 2, 3, 5, 7, 16])
def test_the_library_under_torch_gets_it_right_in_training(count: int, layout: torch.memory_format) -> None:
    """fp32 and an odd batch, in both layouts, against fp64: grouped convolutions of few channels are seldom run."""
    torch.manual_seed(count)
    module = SpectrumConv2d(16, 8, segments=count, stride=2)
    x = torch.randn(3, 16, 9, 7)
    twin = SpectrumConv2d(16, 8, segments=count, stride=2).double()
    twin.load_state_dict(module.state_dict())
    found = gradients(module.to(memory_format=layout), x.to(memory_format=layout))
    for one, other in zip(found, gradients(twin, x.double()), strict=True):
        torch.testing.assert_close(one.double(), other, rtol=1e-4, atol=1e-4)


def test_initial_weights_are_those_of_one_convolution_however_it_is_run() -> None:
    """Glorot's bound counts the outputs of all segments, at both ends as Keras does, also where two parts run them."""
    torch.manual_seed(0)
    even, uneven = SegmentedConv2d(64, segments=16), SegmentedConv2d(65, segments=16)
    init_glorot_uniform(even)
    init_glorot_uniform(uneven)
    assert even.parts[0].weight.abs().max().item() == pytest.approx((6 / (9 * (4 + 64))) ** 0.5, rel=0.01)
    assert uneven.parts[0].weight.abs().max().item() == pytest.approx((6 / (9 * (5 + 65))) ** 0.5, rel=0.05)
    assert uneven.parts[1].weight.abs().max().item() == pytest.approx((6 / (9 * (4 + 65))) ** 0.5, rel=0.01)
    regular, separable = SegmentedConv2d(8, segments=1), SegmentedConv2d(8, segments="all")
    for module, groups in ((regular, 1), (separable, 8)):
        torch.manual_seed(1)
        init_glorot_uniform(module)
        torch.manual_seed(1)
        plain = nn.Conv2d(8, 8, 3, groups=groups)
        torch.manual_seed(1)
        init_glorot_uniform(plain)
        torch.testing.assert_close(module.parts[0].weight, plain.weight, rtol=1e-6, atol=0)


@pytest.mark.parametrize(
    ("options", "text"),
    [
        ({"segments": 7}, r'7 segments of 6 channels.*from 1 to 6, or "all" for one channel in each'),
        ({"segments": 7, "order": "pointwise_first"}, None),
        ({"segments": 9, "order": "pointwise_first"}, r"9 segments of 8 channels"),
        ({"segments": 0}, r"segments.*Got: 0.*at least 1"),
        ({"segments": -1}, r"segments.*Got: -1"),
        ({"segments": 2.0}, r"segments.*Got: 2\.0"),
        ({"segments": True}, r"segments.*Got: True"),
        ({"segments": "every"}, r"segments.*Got: 'every'.*'all'"),
        ({"segments": None}, r"segments.*Got: None"),
        (
            {"segments": 2, "order": "depthwise_first"},
            r"order.*'depthwise_first'.*'spatial_first' or 'pointwise_first'",
        ),
        ({"segments": 2, "order": "pointwise_first", "depth_multiplier": 3}, r"depth_multiplier.*a divisor of 8"),
        ({"segments": 2, "depth_multiplier": 0}, r"depth_multiplier.*Got: 0"),
        ({"segments": 2, "intermediate_activation": "gelu"}, r"activation.*'gelu'"),
    ],
)
def test_what_cannot_be_is_said(options: dict[str, Any], text: str | None) -> None:
    if text is None:
        SpectrumConv2d(6, 8, **options)
        return
    with pytest.raises(ModelOptionError, match=text):
        SpectrumConv2d(6, 8, **options)
