"""Half the side, more channels: the cheap, the costly and the good way of arXiv:1512.00567, section 5."""

from typing import Unpack

import torch
from torch import Tensor, nn

from separable.blocks.checks import check_choice, check_minimum
from separable.blocks.conv import ConvBN
from separable.blocks.inception import ConvOptions
from separable.blocks.pool import MaxPool

__all__ = ["GRID_REDUCTIONS", "GridReduction"]

GRID_REDUCTIONS = ("parallel", "pool_first", "convolve_first")


class GridReduction(nn.Module):
    """A 3x3 convolution and a 3x3/2 max pool, in one of the three arrangements that section 5 compares.

    Args:
        out_channels: more than `in_channels`; the paper doubles them.
        how: "parallel", a strided convolution beside the pool, concatenated (figure 10, right; `InceptionB` is the
            figure's left, with two branches of convolutions). "pool_first", cheap, but with a representational
            bottleneck (figure 9, left). "convolve_first", without one, but four times as costly (figure 9, right).
        unit: of the convolution, see `ConvBN`.

    Shapes: (N, in_channels, H, W) -> (N, out_channels, (H - 1) // 2, (W - 1) // 2), whichever way. State: `conv.*`.
    """

    def __init__(
        self,
        in_channels: int,
        out_channels: int,
        how: str = "parallel",
        **unit: Unpack[ConvOptions],
    ) -> None:
        super().__init__()
        check_minimum("in_channels", in_channels, 1)
        check_minimum("out_channels", out_channels, in_channels + 1)
        check_choice("how", how, GRID_REDUCTIONS)
        self.how = how
        parallel = how == "parallel"
        self.conv = ConvBN(
            in_channels,
            out_channels - in_channels if parallel else out_channels,
            3,
            stride=2 if parallel else 1,
            padding="valid" if parallel else "same",
            **unit,
        )
        self.pool = MaxPool("valid")
        self.out_channels = out_channels

    def forward(self, x: Tensor) -> Tensor:
        if self.how == "parallel":
            return torch.cat((self.conv(x), self.pool(x)), 1)
        y: Tensor = self.conv(self.pool(x)) if self.how == "pool_first" else self.pool(self.conv(x))
        return y
