"""The modules of Inception V3, as arXiv:1512.00567 draws them and TF-slim's `inception_v3.py` sizes them.

Branches and layers carry the names of the slim and torchvision files; layers are made in the order in which Keras
makes its unnamed ones. Every convolution is a `ConvBN`, whose batch normalisation has no gamma unless asked for.
`width` multiplies every number of channels but the input's.
"""

from functools import partial

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from separable.blocks.conv import ConvBN
from separable.blocks.head import Head, linear_classifier
from separable.blocks.pool import AveragePool, MaxPool

__all__ = ["InceptionA", "InceptionAux", "InceptionB", "InceptionC", "InceptionD", "InceptionE", "scaled"]


def scaled(channels: int, width: float) -> int:
    """`channels` times `width`, rounded down, at least 16: slim's `depth_multiplier` and `min_depth`."""
    return max(int(channels * width), 16)


class InceptionA(nn.Module):
    """Figure 5 (35x35 grid): the 5x5 of the third branch replaced by two 3x3; slim keeps one real 5x5 in the second."""

    def __init__(self, in_channels: int, pool_channels: int, *, gamma: bool = False, width: float = 1.0) -> None:
        super().__init__()
        c = partial(scaled, width=width)
        self.branch1x1 = ConvBN(in_channels, c(64), 1, gamma=gamma)
        self.branch5x5_1 = ConvBN(in_channels, c(48), 1, gamma=gamma)
        self.branch5x5_2 = ConvBN(c(48), c(64), 5, gamma=gamma)
        self.branch3x3dbl_1 = ConvBN(in_channels, c(64), 1, gamma=gamma)
        self.branch3x3dbl_2 = ConvBN(c(64), c(96), 3, gamma=gamma)
        self.branch3x3dbl_3 = ConvBN(c(96), c(96), 3, gamma=gamma)
        self.pool = AveragePool()
        self.branch_pool = ConvBN(in_channels, c(pool_channels), 1, gamma=gamma)
        self.out_channels = c(64) + c(64) + c(96) + c(pool_channels)

    def forward(self, x: Tensor) -> Tensor:
        branch1x1 = self.branch1x1(x)
        branch5x5 = self.branch5x5_2(self.branch5x5_1(x))
        branch3x3dbl = self.branch3x3dbl_3(self.branch3x3dbl_2(self.branch3x3dbl_1(x)))
        branch_pool = self.branch_pool(self.pool(x))
        return torch.cat((branch1x1, branch5x5, branch3x3dbl, branch_pool), 1)


class InceptionB(nn.Module):
    """Figure 10, 35x35 -> 17x17: strided convolutions beside a strided pool, so that no bottleneck forms."""

    def __init__(self, in_channels: int, *, gamma: bool = False, width: float = 1.0) -> None:
        super().__init__()
        c = partial(scaled, width=width)
        self.branch3x3 = ConvBN(in_channels, c(384), 3, stride=2, padding="valid", gamma=gamma)
        self.branch3x3dbl_1 = ConvBN(in_channels, c(64), 1, gamma=gamma)
        self.branch3x3dbl_2 = ConvBN(c(64), c(96), 3, gamma=gamma)
        self.branch3x3dbl_3 = ConvBN(c(96), c(96), 3, stride=2, padding="valid", gamma=gamma)
        self.pool = MaxPool("valid")
        self.out_channels = c(384) + c(96) + in_channels

    def forward(self, x: Tensor) -> Tensor:
        branch3x3 = self.branch3x3(x)
        branch3x3dbl = self.branch3x3dbl_3(self.branch3x3dbl_2(self.branch3x3dbl_1(x)))
        return torch.cat((branch3x3, branch3x3dbl, self.pool(x)), 1)


class InceptionC(nn.Module):
    """Figure 6 with n = 7 (17x17 grid): each 7x7 split into 1x7 and 7x1."""

    def __init__(self, in_channels: int, narrow: int, *, gamma: bool = False, width: float = 1.0) -> None:
        super().__init__()
        c = partial(scaled, width=width)
        narrow = c(narrow)
        self.branch1x1 = ConvBN(in_channels, c(192), 1, gamma=gamma)
        self.branch7x7_1 = ConvBN(in_channels, narrow, 1, gamma=gamma)
        self.branch7x7_2 = ConvBN(narrow, narrow, (1, 7), gamma=gamma)
        self.branch7x7_3 = ConvBN(narrow, c(192), (7, 1), gamma=gamma)
        self.branch7x7dbl_1 = ConvBN(in_channels, narrow, 1, gamma=gamma)
        self.branch7x7dbl_2 = ConvBN(narrow, narrow, (7, 1), gamma=gamma)
        self.branch7x7dbl_3 = ConvBN(narrow, narrow, (1, 7), gamma=gamma)
        self.branch7x7dbl_4 = ConvBN(narrow, narrow, (7, 1), gamma=gamma)
        self.branch7x7dbl_5 = ConvBN(narrow, c(192), (1, 7), gamma=gamma)
        self.pool = AveragePool()
        self.branch_pool = ConvBN(in_channels, c(192), 1, gamma=gamma)
        self.out_channels = 4 * c(192)

    def forward(self, x: Tensor) -> Tensor:
        branch1x1 = self.branch1x1(x)
        branch7x7 = self.branch7x7_3(self.branch7x7_2(self.branch7x7_1(x)))
        branch7x7dbl = self.branch7x7dbl_3(self.branch7x7dbl_2(self.branch7x7dbl_1(x)))
        branch7x7dbl = self.branch7x7dbl_5(self.branch7x7dbl_4(branch7x7dbl))
        branch_pool = self.branch_pool(self.pool(x))
        return torch.cat((branch1x1, branch7x7, branch7x7dbl, branch_pool), 1)


