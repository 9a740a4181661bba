"""The modules of GoogLeNet (arXiv:1409.4842): the Inception module with its reductions and the auxiliary classifier."""

from functools import partial
from typing import Unpack

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from separable.blocks.conv import ConvBN
from separable.blocks.dropout import KeyedDropout
from separable.blocks.head import Head, linear_classifier
from separable.blocks.inception import ConvOptions, make_pool, scaled

__all__ = ["GoogLeNetAux", "LocalResponseNorm", "ReducedInception", "ReducedWidths"]

ReducedWidths = tuple[int, int, int, int, int, int]
"""The columns of table 1: #1x1, #3x3 reduce, #3x3, #5x5 reduce, #5x5, pool proj."""


class ReducedInception(nn.Module):
    """Figure 2(b): 1x1; 1x1, 3x3; 1x1, 5x5; 3x3 pool, 1x1; concatenated. Every convolution is rectified.

    Args:
        widths: a row of table 1.
        five_by_five: False for a 3x3 in place of the 5x5, as TF-slim and torchvision have it.
        pool: of the pooling branch, "max" as drawn or "average".
        width: multiplies every number of channels but the input's, see `scaled`.
        unit: `gamma`, `bias`, `activation`, `activation_first`, `batch_norm` of every convolution, see `ConvBN`. By
            default normalised, with gamma; the paper's own are not: `batch_norm=False, bias=True`.

    Shapes: (N, in_channels, H, W) -> (N, out_channels, H, W).
    """

    def __init__(
        self,
        in_channels: int,
        widths: ReducedWidths,
        *,
        five_by_five: bool = True,
        pool: str = "max",
        width: float = 1.0,
        **unit: Unpack[ConvOptions],
    ) -> None:
        super().__init__()
        conv = partial(ConvBN, **unit)
        single, reduce3, wide3, reduce5, wide5, pooled = (scaled(channels, width) for channels in widths)
        self.branch1x1 = conv(in_channels, single, 1)
        self.branch3x3_1 = conv(in_channels, reduce3, 1)
        self.branch3x3_2 = conv(reduce3, wide3, 3)
        self.branch5x5_1 = conv(in_channels, reduce5, 1)
        self.branch5x5_2 = conv(reduce5, wide5, 5 if five_by_five else 3)
        self.pool = make_pool(pool)
        self.branch_pool = conv(in_channels, pooled, 1)
        self.out_channels = single + wide3 + wide5 + pooled

    def forward(self, x: Tensor) -> Tensor:
        branch1x1 = self.branch1x1(x)
        branch3x3 = self.branch3x3_2(self.branch3x3_1(x))
        branch5x5 = self.branch5x5_2(self.branch5x5_1(x))
        branch_pool = self.branch_pool(self.pool(x))
        return torch.cat((branch1x1, branch3x3, branch5x5, branch_pool), 1)


class LocalResponseNorm(nn.Module):
    """x / (1 + 1e-4 / 5 * sum of the squares of 5 neighbouring channels) ** 0.75, as Caffe's and ONNX' GoogLeNet.

    Figure 3 names it; the constants are those of Krizhevsky et al. (2012) as Caffe reads them, with k = 1.
    """

    def forward(self, x: Tensor) -> Tensor:
        # Squares of 256 overflow fp16, and torch's sum over channels has no bfloat16 on CPUs.
        wide = x if x.dtype == torch.float64 else x.float()
        return F.local_response_norm(wide, 5, alpha=1e-4, beta=0.75, k=1.0).to(x.dtype)


class GoogLeNetAux(Head):
    """Section 5, the network on the side: 5x5/3 average pool, 1x1 to 128, dense 1024, dropout, logistic regression.

    The dense layer takes 4x4 maps, which the pool makes of 14x14, the grid of a 224-pixel picture. On other grids the
    pool's output, or with `adaptive` the grid itself as in torchvision, is averaged to 4x4 in windows that fit.
    """

    def __init__(
        self,
        in_channels: int,
        num_classes: int,
        *,
        dropout: float = 0.7,
        adaptive: bool = False,
        width: float = 1.0,
        **unit: Unpack[ConvOptions],
    ) -> None:
        super().__init__()
        narrow, self.num_inputs = scaled(128, width), scaled(1024, width)
        self.adaptive = adaptive
        self.conv = ConvBN(in_channels, narrow, 1, **unit)
        self.fc1 = nn.Linear(16 * narrow, self.num_inputs)
        self.dropout = KeyedDropout(dropout)
        self.num_classes = num_classes
        self.classifier = self.make_classifier(num_classes)

    def make_classifier(self, num_classes: int) -> nn.Module:
        return linear_classifier(self.num_inputs, num_classes)

    def forward(self, x: Tensor, pre_logits: bool = False) -> Tensor:
        if not self.adaptive:
            x = F.avg_pool2d(x, (min(5, x.shape[2]), min(5, x.shape[3])), stride=3)
        y = self.conv(F.adaptive_avg_pool2d(x, (4, 4)))
        y = F.relu(self.fc1(y.flatten(1)))
        if pre_logits:
            return y
        logits: Tensor = self.classifier(self.dropout(y))
        return logits
