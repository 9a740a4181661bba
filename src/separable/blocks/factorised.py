"""Large convolutions replaced by small ones, section 3 of arXiv:1512.00567. `blocks.savings` counts what that saves."""

import math
from typing import Unpack

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from separable.blocks.checks import check_choice, check_flag, check_minimum, check_odd
from separable.blocks.conv import ConvBN
from separable.blocks.inception import ConvOptions

__all__ = ["ExpandedConv", "FactorisedConv", "factors", "middle_channels"]

_INTO = ("3x3", "asymmetric", "2x2")


def factors(kernel: int, into: str, *, column_first: bool = False) -> tuple[tuple[int, int], ...]:
    """The (height, width) of the convolutions that together see `kernel` x `kernel` pixels, in order.

    Args:
        kernel: odd, from 5 for "3x3", else from 3.
        into: "3x3", as many as needed (section 3.1; figure 5 for 5x5); "asymmetric", 1 x n then n x 1 (section 3.2,
            figure 6); "2x2", what section 3.2 compares the latter with.
        column_first: n x 1 then 1 x n, as in figure 3.

    Raises:
        ModelOptionError: an illegal argument.
    """
    check_choice("into", into, _INTO)
    check_odd("kernel", kernel, 5 if into == "3x3" else 3)
    check_flag("column_first", column_first)
    if into == "3x3":
        return ((3, 3),) * ((kernel - 1) // 2)
    if into == "2x2":
        return ((2, 2),) * (kernel - 1)
    pair = ((1, kernel), (kernel, 1))
    return pair[::-1] if column_first else pair


def middle_channels(in_channels: int, out_channels: int) -> int:
    """The geometric mean, rounded: section 3.1 grows the number of channels by the same ratio in both layers."""
    return round(math.sqrt(in_channels * out_channels))


class FactorisedConv(nn.Module):
    """A chain of small convolutions in place of a large one.

    On a map of `kernel` x `kernel` pixels without padding this is the "mini-network" of figures 1 (5x5, "3x3") and 3
    (3x3, "asymmetric", `column_first`); slid over a larger map it is the branch of figure 5 or 6.

    Args:
        kernel, into, column_first: see `factors`.
        middle: channels between the convolutions; None for `middle_channels`.
        linear_inside: no activation between them. Section 3.1 finds that inferior (figure 2).
        padding: "same" keeps the side, "valid" loses `kernel` - 1 pixels.
        unit: of every convolution, see `ConvBN`.

    Shapes: (N, in_channels, H, W) -> (N, out_channels, H, W). State: `steps.<n>.*`.
    """

    def __init__(
        self,
        in_channels: int,
        out_channels: int,
        kernel: int,
        into: str,
        *,
        middle: int | None = None,
        column_first: bool = False,
        linear_inside: bool = False,
        padding: str = "same",
        **unit: Unpack[ConvOptions],
    ) -> None:
        super().__init__()
        check_minimum("in_channels", in_channels, 1)
        check_minimum("out_channels", out_channels, 1)
        middle = middle_channels(in_channels, out_channels) if middle is None else middle
        check_minimum("middle", middle, 1)
        check_choice("padding", padding, ("same", "valid"))
        check_flag("linear_inside", linear_inside)
        shapes = factors(kernel, into, column_first=column_first)
        # A 2x2 has no centre: the first pads below and to the right, the next above and to the left, and so on.
        self.alternates = into == "2x2" and padding == "same"
        unpadded = into == "2x2" or padding == "valid"
        self.steps = nn.ModuleList()
        for number, shape in enumerate(shapes, start=1):
            last = number == len(shapes)
            inputs, outputs = in_channels if number == 1 else middle, out_channels if last else middle
            step: ConvOptions = {**unit, "activation": None} if linear_inside and not last else unit
            self.steps.append(ConvBN(inputs, outputs, shape, padding="valid" if unpadded else "same", **step))

    def forward(self, x: Tensor) -> Tensor:
        for number, step in enumerate(self.steps):
            if self.alternates:
                x = F.pad(x, (0, 1, 0, 1) if number % 2 == 0 else (1, 0, 1, 0))
            x = step(x)
        return x


class ExpandedConv(nn.Module):
    """1 x n beside n x 1, concatenated: the end of figure 7's branches, which widens the representation.

    `InceptionE` is the whole module of the figure.

    Args:
        channels: put out by each of the two.
        kernel: n, odd.
        unit: of both, see `ConvBN`.

    Shapes: (N, in_channels, H, W) -> (N, 2 channels, H, W). State: `row.*`, `column.*`.
    """

    def __init__(
        self,
        in_channels: int,
        channels: int,
        kernel: int = 3,
        **unit: Unpack[ConvOptions],
    ) -> None:
        super().__init__()
        check_minimum("in_channels", in_channels, 1)
        check_minimum("channels", channels, 1)
        row, column = factors(kernel, "asymmetric")
        self.row = ConvBN(in_channels, channels, row, **unit)
        self.column = ConvBN(in_channels, channels, column, **unit)
        self.out_channels = 2 * channels

    def forward(self, x: Tensor) -> Tensor:
        return torch.cat((self.row(x), self.column(x)), 1)
