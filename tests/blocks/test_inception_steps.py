"""The steps from the Inception module to the separable convolution: which are one function, and which are not."""

import copy
import itertools
import re
from typing import Any

import pytest
import torch
import torch.nn.functional as F
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor, nn

from separable.blocks import (
    ExtremeInception,
    InceptionUnits,
    RegroupedInception,
    SeparableConv2d,
    SimplifiedInception,
    regroup,
    to_extreme,
)
from separable.blocks.inception_bn import BNInception
from separable.blocks.savings import segmented_cost, separable_cost
from separable.errors import ModelOptionError
from tests.blocks.test_units import unsettle
from tests.tolerances import SAME_FORMULA_FLOAT64

PLAIN = InceptionUnits(intermediate_activation=None, activation=None, batch_norm=False)
towers = st.lists(st.tuples(st.integers(1, 7), st.integers(1, 7)), min_size=1, max_size=6)
units = st.builds(
    InceptionUnits,
    kernel=st.sampled_from([1, 3, 5]),
    intermediate_activation=st.sampled_from([None, "relu", "elu"]),
    activation=st.sampled_from([None, "relu"]),
    batch_norm=st.booleans(),
    bias=st.booleans(),
)


def weights(module: nn.Module) -> int:
    return sum(parameter.numel() for parameter in module.parameters())


@settings(max_examples=40, deadline=None)
@given(in_channels=st.integers(1, 9), towers=towers, units=units, training=st.booleans(), seed=st.integers(0, 99))
def test_figure_2_is_figure_3(
    in_channels: int, towers: list[tuple[int, int]], units: InceptionUnits, training: bool, seed: int
) -> None:
    """For any widths and number of towers: outputs, gradients, and in training the statistics."""
    torch.manual_seed(seed)
    simplified = unsettle(SimplifiedInception(in_channels, towers, units).double()).train(training)
    regrouped = regroup(simplified)
    x = torch.randn(2, in_channels, 5, 4, dtype=torch.float64)
    y, z = simplified(x), regrouped(x)
    assert y.shape == (2, sum(wide for _, wide in towers), 5, 4)
    assert weights(simplified) == weights(regrouped)
    torch.testing.assert_close(z, y, rtol=0, atol=SAME_FORMULA_FLOAT64 * max(1, y.abs().max().item()))
    for out in (y, z):
        (out * torch.arange(out.numel(), dtype=out.dtype).view(out.shape).cos()).sum().backward()
    first = [
        dict(tower.get_submodule("pointwise").named_parameters())["conv.weight"].grad for tower in simplified.towers
    ]
    torch.testing.assert_close(regrouped.pointwise.conv.weight.grad, torch.cat(first), rtol=1e-9, atol=1e-9)
    if units.batch_norm and training:
        means = [tower.get_buffer("pointwise.bn.running_mean") for tower in simplified.towers]
        torch.testing.assert_close(regrouped.pointwise.bn.running_mean, torch.cat(means))


def test_the_regrouped_weights_are_copies_in_the_towers_order() -> None:
    simplified = SimplifiedInception(3, [(2, 4), (5, 1)]).train()
    regrouped = regroup(simplified)
    assert regrouped.training
    assert torch.equal(regrouped.pointwise.conv.weight[2:], simplified.towers[1].pointwise.conv.weight)
    assert torch.equal(regrouped.segments[1].conv.weight, simplified.towers[1].spatial.conv.weight)
    nn.init.zeros_(simplified.towers[1].spatial.conv.weight)
    assert regrouped.segments[1].conv.weight.any(), "changing the one leaves the other alone"
    swapped = regroup(SimplifiedInception(3, [(5, 1), (2, 4)]))
    assert swapped.pointwise.conv.weight.shape == regrouped.pointwise.conv.weight.shape
    assert swapped.segments[0].conv.weight.shape != regrouped.segments[0].conv.weight.shape


@pytest.mark.parametrize("training", [True, False])
def test_figure_4_is_figure_3_with_one_channel_a_segment(training: bool) -> None:
    regrouped = unsettle(RegroupedInception(5, [(1, 1)] * 7)).train(training)
    extreme = to_extreme(regrouped)
    x = torch.randn(3, 5, 6, 7)
    assert weights(extreme) == weights(regrouped)
    torch.testing.assert_close(extreme(x), regrouped(x))
    assert extreme.spatial.conv.groups == 7
    with pytest.raises(ModelOptionError, match=r"no depthwise convolution\. Got: towers=\(\(2, 1\), \(1, 1\)\)"):
        to_extreme(RegroupedInception(5, [(2, 1), (1, 1)]))


def test_one_segment_is_a_regular_convolution_behind_a_1x1() -> None:
    whole = RegroupedInception(4, [(6, 5)], PLAIN)
    x = torch.randn(2, 4, 6, 6)
    y = F.conv2d(F.conv2d(x, whole.pointwise.conv.weight), whole.segments[0].conv.weight, padding=1)
    torch.testing.assert_close(whole(x), y)
    with pytest.raises(ModelOptionError, match=r"no depthwise convolution"):
        to_extreme(whole)