class InceptionD(nn.Module):
    """Figure 10, 17x17 -> 8x8: the second grid reduction, its wide branch factorised as in figure 6."""

    def __init__(self, in_channels: int, *, gamma: bool = False, width: float = 1.0) -> None:
        super().__init__()
        c = partial(scaled, width=width)
        self.branch3x3_1 = ConvBN(in_channels, c(192), 1, gamma=gamma)
        self.branch3x3_2 = ConvBN(c(192), c(320), 3, stride=2, padding="valid", gamma=gamma)
        self.branch7x7x3_1 = ConvBN(in_channels, c(192), 1, gamma=gamma)
        self.branch7x7x3_2 = ConvBN(c(192), c(192), (1, 7), gamma=gamma)
        self.branch7x7x3_3 = ConvBN(c(192), c(192), (7, 1), gamma=gamma)
        self.branch7x7x3_4 = ConvBN(c(192), c(192), 3, stride=2, padding="valid", gamma=gamma)
        self.pool = MaxPool("valid")
        self.out_channels = c(320) + c(192) + in_channels

    def forward(self, x: Tensor) -> Tensor:
        branch3x3 = self.branch3x3_2(self.branch3x3_1(x))
        branch7x7x3 = self.branch7x7x3_2(self.branch7x7x3_1(x))
        branch7x7x3 = self.branch7x7x3_4(self.branch7x7x3_3(branch7x7x3))
        return torch.cat((branch3x3, branch7x7x3, self.pool(x)), 1)


class InceptionE(nn.Module):
    """Figure 7 (8x8 grid): 1x3 and 3x1 side by side, to widen the representation at the coarsest scale."""

    def __init__(self, in_channels: int, *, gamma: bool = False, width: float = 1.0) -> None:
        super().__init__()
        c = partial(scaled, width=width)
        self.branch1x1 = ConvBN(in_channels, c(320), 1, gamma=gamma)
        self.branch3x3_1 = ConvBN(in_channels, c(384), 1, gamma=gamma)
        self.branch3x3_2a = ConvBN(c(384), c(384), (1, 3), gamma=gamma)
        self.branch3x3_2b = ConvBN(c(384), c(384), (3, 1), gamma=gamma)
        self.branch3x3dbl_1 = ConvBN(in_channels, c(448), 1, gamma=gamma)
        self.branch3x3dbl_2 = ConvBN(c(448), c(384), 3, gamma=gamma)
        self.branch3x3dbl_3a = ConvBN(c(384), c(384), (1, 3), gamma=gamma)
        self.branch3x3dbl_3b = ConvBN(c(384), c(384), (3, 1), gamma=gamma)
        self.pool = AveragePool()
        self.branch_pool = ConvBN(in_channels, c(192), 1, gamma=gamma)
        self.out_channels = c(320) + 4 * c(384) + c(192)

    def forward(self, x: Tensor) -> Tensor:
        branch1x1 = self.branch1x1(x)
        y = self.branch3x3_1(x)
        z = self.branch3x3dbl_2(self.branch3x3dbl_1(x))
        branches = (
            branch1x1,
            self.branch3x3_2a(y),
            self.branch3x3_2b(y),
            self.branch3x3dbl_3a(z),
            self.branch3x3dbl_3b(z),
            self.branch_pool(self.pool(x)),
        )
        return torch.cat(branches, 1)


class InceptionAux(Head):
    """Figure 8: the auxiliary classifier on the last 17x17 grid, batch-normalised (section 4), used in training only.

    The figure pools 17x17 to 5x5 and covers that with one 5x5 convolution, which needs a 299-pixel picture. On a
    smaller grid the pool shrinks to the grid and the 5x5 convolution sees zeros around it; from 17x17 on all is exact.
    """

    def __init__(self, in_channels: int, num_classes: int, *, gamma: bool = False, width: float = 1.0) -> None:
        super().__init__()
        c = partial(scaled, width=width)
        self.conv0 = ConvBN(in_channels, c(128), 1, gamma=gamma)
        self.conv1 = ConvBN(c(128), c(768), 5, padding="valid", gamma=gamma)
        self.num_inputs, self.num_classes = c(768), num_classes
        self.classifier = self.make_classifier(num_classes)

    def make_classifier(self, num_classes: int) -> nn.Module:
        return linear_classifier(self.num_inputs, num_classes)

    def forward(self, x: Tensor, pre_logits: bool = False) -> Tensor:
        y = F.avg_pool2d(x, (min(5, x.shape[2]), min(5, x.shape[3])), stride=3)
        y = self.conv0(y)
        height, width = max(0, 5 - y.shape[2]), max(0, 5 - y.shape[3])
        y = F.pad(y, (width // 2, width - width // 2, height // 2, height - height // 2))
        y = self.conv1(y).mean((2, 3))
        logits: Tensor = y if pre_logits else self.classifier(y)
        return logits
