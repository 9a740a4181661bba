"""The modules of Inception V3, as arXiv:1512.00567 draws them and TF-slim's `inception_v3.py` sizes them.

Branches and layers carry the names of the slim and torchvision files; layers are made in the order in which Keras
makes its unnamed ones. Every convolution is a `ConvBN`, whose batch normalisation has no gamma unless asked for.

All modules take these keywords:
    width: multiplies every number of channels but the input's.
    pool: of the pooling branch, "average" or "max".
    gamma, bias, activation, activation_first, batch_norm: of every convolution, see `ConvBN`.
"""

from functools import partial
from typing import Literal, TypedDict, Unpack

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from separable.blocks.checks import check_choice
from separable.blocks.conv import ConvBN
from separable.blocks.head import Head, linear_classifier
from separable.blocks.pool import AveragePool, MaxPool

__all__ = [
    "ConvOptions",
    "InceptionA",
    "InceptionAux",
    "InceptionB",
    "InceptionC",
    "InceptionD",
    "InceptionE",
    "make_pool",
    "scaled",
]


class ConvOptions(TypedDict, total=False):
    """What the convolutions of a module have in common; see `ConvBN`. `gamma` is off unless asked for."""

    gamma: bool
    bias: bool
    activation: str | None
    activation_first: bool
    batch_norm: bool


def scaled(channels: int, width: float) -> int:
    """`channels` times `width`, rounded down, at least 16: slim's `depth_multiplier` and `min_depth`."""
    return max(int(channels * width), 16)


def make_pool(kind: str, *, stride: int = 1, padding: Literal["same", "valid"] = "same") -> AveragePool | MaxPool:
    """3x3 pooling, "average" or "max".

    Raises:
        ModelOptionError: no such kind.
    """
    check_choice("pool", kind, ("average", "max"))
    return AveragePool(padding, stride=stride) if kind == "average" else MaxPool(padding, stride=stride)


def _conv_and_channels(width: float, unit: ConvOptions) -> tuple[partial[ConvBN], partial[int]]:
    """The maker of a module's convolutions, and the scaling of its channels."""
    settings: ConvOptions = {"gamma": False}
    settings.update(unit)
    return partial(ConvBN, **settings), partial(scaled, width=width)


class InceptionA(nn.Module):
    """Figure 5 (35x35 grid): the 5x5 of the third branch replaced by two 3x3; slim keeps one real 5x5 in the second.

    `linear_inside`: no activation between the two 3x3, as on one side of figure 2.
    """

    def __init__(
        self,
        in_channels: int,
        pool_channels: int,
        *,
        pool: str = "average",
        linear_inside: bool = False,
        width: float = 1.0,
        **unit: Unpack[ConvOptions],
    ) -> None:
        super().__init__()
        conv, c = _conv_and_channels(width, unit)
        inside: ConvOptions = {"activation": None} if linear_inside else {}
        self.branch1x1 = conv(in_channels, c(64), 1)
        self.branch5x5_1 = conv(in_channels, c(48), 1)
        self.branch5x5_2 = conv(c(48), c(64), 5)
        self.branch3x3dbl_1 = conv(in_channels, c(64), 1)
        self.branch3x3dbl_2 = conv(c(64), c(96), 3, **inside)
        self.branch3x3dbl_3 = conv(c(96), c(96), 3)
        self.pool = make_pool(pool)
        self.branch_pool = conv(in_channels, c(pool_channels), 1)
        self.out_channels = c(64) + c(64) + c(96) + c(pool_channels)

    def forward(self, x: Tensor) -> Tensor:
        branch1x1 = self.branch1x1(x)
        branch5x5 = self.branch5x5_2(self.branch5x5_1(x))
        branch3x3dbl = self.branch3x3dbl_3(self.branch3x3dbl_2(self.branch3x3dbl_1(x)))
        branch_pool = self.branch_pool(self.pool(x))
        return torch.cat((branch1x1, branch5x5, branch3x3dbl, branch_pool), 1)


class InceptionB(nn.Module):
    """Figure 10, 35x35 -> 17x17: strided convolutions beside a strided pool, so that no bottleneck forms.

    `linear_inside`: no activation between the two 3x3 of the second branch, as in `InceptionA`.
    """

    def __init__(
        self,
        in_channels: int,
        *,
        pool: str = "max",
        linear_inside: bool = False,
        width: float = 1.0,
        **unit: Unpack[ConvOptions],
    ) -> None:
        super().__init__()
        conv, c = _conv_and_channels(width, unit)
        inside: ConvOptions = {"activation": None} if linear_inside else {}
        self.branch3x3 = conv(in_channels, c(384), 3, stride=2, padding="valid")
        self.branch3x3dbl_1 = conv(in_channels, c(64), 1)
        self.branch3x3dbl_2 = conv(c(64), c(96), 3, **inside)
        self.branch3x3dbl_3 = conv(c(96), c(96), 3, stride=2, padding="valid")
        self.pool = make_pool(pool, stride=2, padding="valid")
        self.out_channels = c(384) + c(96) + in_channels

    def forward(self, x: Tensor) -> Tensor:
        branch3x3 = self.branch3x3(x)
        branch3x3dbl = self.branch3x3dbl_3(self.branch3x3dbl_2(self.branch3x3dbl_1(x)))
        return torch.cat((branch3x3, branch3x3dbl, self.pool(x)), 1)


