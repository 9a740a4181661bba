"""From the Inception module to the depthwise separable convolution, in the five steps of arXiv:1610.02357, section 1.

    1  `BNInception`          towers of one, two and three convolutions, and one that pools            figure 1
    2  `SimplifiedInception`  towers of a 1x1 and a 3x3 alone                                          figure 2
    3  `RegroupedInception`   one 1x1, then 3x3 on segments of its channels: step 2, exactly           figure 3
    4  `ExtremeInception`     one channel in each segment                                              figure 4
    5  `SeparableConv2d`      the spatial convolution first, nothing between the two                   section 1.2

In steps 1 to 4 every convolution is a `ConvBN`, so that both operations are normalised and activated, as Inception's
are. Step 5 differs from step 4 in two ways. The order "we argue is unimportant, in particular because these operations
are meant to be used in a stacked setting": a stack of extreme modules *is* a pointwise convolution, separable
convolutions, and a last depthwise one. The nonlinearity between the two matters (figure 10).
`blocks.step_conversion` carries the weights from step to step. `SpectrumConv2d` is steps 3 to 5 in one, for any number
of segments of alike widths, in either order, with or without the nonlinearity.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor, nn

from separable.blocks.checks import check_minimum, check_odd, check_pairs
from separable.blocks.conv import ConvBN

__all__ = ["DEFAULT_UNITS", "ExtremeInception", "InceptionUnits", "RegroupedInception", "SimplifiedInception", "Towers"]


@dataclass(frozen=True)
class InceptionUnits:
    """The two convolutions that a module of steps 2 to 4 is made of.

    Args:
        kernel: of the spatial one, odd.
        intermediate_activation: after the 1x1.
        activation: after the spatial one.
        batch_norm, bias: of both.
    """

    kernel: int = 3
    intermediate_activation: str | None = "relu"
    activation: str | None = "relu"
    batch_norm: bool = True
    bias: bool = False

    def __post_init__(self) -> None:
        check_odd("kernel", self.kernel)

    def pointwise(self, inputs: int, outputs: int) -> ConvBN:
        activation = self.intermediate_activation
        return ConvBN(inputs, outputs, 1, activation=activation, batch_norm=self.batch_norm, bias=self.bias)

    def spatial(self, inputs: int, outputs: int, groups: int = 1) -> ConvBN:
        return ConvBN(
            inputs,
            outputs,
            self.kernel,
            groups=groups,
            activation=self.activation,
            batch_norm=self.batch_norm,
            bias=self.bias,
        )


DEFAULT_UNITS = InceptionUnits()

Towers = Sequence[tuple[int, int]]
"""For each tower the channels of its 1x1 and of its spatial convolution. They may differ."""


class SimplifiedInception(nn.Module):
    """Figure 2: towers of a 1x1 and a spatial convolution of one size, no pooling; concatenated.

    Shapes: (N, in_channels, H, W) -> (N, sum of the towers' second numbers, H, W). State: `towers.<n>.pointwise.*`,
    `towers.<n>.spatial.*`.
    """

    def __init__(self, in_channels: int, towers: Towers, units: InceptionUnits = DEFAULT_UNITS) -> None:
        super().__init__()
        self.in_channels, self.units = in_channels, units
        self.widths = _checked(in_channels, towers)
        self.towers = nn.ModuleList()
        for narrow, wide in self.widths:
            tower = nn.Sequential()
            tower.add_module("pointwise", self.units.pointwise(in_channels, narrow))
            tower.add_module("spatial", self.units.spatial(narrow, wide))
            self.towers.append(tower)
        self.out_channels = sum(wide for _, wide in self.widths)

    def forward(self, x: Tensor) -> Tensor:
        return torch.cat([tower(x) for tower in self.towers], 1)


class RegroupedInception(nn.Module):
    """Figure 3: one 1x1, then spatial convolutions on non-overlapping segments of its channels; concatenated.

    One segment is a regular convolution behind a 1x1; as many segments as channels are an `ExtremeInception`. Here the
    widths of the segments are free; where they are alike, `SpectrumConv2d` runs them as one grouped convolution.

    Arguments and shapes: those of `SimplifiedInception`. State: `pointwise.*`, `segments.<n>.*`.
    """

    def __init__(self, in_channels: int, towers: Towers, units: InceptionUnits = DEFAULT_UNITS) -> None:
        super().__init__()
        self.in_channels, self.units = in_channels, units
        self.widths = _checked(in_channels, towers)
        self.sizes = [narrow for narrow, _ in self.widths]
        self.pointwise = self.units.pointwise(in_channels, sum(self.sizes))
        self.segments = nn.ModuleList(self.units.spatial(narrow, wide) for narrow, wide in self.widths)
        self.out_channels = sum(wide for _, wide in self.widths)

    def forward(self, x: Tensor) -> Tensor:
        parts = self.pointwise(x).split(self.sizes, 1)
        return torch.cat([segment(part) for segment, part in zip(self.segments, parts, strict=True)], 1)


class ExtremeInception(nn.Module):
    """Figure 4: a 1x1, then one spatial convolution for each of its channels.

    Shapes: (N, in_channels, H, W) -> (N, out_channels, H, W). State: `pointwise.*`, `spatial.*`.
    """

    def __init__(self, in_channels: int, out_channels: int, units: InceptionUnits = DEFAULT_UNITS) -> None:
        super().__init__()
        check_minimum("in_channels", in_channels, 1)
        check_minimum("out_channels", out_channels, 1)
        self.pointwise = units.pointwise(in_channels, out_channels)
        self.spatial = units.spatial(out_channels, out_channels, groups=out_channels)
        self.out_channels = out_channels

    def forward(self, x: Tensor) -> Tensor:
        y: Tensor = self.spatial(self.pointwise(x))
        return y


def _checked(in_channels: int, towers: Towers) -> tuple[tuple[int, int], ...]:
    check_minimum("in_channels", in_channels, 1)
    check_pairs("towers", towers)
    return tuple((narrow, wide) for narrow, wide in towers)
