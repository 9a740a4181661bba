"""The modules of Inception-v4: figures 3 to 8 of arXiv:1602.07261, as TF-slim's `inception_v4.py` has them.

1x7 and 7x1 alternate in slim's order; figure 5 prints 1x7 twice in a row. Branches and layers are named as those of
Inception V3. Every convolution is a `ConvBN`, whose batch normalisation has no gamma unless asked for. `width`
multiplies every number of channels but the input's.
"""

from functools import partial

import torch
from torch import Tensor, nn

from separable.blocks.conv import ConvBN
from separable.blocks.inception import scaled
from separable.blocks.pool import AveragePool, MaxPool

__all__ = [
    "InceptionV4A",
    "InceptionV4B",
    "InceptionV4C",
    "InceptionV4Reduction",
    "InceptionV4Stem1",
    "InceptionV4Stem2",
    "InceptionV4Stem3",
    "ReductionA",
]


class InceptionV4Stem1(nn.Module):
    """Figure 3, first concatenation, 147x147 -> 73x73: max pool beside a strided convolution."""

    def __init__(self, in_channels: int, *, gamma: bool = False, width: float = 1.0) -> None:
        super().__init__()
        self.pool = MaxPool("valid")
        self.branch3x3 = ConvBN(in_channels, scaled(96, width), 3, stride=2, padding="valid", gamma=gamma)
        self.out_channels = in_channels + scaled(96, width)

    def forward(self, x: Tensor) -> Tensor:
        return torch.cat((self.pool(x), self.branch3x3(x)), 1)


class InceptionV4Stem2(nn.Module):
    """Figure 3, second concatenation, 73x73 -> 71x71: one branch with a 7x7 split into 1x7 and 7x1, one without."""

    def __init__(self, in_channels: int, *, gamma: bool = False, width: float = 1.0) -> None:
        super().__init__()
        c = partial(scaled, width=width)
        self.branch3x3_1 = ConvBN(in_channels, c(64), 1, gamma=gamma)
        self.branch3x3_2 = ConvBN(c(64), c(96), 3, padding="valid", gamma=gamma)
        self.branch7x7_1 = ConvBN(in_channels, c(64), 1, gamma=gamma)
        self.branch7x7_2 = ConvBN(c(64), c(64), (1, 7), gamma=gamma)
        self.branch7x7_3 = ConvBN(c(64), c(64), (7, 1), gamma=gamma)
        self.branch7x7_4 = ConvBN(c(64), c(96), 3, padding="valid", gamma=gamma)
        self.out_channels = 2 * c(96)

    def forward(self, x: Tensor) -> Tensor:
        branch3x3 = self.branch3x3_2(self.branch3x3_1(x))
        branch7x7 = self.branch7x7_3(self.branch7x7_2(self.branch7x7_1(x)))
        return torch.cat((branch3x3, self.branch7x7_4(branch7x7)), 1)


class InceptionV4Stem3(nn.Module):
    """Figure 3, third concatenation, 71x71 -> 35x35: a strided convolution beside max pool."""

    def __init__(self, in_channels: int, *, gamma: bool = False, width: float = 1.0) -> None:
        super().__init__()
        self.branch3x3 = ConvBN(in_channels, scaled(192, width), 3, stride=2, padding="valid", gamma=gamma)
        self.pool = MaxPool("valid")
        self.out_channels = scaled(192, width) + in_channels

    def forward(self, x: Tensor) -> Tensor:
        return torch.cat((self.branch3x3(x), self.pool(x)), 1)


