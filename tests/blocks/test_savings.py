"""Savings against the percentages and numbers that the papers and the notes on them print, and against real modules."""

from fractions import Fraction
from itertools import pairwise
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from torch import nn

from separable.analysis import profile
from separable.blocks import GridReduction, NaiveInception, SeparableConv2d
from separable.blocks.inception_v1 import ReducedInception
from separable.blocks.savings import (
    Cost,
    convolution_cost,
    factorised_saving,
    grid_reduction_cost,
    inception_saving,
    segmented_cost,
    separable_cost,
    separable_saving,
)
from separable.errors import ModelOptionError


def counted(module: nn.Module, shape: tuple[int, ...]) -> Cost:
    """Weights of the convolutions and multiply-adds, counted by running the module on shapes."""
    weights = sum(layer.weight.numel() for layer in module.modules() if isinstance(layer, nn.Conv2d))
    return Cost(weights, profile(module, shape).macs)


@pytest.mark.parametrize(
    ("kernel", "into", "saved", "printed"),
    [(5, "3x3", Fraction(7, 25), 28), (3, "asymmetric", Fraction(1, 3), 33), (3, "2x2", Fraction(1, 9), 11)],
)
def test_the_percentages_of_section_3(kernel: int, into: str, saved: Fraction, printed: int) -> None:
    """arXiv:1512.00567, sections 3.1 and 3.2."""
    result = factorised_saving(64, 64, kernel, into, area=35 * 35)
    assert result.parameters == result.macs == saved
    assert round(100 * float(saved)) == printed


@given(n=st.integers(1, 20).map(lambda half: 2 * half + 1))
def test_the_larger_the_kernel_the_more_an_asymmetric_pair_saves(n: int) -> None:
    """ "The computational cost saving increases dramatically as n grows" (section 3.2)."""
    assert 1 - factorised_saving(8, 8, n, "asymmetric").parameters == Fraction(2, n)


def test_the_worked_number_of_the_notes() -> None:
    """256 -> 512 by 5x5 against 256 -> 256 -> 512 by 3x3: not 28 % but 46 %, as the first layer stays narrow."""
    result = factorised_saving(256, 512, 5, "3x3", middle=256)
    assert (result.before.parameters, result.after.parameters) == (3_276_800, 1_769_472)
    assert round(float(1 - result.parameters), 2) == 0.54
    grown_evenly = factorised_saving(256, 512, 5, "3x3")
    assert grown_evenly.after.parameters == 9 * (256 * 362 + 362 * 512)


@given(m=st.integers(1, 300), n=st.integers(1, 300), k=st.sampled_from([1, 3, 5, 7]), area=st.integers(1, 400))
def test_a_separable_convolution_costs_1_over_n_plus_1_over_k_squared(m: int, n: int, k: int, area: int) -> None:
    result = separable_saving(m, n, k, area=area)
    assert 1 - result.macs == 1 - result.parameters == Fraction(1, n) + Fraction(1, k * k)


@pytest.mark.parametrize(
    ("cost", "millions_of_macs", "millions_of_parameters"),
    [
        (convolution_cost(512, 512, 3, area=14 * 14), 462, 2.36),
        (separable_cost(512, 512, area=14 * 14), 52.3, 0.27),
        (separable_cost(384, 384, area=14 * 14), 29.6, 0.15),
        (separable_cost(384, 384, area=10 * 10), 15.1, 0.15),
    ],
)
def test_the_layer_of_mobilenets_table_3(cost: Cost, millions_of_macs: float, millions_of_parameters: float) -> None:
    """14x14x512; separable; width 3/4; resolution 5/7 (arXiv:1704.04861)."""
    assert cost.macs / 1e6 == pytest.approx(millions_of_macs, abs=0.5 if millions_of_macs == 462 else 0.06)
    assert round(cost.parameters / 1e6, 2) == millions_of_parameters


def test_a_separable_module_costs_what_is_computed() -> None:
    assert counted(SeparableConv2d(6, 10, 5, batch_norm=True), (1, 6, 9, 8)) == separable_cost(6, 10, 5, area=72)
    wide = SeparableConv2d(3, 64, 7, stride=2, depth_multiplier=8)
    assert counted(wide, (1, 3, 224, 224)) == separable_cost(3, 64, 7, area=112 * 112, depth_multiplier=8)


TABLE_1 = [  # arXiv:1409.4842: input channels, row, parameters as printed in units of 1024, side
    (192, (64, 96, 128, 16, 32, 32), 159, 28),
    (256, (128, 128, 192, 32, 96, 64), 380, 28),
    (480, (192, 96, 208, 16, 48, 64), 364, 14),
]


