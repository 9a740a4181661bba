"""The unit of SqueezeNet."""

import torch
from torch import Tensor, nn

from separable.blocks.conv import ConvBN

__all__ = ["Fire"]


class Fire(nn.Module):
    """1x1 to few channels, then 1x1 and 3x3 side by side, each with ReLU (figure 1, arXiv:1602.07360).

    Shapes: (N, in_channels, H, W) -> (N, 2 expand, H, W). State: `squeeze`, `expand1x1`, `expand3x3`.
    """

    def __init__(self, in_channels: int, squeeze: int, expand: int) -> None:
        super().__init__()
        self.squeeze = ConvBN(in_channels, squeeze, 1, batch_norm=False, bias=True)
        self.expand1x1 = ConvBN(squeeze, expand, 1, batch_norm=False, bias=True)
        self.expand3x3 = ConvBN(squeeze, expand, 3, batch_norm=False, bias=True)

    def forward(self, x: Tensor) -> Tensor:
        y = self.squeeze(x)
        return torch.cat((self.expand1x1(y), self.expand3x3(y)), 1)