class InceptionV4A(nn.Module):
    """Figure 4 (35x35 grid)."""

    def __init__(self, in_channels: int, *, gamma: bool = False, width: float = 1.0) -> None:
        super().__init__()
        c = partial(scaled, width=width)
        self.branch1x1 = ConvBN(in_channels, c(96), 1, gamma=gamma)
        self.branch3x3_1 = ConvBN(in_channels, c(64), 1, gamma=gamma)
        self.branch3x3_2 = ConvBN(c(64), c(96), 3, gamma=gamma)
        self.branch3x3dbl_1 = ConvBN(in_channels, c(64), 1, gamma=gamma)
        self.branch3x3dbl_2 = ConvBN(c(64), c(96), 3, gamma=gamma)
        self.branch3x3dbl_3 = ConvBN(c(96), c(96), 3, gamma=gamma)
        self.pool = AveragePool()
        self.branch_pool = ConvBN(in_channels, c(96), 1, gamma=gamma)
        self.out_channels = 4 * c(96)

    def forward(self, x: Tensor) -> Tensor:
        branch1x1 = self.branch1x1(x)
        branch3x3 = self.branch3x3_2(self.branch3x3_1(x))
        branch3x3dbl = self.branch3x3dbl_3(self.branch3x3dbl_2(self.branch3x3dbl_1(x)))
        branch_pool = self.branch_pool(self.pool(x))
        return torch.cat((branch1x1, branch3x3, branch3x3dbl, branch_pool), 1)


class ReductionA(nn.Module):
    """Figure 7, 35x35 -> 17x17, shared by the paper's networks, which table 1 tells apart.

    Args:
        klmn: filters of the double branch (1x1, 3x3, strided 3x3) and of the single one, by table 1's letters:
            (192, 224, 256, 384) in Inception-v4, (256, 256, 384, 384) in Inception-ResNet-v2.
    """

    def __init__(
        self, in_channels: int, klmn: tuple[int, int, int, int], *, gamma: bool = False, width: float = 1.0
    ) -> None:
        super().__init__()
        k, l, m, n = (scaled(channels, width) for channels in klmn)  # noqa: E741 - the paper's letters
        self.branch3x3 = ConvBN(in_channels, n, 3, stride=2, padding="valid", gamma=gamma)
        self.branch3x3dbl_1 = ConvBN(in_channels, k, 1, gamma=gamma)
        self.branch3x3dbl_2 = ConvBN(k, l, 3, gamma=gamma)
        self.branch3x3dbl_3 = ConvBN(l, m, 3, stride=2, padding="valid", gamma=gamma)
        self.pool = MaxPool("valid")
        self.out_channels = n + m + in_channels

    def forward(self, x: Tensor) -> Tensor:
        branch3x3 = self.branch3x3(x)
        branch3x3dbl = self.branch3x3dbl_3(self.branch3x3dbl_2(self.branch3x3dbl_1(x)))
        return torch.cat((branch3x3, branch3x3dbl, self.pool(x)), 1)


class InceptionV4B(nn.Module):
    """Figure 5 (17x17 grid): one and two 7x7, each split into 1x7 and 7x1."""

    def __init__(self, in_channels: int, *, gamma: bool = False, width: float = 1.0) -> None:
        super().__init__()
        c = partial(scaled, width=width)
        self.branch1x1 = ConvBN(in_channels, c(384), 1, gamma=gamma)
        self.branch7x7_1 = ConvBN(in_channels, c(192), 1, gamma=gamma)
        self.branch7x7_2 = ConvBN(c(192), c(224), (1, 7), gamma=gamma)
        self.branch7x7_3 = ConvBN(c(224), c(256), (7, 1), gamma=gamma)
        self.branch7x7dbl_1 = ConvBN(in_channels, c(192), 1, gamma=gamma)
        self.branch7x7dbl_2 = ConvBN(c(192), c(192), (7, 1), gamma=gamma)
        self.branch7x7dbl_3 = ConvBN(c(192), c(224), (1, 7), gamma=gamma)
        self.branch7x7dbl_4 = ConvBN(c(224), c(224), (7, 1), gamma=gamma)
        self.branch7x7dbl_5 = ConvBN(c(224), c(256), (1, 7), gamma=gamma)
        self.pool = AveragePool()
        self.branch_pool = ConvBN(in_channels, c(128), 1, gamma=gamma)
        self.out_channels = c(384) + 2 * c(256) + c(128)

    def forward(self, x: Tensor) -> Tensor:
        branch1x1 = self.branch1x1(x)
        branch7x7 = self.branch7x7_3(self.branch7x7_2(self.branch7x7_1(x)))
        branch7x7dbl = self.branch7x7dbl_3(self.branch7x7dbl_2(self.branch7x7dbl_1(x)))
        branch7x7dbl = self.branch7x7dbl_5(self.branch7x7dbl_4(branch7x7dbl))
        branch_pool = self.branch_pool(self.pool(x))
        return torch.cat((branch1x1, branch7x7, branch7x7dbl, branch_pool), 1)