def spread(channels: int, count: int) -> tuple[tuple[int, int], ...]:
    return tuple((channels // count, channels // count) for _ in range(count))


@pytest.mark.parametrize("count", [1, 3, 4, 12])
def test_the_cost_of_the_steps(count: int) -> None:
    """M N + 9 N^2 / S weights for N channels in S segments, from a regular convolution to a depthwise one."""
    module = RegroupedInception(8, spread(12, count), PLAIN)
    assert weights(module) == segmented_cost(8, spread(12, count)).parameters == 8 * 12 + 9 * 12 * 12 // count
    if count == 12:
        assert weights(module) == weights(ExtremeInception(8, 12, PLAIN)) == 8 * 12 + 9 * 12
        assert separable_cost(8, 12).parameters == 8 * 9 + 8 * 12, "depthwise first filters the inputs"


def test_a_stack_of_extreme_modules_is_a_stack_of_separable_convolutions() -> None:
    """Section 1.2: the order is unimportant in a stack. P1 (D1 P2) (D2 P3) D3, with ReLU before each bracket."""
    stack = [
        ExtremeInception(inputs, outputs, InceptionUnits(activation=None, batch_norm=False))
        for inputs, outputs in ((3, 6), (6, 5), (5, 4))
    ]
    x = torch.randn(2, 3, 9, 8)
    y = nn.Sequential(*stack)(x)
    z = F.conv2d(x, stack[0].pointwise.conv.weight)
    for first, second in itertools.pairwise(stack):
        separable = SeparableConv2d(first.out_channels, second.out_channels)
        with torch.no_grad():
            separable.depthwise.weight.copy_(first.spatial.conv.weight)
            separable.pointwise.weight.copy_(second.pointwise.conv.weight)
        z = separable(F.relu(z))
    z = F.conv2d(F.relu(z), stack[-1].spatial.conv.weight, padding=1, groups=4)
    torch.testing.assert_close(z, y)


def depthwise_first(module: ExtremeInception, activation: str | None) -> SeparableConv2d:
    """A separable convolution with the weights of a square extreme module, in its own order."""
    channels = module.out_channels
    separable = SeparableConv2d(channels, channels, intermediate_activation=activation)
    with torch.no_grad():
        separable.depthwise.weight.copy_(module.spatial.conv.weight)
        separable.pointwise.weight.copy_(module.pointwise.conv.weight)
    return separable


def alike_filters(activation: str | None) -> ExtremeInception:
    """One filter for all channels: then a linear 1x1 before or after it is the same."""
    units = InceptionUnits(intermediate_activation=activation, activation=None, batch_norm=False)
    module = ExtremeInception(6, 6, units)
    with torch.no_grad():
        module.spatial.conv.weight.copy_(torch.randn(1, 1, 3, 3).expand(6, 1, 3, 3))
    return module


def distance(a: Tensor, b: Tensor) -> float:
    return ((a - b).abs().max() / b.abs().max()).item()


def test_alone_the_order_matters_but_for_filters_that_are_all_alike() -> None:
    x = torch.randn(2, 6, 8, 8)
    linear = alike_filters(None)
    assert distance(linear(x), depthwise_first(linear, None)(x)) < 1e-5
    different = copy.deepcopy(linear)
    nn.init.normal_(different.spatial.conv.weight)
    assert distance(different(x), depthwise_first(different, None)(x)) > 0.1


def test_a_nonlinearity_between_the_two_makes_the_order_matter_even_then() -> None:
    x = torch.randn(2, 6, 8, 8)
    rectified = alike_filters("relu")
    assert distance(rectified(x), depthwise_first(rectified, "relu")(x)) > 0.1
    assert distance(rectified(x), depthwise_first(rectified, None)(x)) > 0.1


def test_the_canonical_module_has_the_towers_of_figure_1() -> None:
    """Step 1 is the batch-normalised Inception's module with average pooling."""
    module = unsettle(BNInception(6, (16, 17, 18, 19, 20, 21)))
    x = torch.randn(1, 6, 5, 5)
    convolutions = [child for child in module.modules() if isinstance(child, nn.Conv2d)]
    assert [(conv.kernel_size[0], conv.out_channels) for conv in convolutions] == [
        *((1, 16), (1, 17), (3, 18), (1, 19), (3, 20), (3, 20), (1, 21))
    ]
    pooled = module.branch_pool(F.avg_pool2d(x, 3, 1, 1, count_include_pad=False))
    torch.testing.assert_close(module(x)[:, -21:], pooled)


@pytest.mark.parametrize("towers", [[(3,)], [], [(3, 0)], 3, (3, 3), "ab", [(3, True)], None])
@pytest.mark.parametrize("module", [SimplifiedInception, RegroupedInception])
def test_towers_are_pairs(module: type, towers: Any) -> None:
    said = rf"option towers\. Got: {re.escape(repr(towers))}\. Expected: a list of pairs of integers of at least 1\."
    with pytest.raises(ModelOptionError, match=said):
        module(3, towers)


def test_illegal_options_are_named() -> None:
    with pytest.raises(ModelOptionError, match=r"kernel\. Got: 2\. Expected: an odd integer of at least 1"):
        InceptionUnits(kernel=2)
    with pytest.raises(ModelOptionError, match=r"out_channels\. Got: 0"):
        ExtremeInception(3, 0)
    with pytest.raises(ModelOptionError, match=r"activation\. Got: 'gelu'"):
        ExtremeInception(3, 4, InceptionUnits(activation="gelu"))
