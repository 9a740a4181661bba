"""What the papers' replacements save, counted: weights and multiply-adds of convolutions, biases and norms left out.

Everything follows from the one formula of a convolution, so that no percentage of a paper is typed in anywhere.
"""

from dataclasses import dataclass
from fractions import Fraction

from separable.blocks.checks import check_choice, check_length, check_minimum, check_pairs, check_widths
from separable.blocks.factorised import factors, middle_channels
from separable.blocks.grid_reduction import GRID_REDUCTIONS
from separable.blocks.segments import Segments, segment_sizes
from separable.blocks.spectrum import inner_channels

__all__ = [
    "Cost",
    "Saving",
    "convolution_cost",
    "factorised_saving",
    "grid_reduction_cost",
    "inception_saving",
    "segmented_cost",
    "separable_cost",
    "separable_saving",
    "spectrum_cost",
]


@dataclass(frozen=True)
class Cost:
    """Weights of some convolutions, and their multiply-adds for one picture."""

    parameters: int
    macs: int

    def __add__(self, other: "Cost") -> "Cost":
        return Cost(self.parameters + other.parameters, self.macs + other.macs)


@dataclass(frozen=True)
class Saving:
    """Two ways to do one thing. The fractions are exact; `float` makes numbers of them."""

    before: Cost
    after: Cost

    @property
    def parameters(self) -> Fraction:
        """The share of the weights that is saved."""
        return 1 - Fraction(self.after.parameters, self.before.parameters)

    @property
    def macs(self) -> Fraction:
        """The share of the multiply-adds that is saved."""
        return 1 - Fraction(self.after.macs, self.before.macs)


