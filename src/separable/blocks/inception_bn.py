"""The module and the first layer of the batch-normalised Inception (arXiv:1502.03167, appendix, figure 5)."""

from functools import partial
from typing import Unpack

import torch
from torch import Tensor, nn

from separable.blocks.activation import make_activation
from separable.blocks.conv import ConvBN
from separable.blocks.inception import ConvOptions, make_pool, scaled
from separable.blocks.norm import batch_norm as make_norm
from separable.blocks.separable import SeparableConv2d

__all__ = ["BNInception", "BNInceptionWidths", "SeparableStem"]

BNInceptionWidths = tuple[int, int, int, int, int, int]
"""The columns of figure 5: #1x1, #3x3 reduce, #3x3, double #3x3 reduce, double #3x3, pool proj."""


class BNInception(nn.Module):
    """1x1; 1x1, 3x3; 1x1, 3x3, 3x3; 3x3 pool, 1x1; concatenated: GoogLeNet's module with two 3x3 for its 5x5.

    Args:
        widths: a row of figure 5. With 0 for #1x1 and for pool proj the module reduces the grid: the last 3x3 of both
            branches and the pool have stride 2, and the pool is passed through.
        pool: "average" or "max".
        width: multiplies every number of channels but the input's, see `scaled`.
        unit: `gamma`, `bias`, `activation`, `activation_first`, `batch_norm` of every convolution, see `ConvBN`.

    Shapes: (N, in_channels, H, W) -> (N, out_channels, H, W), or a grid of half the side.
    """

    def __init__(
        self,
        in_channels: int,
        widths: BNInceptionWidths,
        *,
        pool: str = "average",
        width: float = 1.0,
        **unit: Unpack[ConvOptions],
    ) -> None:
        super().__init__()
        conv = partial(ConvBN, **unit)
        single, reduce3, wide3, reduce_double, double, pooled = (scaled(n, width) if n else 0 for n in widths)
        stride = 1 if single else 2
        self.branch1x1 = conv(in_channels, single, 1) if single else None
        self.branch3x3_1 = conv(in_channels, reduce3, 1)
        self.branch3x3_2 = conv(reduce3, wide3, 3, stride=stride)
        self.branch3x3dbl_1 = conv(in_channels, reduce_double, 1)
        self.branch3x3dbl_2 = conv(reduce_double, double, 3)
        self.branch3x3dbl_3 = conv(double, double, 3, stride=stride)
        self.pool = make_pool(pool, stride=stride)
        self.branch_pool = conv(in_channels, pooled, 1) if pooled else None
        self.out_channels = single + wide3 + double + (pooled or in_channels)

    def forward(self, x: Tensor) -> Tensor:
        branches = [] if self.branch1x1 is None else [self.branch1x1(x)]
        branches.append(self.branch3x3_2(self.branch3x3_1(x)))
        branches.append(self.branch3x3dbl_3(self.branch3x3dbl_2(self.branch3x3dbl_1(x))))
        pooled = self.pool(x)
        branches.append(pooled if self.branch_pool is None else self.branch_pool(pooled))
        return torch.cat(branches, 1)


class SeparableStem(nn.Module):
    """7x7/2 depthwise separable convolution -> batch normalisation -> ReLU: "separable convolution with depth
    multiplier 8 on the first convolutional layer" (arXiv:1502.03167, appendix).

    Args:
        batch_norm: False for a bias in its place.
        gamma: of the normalisation.

    With fewer output channels than 8 times the input's, the multiplier is as large as fits (TF-slim's rule).

    Shapes: (N, in_channels, H, W) -> (N, out_channels, H / 2, W / 2). State: `conv.depthwise.weight`,
    `conv.pointwise.*`, `bn.*`.
    """

    def __init__(self, in_channels: int, out_channels: int, *, batch_norm: bool = True, gamma: bool = True) -> None:
        super().__init__()
        multiplier = max(1, min(out_channels // in_channels, 8))
        self.conv = SeparableConv2d(
            in_channels, out_channels, 7, stride=2, depth_multiplier=multiplier, bias=not batch_norm
        )
        self.bn: nn.Module = make_norm(out_channels, gamma=gamma) if batch_norm else nn.Identity()
        self.act = make_activation("relu")

    def forward(self, x: Tensor) -> Tensor:
        y: Tensor = self.act(self.bn(self.conv(x)))
        return y