class InceptionC(nn.Module):
    """Figure 6 (17x17 grid): each n x n split into 1 x n and n x 1; n = 7 in the networks.

    `entry`: channels of the 1x1 of the double branch, where they differ from the `narrow` ones after it.
    """

    def __init__(
        self,
        in_channels: int,
        narrow: int,
        *,
        entry: int | None = None,
        n: int = 7,
        pool: str = "average",
        width: float = 1.0,
        **unit: Unpack[ConvOptions],
    ) -> None:
        super().__init__()
        check_choice("n", n, (3, 5, 7))
        conv, c = _conv_and_channels(width, unit)
        entry, narrow = c(entry or narrow), c(narrow)
        self.branch1x1 = conv(in_channels, c(192), 1)
        self.branch7x7_1 = conv(in_channels, narrow, 1)
        self.branch7x7_2 = conv(narrow, narrow, (1, n))
        self.branch7x7_3 = conv(narrow, c(192), (n, 1))
        self.branch7x7dbl_1 = conv(in_channels, entry, 1)
        self.branch7x7dbl_2 = conv(entry, narrow, (n, 1))
        self.branch7x7dbl_3 = conv(narrow, narrow, (1, n))
        self.branch7x7dbl_4 = conv(narrow, narrow, (n, 1))
        self.branch7x7dbl_5 = conv(narrow, c(192), (1, n))
        self.pool = make_pool(pool)
        self.branch_pool = conv(in_channels, c(192), 1)
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

    def __init__(
        self, in_channels: int, *, n: int = 7, pool: str = "max", width: float = 1.0, **unit: Unpack[ConvOptions]
    ) -> None:
        super().__init__()
        check_choice("n", n, (3, 5, 7))
        conv, c = _conv_and_channels(width, unit)
        self.branch3x3_1 = conv(in_channels, c(192), 1)
        self.branch3x3_2 = conv(c(192), c(320), 3, stride=2, padding="valid")
        self.branch7x7x3_1 = conv(in_channels, c(192), 1)
        self.branch7x7x3_2 = conv(c(192), c(192), (1, n))
        self.branch7x7x3_3 = conv(c(192), c(192), (n, 1))
        self.branch7x7x3_4 = conv(c(192), c(192), 3, stride=2, padding="valid")
        self.pool = make_pool(pool, stride=2, padding="valid")
        self.out_channels = c(320) + c(192) + in_channels

    def forward(self, x: Tensor) -> Tensor:
        branch3x3 = self.branch3x3_2(self.branch3x3_1(x))
        branch7x7x3 = self.branch7x7x3_2(self.branch7x7x3_1(x))
        branch7x7x3 = self.branch7x7x3_4(self.branch7x7x3_3(branch7x7x3))
        return torch.cat((branch3x3, branch7x7x3, self.pool(x)), 1)


class InceptionE(nn.Module):
    """Figure 7 (8x8 grid): 1x3 and 3x1 side by side, to widen the representation at the coarsest scale."""

    def __init__(
        self, in_channels: int, *, pool: str = "average", width: float = 1.0, **unit: Unpack[ConvOptions]
    ) -> None:
        super().__init__()
        conv, c = _conv_and_channels(width, unit)
        self.branch1x1 = conv(in_channels, c(320), 1)
        self.branch3x3_1 = conv(in_channels, c(384), 1)
        self.branch3x3_2a = conv(c(384), c(384), (1, 3))
        self.branch3x3_2b = conv(c(384), c(384), (3, 1))
        self.branch3x3dbl_1 = conv(in_channels, c(448), 1)
        self.branch3x3dbl_2 = conv(c(448), c(384), 3)
        self.branch3x3dbl_3a = conv(c(384), c(384), (1, 3))
        self.branch3x3dbl_3b = conv(c(384), c(384), (3, 1))
        self.pool = make_pool(pool)
        self.branch_pool = conv(in_channels, c(192), 1)
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

    `normalised`: whether the 5x5 convolution, the head's fully connected layer, is batch-normalised too, which table 3
    calls BN-auxiliary; else it has a bias.
    """

    def __init__(
        self,
        in_channels: int,
        num_classes: int,
        *,
        normalised: bool = True,
        width: float = 1.0,
        **unit: Unpack[ConvOptions],
    ) -> None:
        super().__init__()
        conv, c = _conv_and_channels(width, unit)
        plain: ConvOptions = {} if normalised else {"batch_norm": False, "bias": True}
        self.conv0 = conv(in_channels, c(128), 1)
        self.conv1 = conv(c(128), c(768), 5, padding="valid", **plain)
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
