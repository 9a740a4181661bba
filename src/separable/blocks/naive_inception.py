"""The Inception module before its 1x1 reductions, arXiv:1409.4842, figure 2 (a)."""

from typing import Unpack

import torch
from torch import Tensor, nn

from separable.blocks.checks import check_widths
from separable.blocks.conv import ConvBN
from separable.blocks.inception import ConvOptions
from separable.blocks.pool import MaxPool

__all__ = ["NaiveInception"]


class NaiveInception(nn.Module):
    """Figure 2 (a): 1x1, 3x3 and 5x5 convolutions and a max pool side by side on the whole input, concatenated.

    The pool passes all of the input's channels on, so each such module is wider than the one before; figure 2 (b),
    `ReducedInception`, reduces them first. `blocks.savings.inception_saving` has the difference in numbers.

    Args:
        conv1x1, conv3x3, conv5x5: channels that each puts out.
        unit: of every convolution, see `ConvBN`. By default normalised; the paper's own are not, and have a bias.

    Shapes: (N, in_channels, H, W) -> (N, out_channels, H, W). State: `branch1x1.*`, `branch3x3.*`, `branch5x5.*`.
    """

    def __init__(
        self,
        in_channels: int,
        conv1x1: int,
        conv3x3: int,
        conv5x5: int,
        **unit: Unpack[ConvOptions],
    ) -> None:
        super().__init__()
        widths = (in_channels, conv1x1, conv3x3, conv5x5)
        check_widths("in_channels, conv1x1, conv3x3, conv5x5", widths)
        self.branch1x1 = ConvBN(in_channels, conv1x1, 1, **unit)
        self.branch3x3 = ConvBN(in_channels, conv3x3, 3, **unit)
        self.branch5x5 = ConvBN(in_channels, conv5x5, 5, **unit)
        self.pool = MaxPool("same", stride=1)
        self.out_channels = sum(widths)

    def forward(self, x: Tensor) -> Tensor:
        return torch.cat((self.branch1x1(x), self.branch3x3(x), self.branch5x5(x), self.pool(x)), 1)