def convolution_cost(
    in_channels: int, out_channels: int, kernel: int | tuple[int, int], *, area: int = 1, groups: int = 1
) -> Cost:
    """One convolution.

    Args:
        kernel: a side, or (height, width).
        area: pixels of the output.
        groups: as torch's, a divisor of both numbers of channels; `in_channels` for a depthwise convolution.

    Raises:
        ModelOptionError: an argument that no convolution can have.
    """
    if isinstance(kernel, list | tuple):
        check_length("kernel", kernel, 2)
    height, width = kernel if isinstance(kernel, list | tuple) else (kernel, kernel)
    check_widths("in_channels, out_channels, kernel", (in_channels, out_channels, height, width))
    check_minimum("area", area, 1)
    check_choice("groups", groups, [n for n in range(1, in_channels + 1) if in_channels % n == out_channels % n == 0])
    weights = int(height) * int(width) * (int(in_channels) // int(groups)) * int(out_channels)
    return Cost(weights, weights * int(area))


def separable_cost(
    in_channels: int, out_channels: int, kernel: int = 3, *, area: int = 1, depth_multiplier: int = 1
) -> Cost:
    """A depthwise convolution and a 1x1: K^2 M + M N weights (arXiv:1704.04861, section 3.1)."""
    check_widths("in_channels, depth_multiplier", (in_channels, depth_multiplier))
    inner = in_channels * depth_multiplier
    depthwise = convolution_cost(in_channels, inner, kernel, area=area, groups=in_channels)
    return depthwise + convolution_cost(inner, out_channels, 1, area=area)


def separable_saving(in_channels: int, out_channels: int, kernel: int = 3, *, area: int = 1) -> Saving:
    """A separable convolution in place of a regular one. What remains is 1 / N + 1 / K^2 (arXiv:1704.04861)."""
    before = convolution_cost(in_channels, out_channels, kernel, area=area)
    return Saving(before, separable_cost(in_channels, out_channels, kernel, area=area))


def segmented_cost(in_channels: int, widths: tuple[tuple[int, int], ...], kernel: int = 3, *, area: int = 1) -> Cost:
    """Figures 2 and 3 of arXiv:1610.02357, which cost the same: 1x1 into each segment, a convolution in each.

    Args:
        widths: channels in and out of each segment's spatial convolution.
    """
    check_pairs("widths", widths)
    total = convolution_cost(in_channels, sum(narrow for narrow, _ in widths), 1, area=area)
    for narrow, wide in widths:
        total += convolution_cost(narrow, wide, kernel, area=area)
    return total


def spectrum_cost(
    in_channels: int,
    out_channels: int,
    kernel: int = 3,
    *,
    segments: Segments,
    order: str = "spatial_first",
    depth_multiplier: int = 1,
    area: int = 1,
) -> Cost:
    """`blocks.SpectrumConv2d` at stride 1: K^2 times the sum of the segments' squares, and the 1x1.

    Where S segments are alike that is M N + K^2 N^2 / S weights for "pointwise_first" from M to N channels, and
    K^2 M^2 / S + M N for "spatial_first" (arXiv:1610.02357, section 1.2).

    Raises:
        ModelOptionError: an argument that the block cannot have.
    """
    inner = inner_channels(in_channels, out_channels, order, depth_multiplier)
    first, last = (inner * depth_multiplier, out_channels) if order == "spatial_first" else (in_channels, inner)
    total = convolution_cost(first, last, 1, area=area)
    for size in segment_sizes(inner, segments):
        total += convolution_cost(size, size * depth_multiplier, kernel, area=area)
    return total


def factorised_saving(
    in_channels: int, out_channels: int, kernel: int, into: str, *, middle: int | None = None, area: int = 1
) -> Saving:
    """`blocks.FactorisedConv` in place of one `kernel` x `kernel` convolution (arXiv:1512.00567, section 3)."""
    shapes = factors(kernel, into)
    check_widths("in_channels, out_channels", (in_channels, out_channels))
    middle = middle_channels(in_channels, out_channels) if middle is None else middle
    widths = (in_channels, *(middle,) * (len(shapes) - 1), out_channels)
    after = Cost(0, 0)
    for shape, narrow, wide in zip(shapes, widths[:-1], widths[1:], strict=True):
        after += convolution_cost(narrow, wide, shape, area=area)
    return Saving(convolution_cost(in_channels, out_channels, kernel, area=area), after)


def inception_saving(
    in_channels: int,
    conv1x1: int,
    conv3x3: tuple[int, int],
    conv5x5: tuple[int, int],
    pooled: int,
    *,
    area: int = 1,
) -> Saving:
    """Figure 2 (b) of arXiv:1409.4842, with 1x1 reductions, in place of 2 (a), without; a row of its table 1.

    Args:
        conv3x3, conv5x5: channels of the reduction ("#3x3 reduce", "#5x5 reduce") and of the convolution.
        pooled: channels of the 1x1 behind the pool ("pool proj").
    """
    check_pairs("conv3x3, conv5x5", (conv3x3, conv5x5))
    single = convolution_cost(in_channels, conv1x1, 1, area=area)
    naive = reduced = single
    for (narrow, wide), kernel in ((conv3x3, 3), (conv5x5, 5)):
        naive += convolution_cost(in_channels, wide, kernel, area=area)
        reduced += convolution_cost(in_channels, narrow, 1, area=area)
        reduced += convolution_cost(narrow, wide, kernel, area=area)
    return Saving(naive, reduced + convolution_cost(in_channels, pooled, 1, area=area))


def grid_reduction_cost(in_channels: int, out_channels: int, how: str, side: int) -> Cost:
    """`blocks.GridReduction` on a map of `side` x `side`, at least 3 (arXiv:1512.00567, section 5).

    Raises:
        ModelOptionError: an argument that no grid reduction can have.
    """
    check_choice("how", how, GRID_REDUCTIONS)
    check_minimum("in_channels", in_channels, 1)
    check_minimum("out_channels", out_channels, in_channels + 1)
    check_minimum("side", side, 3)
    reduced = ((side - 1) // 2) ** 2
    channels = out_channels - in_channels if how == "parallel" else out_channels
    return convolution_cost(in_channels, channels, 3, area=side * side if how == "convolve_first" else reduced)