@pytest.mark.parametrize(("in_channels", "row", "thousands", "side"), TABLE_1)
def test_reductions_make_inception_affordable(in_channels: int, row: Any, thousands: int, side: int) -> None:
    """Figure 2 (a) against (b), both counted on the modules themselves."""
    single, reduce3, conv3x3, reduce5, conv5x5, pooled = row
    saving = inception_saving(in_channels, single, (reduce3, conv3x3), (reduce5, conv5x5), pooled, area=side * side)
    shape = (1, in_channels, side, side)
    naive = NaiveInception(in_channels, single, conv3x3, conv5x5)
    assert counted(naive, shape) == saving.before
    assert counted(ReducedInception(in_channels, row), shape) == saving.after
    assert saving.after.parameters / 1024 == pytest.approx(thousands, rel=0.01)
    assert saving.parameters > 0.5
    assert naive.out_channels == single + conv3x3 + conv5x5 + in_channels


def test_naive_modules_grow_without_bound() -> None:
    """The pool passes its input on, so the width only grows: what the paper's reductions are for."""
    widths = [192]
    for _ in range(3):
        widths.append(NaiveInception(widths[-1], 64, 128, 32).out_channels)
    assert [after - before for before, after in pairwise(widths)] == [224, 224, 224]


@pytest.mark.parametrize("how", ["parallel", "pool_first", "convolve_first"])
def test_grid_reductions_cost_what_is_computed(how: str) -> None:
    module = GridReduction(8, 16, how, batch_norm=False)
    assert counted(module, (1, 8, 35, 35)) == grid_reduction_cost(8, 16, how, 35)


def test_the_bottleneck_is_cheap_and_avoiding_it_by_brute_force_is_not() -> None:
    """Section 5: 2 d^2 k^2 against 2 (d / 2)^2 k^2; in parallel the convolution makes half of the channels only."""
    pool_first, convolve_first, parallel = (
        grid_reduction_cost(320, 640, how, 35).macs for how in ("pool_first", "convolve_first", "parallel")
    )
    assert Fraction(convolve_first, pool_first) == Fraction(35, 17) ** 2
    assert Fraction(parallel, pool_first) == Fraction(1, 2)


def test_illegal_arguments_are_named() -> None:
    with pytest.raises(ModelOptionError, match=r"kernel\. Got: \(3, 4, 0, 0\)"):
        convolution_cost(3, 4, 0)
    with pytest.raises(ModelOptionError, match=r"area\. Got: 0"):
        separable_cost(3, 4, area=0)
    with pytest.raises(ModelOptionError, match=r"groups 2 do not divide|groups\. Got: 2"):
        convolution_cost(3, 4, 3, groups=2)
    with pytest.raises(ModelOptionError, match=r"how\. Got: 'both'"):
        grid_reduction_cost(3, 6, "both", 9)


@pytest.mark.parametrize(
    ("function", "arguments", "said"),
    [
        (grid_reduction_cost, (3, 6, "parallel", 0), "side. Got: 0. Expected: an integer of at least 3"),
        (grid_reduction_cost, (3, 6, "parallel", 2.5), "side. Got: 2.5. Expected: an integer of at least 3"),
        (grid_reduction_cost, ("3", 6, "parallel", 9), "in_channels. Got: '3'. Expected: an integer of at least 1"),
        (convolution_cost, (8, 8, (3, 3, 3)), r"kernel. Got: \(3, 3, 3\). Expected: a list of 2"),
        (
            convolution_cost,
            (8, 8, None),
            r"in_channels, out_channels, kernel. Got: \(8, 8, None, None\). Expected: a list of integers",
        ),
        (separable_cost, ("8", 8), r"in_channels, depth_multiplier. Got: \('8', 1\)"),
        (segmented_cost, (8, 5), "widths. Got: 5. Expected: a list of pairs"),
        (inception_saving, (8, 4, 5, (2, 3), 4), r"conv3x3, conv5x5. Got: \(5, \(2, 3\)\). Expected: a list of pairs"),
        (factorised_saving, ("8", 8, 5, "3x3"), r"in_channels, out_channels. Got: \('8', 8\)"),
    ],
)
def test_arguments_of_the_wrong_kind_are_named(function: Any, arguments: Any, said: str) -> None:
    with pytest.raises(ModelOptionError, match=f"Bad model option .*{said}"):
        function(*arguments)


def test_a_cost_is_of_pythons_numbers() -> None:
    cost = convolution_cost(np.int8(64), np.int8(64), (np.int8(3), 3), area=np.int64(50))  # type: ignore[arg-type]
    assert cost == convolution_cost(64, 64, 3, area=50)
    assert type(cost.parameters) is type(cost.macs) is int