class InceptionV4Reduction(nn.Module):
    """Figure 8, Reduction-B, 17x17 -> 8x8: its wide branch has a 7x7 split into 1x7 and 7x1."""

    def __init__(self, in_channels: int, *, gamma: bool = False, width: float = 1.0) -> None:
        super().__init__()
        c = partial(scaled, width=width)
        self.branch3x3_1 = ConvBN(in_channels, c(192), 1, gamma=gamma)
        self.branch3x3_2 = ConvBN(c(192), c(192), 3, stride=2, padding="valid", gamma=gamma)
        self.branch7x7x3_1 = ConvBN(in_channels, c(256), 1, gamma=gamma)
        self.branch7x7x3_2 = ConvBN(c(256), c(256), (1, 7), gamma=gamma)
        self.branch7x7x3_3 = ConvBN(c(256), c(320), (7, 1), gamma=gamma)
        self.branch7x7x3_4 = ConvBN(c(320), c(320), 3, stride=2, padding="valid", gamma=gamma)
        self.pool = MaxPool("valid")
        self.out_channels = c(192) + c(320) + in_channels

    def forward(self, x: Tensor) -> Tensor:
        branch3x3 = self.branch3x3_2(self.branch3x3_1(x))
        branch7x7x3 = self.branch7x7x3_2(self.branch7x7x3_1(x))
        branch7x7x3 = self.branch7x7x3_4(self.branch7x7x3_3(branch7x7x3))
        return torch.cat((branch3x3, branch7x7x3, self.pool(x)), 1)


class InceptionV4C(nn.Module):
    """Figure 6 (8x8 grid): 1x3 and 3x1 side by side, below a 1x1 and below a 3x3 that is itself split."""

    def __init__(self, in_channels: int, *, gamma: bool = False, width: float = 1.0) -> None:
        super().__init__()
        c = partial(scaled, width=width)
        self.branch1x1 = ConvBN(in_channels, c(256), 1, gamma=gamma)
        self.branch3x3_1 = ConvBN(in_channels, c(384), 1, gamma=gamma)
        self.branch3x3_2a = ConvBN(c(384), c(256), (1, 3), gamma=gamma)
        self.branch3x3_2b = ConvBN(c(384), c(256), (3, 1), gamma=gamma)
        self.branch3x3dbl_1 = ConvBN(in_channels, c(384), 1, gamma=gamma)
        self.branch3x3dbl_2 = ConvBN(c(384), c(448), (3, 1), gamma=gamma)
        self.branch3x3dbl_3 = ConvBN(c(448), c(512), (1, 3), gamma=gamma)
        self.branch3x3dbl_4a = ConvBN(c(512), c(256), (1, 3), gamma=gamma)
        self.branch3x3dbl_4b = ConvBN(c(512), c(256), (3, 1), gamma=gamma)
        self.pool = AveragePool()
        self.branch_pool = ConvBN(in_channels, c(256), 1, gamma=gamma)
        self.out_channels = 6 * c(256)

    def forward(self, x: Tensor) -> Tensor:
        branch1x1 = self.branch1x1(x)
        y = self.branch3x3_1(x)
        z = self.branch3x3dbl_3(self.branch3x3dbl_2(self.branch3x3dbl_1(x)))
        branches = (
            branch1x1,
            self.branch3x3_2a(y),
            self.branch3x3_2b(y),
            self.branch3x3dbl_4a(z),
            self.branch3x3dbl_4b(z),
            self.branch_pool(self.pool(x)),
        )
        return torch.cat(branches, 1)
