"""The modules of Inception-ResNet-v2: arXiv:1602.07261, figures 16 to 19, with the sizes of TF-slim and Keras.

Each ends in a linear 1x1 convolution with a bias and without batch normalisation, whose output is scaled down and added
to the module's input (section 3.2 and figure 20). Every other convolution is a `ConvBN`, whose batch normalisation has
no gamma unless asked for. `width` multiplies every number of channels but the input's.
"""

from functools import partial

import torch
from torch import Tensor, nn

from separable.blocks.activation import make_activation
from separable.blocks.conv import ConvBN
from separable.blocks.inception import scaled
from separable.blocks.pool import AveragePool, MaxPool

__all__ = [
    "InceptionResNetA",
    "InceptionResNetB",
    "InceptionResNetC",
    "InceptionResNetEntry",
    "InceptionResNetReduction",
    "ScaledResidual",
]


class ScaledResidual(nn.Module):
    """Figure 20: activation of x + scale * (linear 1x1 convolution of the branches).

    Section 3.3: with more than a thousand filters, and unscaled residuals, training died; "scaling factors between 0.1
    and 0.3" kept it alive.

    Shapes: (N, channels, H, W) and (N, in_channels, H, W) -> (N, channels, H, W). State: `conv.weight`, `conv.bias`.
    """

    def __init__(self, in_channels: int, channels: int, scale: float, activation: str | None = "relu") -> None:
        super().__init__()
        self.conv = nn.Conv2d(in_channels, channels, 1)
        self.act = make_activation(activation)
        self.scale = scale

    def forward(self, x: Tensor, branches: Tensor) -> Tensor:
        y: Tensor = self.act(x + self.scale * self.conv(branches))
        return y

    def extra_repr(self) -> str:
        return f"scale={self.scale}"


class InceptionResNetEntry(nn.Module):
    """slim's and Keras' `mixed_5b` (35x35 grid), in no figure: an Inception module before the residual ones."""

    def __init__(self, in_channels: int, *, gamma: bool = False, width: float = 1.0) -> None:
        super().__init__()
        c = partial(scaled, width=width)
        self.branch1x1 = ConvBN(in_channels, c(96), 1, gamma=gamma)
        self.branch5x5_1 = ConvBN(in_channels, c(48), 1, gamma=gamma)
        self.branch5x5_2 = ConvBN(c(48), c(64), 5, gamma=gamma)
        self.branch3x3dbl_1 = ConvBN(in_channels, c(64), 1, gamma=gamma)
        self.branch3x3dbl_2 = ConvBN(c(64), c(96), 3, gamma=gamma)
        self.branch3x3dbl_3 = ConvBN(c(96), c(96), 3, gamma=gamma)
        self.pool = AveragePool()
        self.branch_pool = ConvBN(in_channels, c(64), 1, gamma=gamma)
        self.out_channels = 2 * c(96) + 2 * c(64)

    def forward(self, x: Tensor) -> Tensor:
        branch1x1 = self.branch1x1(x)
        branch5x5 = self.branch5x5_2(self.branch5x5_1(x))
        branch3x3dbl = self.branch3x3dbl_3(self.branch3x3dbl_2(self.branch3x3dbl_1(x)))
        branch_pool = self.branch_pool(self.pool(x))
        return torch.cat((branch1x1, branch5x5, branch3x3dbl, branch_pool), 1)


class InceptionResNetA(nn.Module):
    """Figure 16, slim's `block35` (35x35 grid)."""

    def __init__(self, channels: int, *, scale: float = 0.17, gamma: bool = False, width: float = 1.0) -> None:
        super().__init__()
        c = partial(scaled, width=width)
        self.branch1x1 = ConvBN(channels, c(32), 1, gamma=gamma)
        self.branch3x3_1 = ConvBN(channels, c(32), 1, gamma=gamma)
        self.branch3x3_2 = ConvBN(c(32), c(32), 3, gamma=gamma)
        self.branch3x3dbl_1 = ConvBN(channels, c(32), 1, gamma=gamma)
        self.branch3x3dbl_2 = ConvBN(c(32), c(48), 3, gamma=gamma)
        self.branch3x3dbl_3 = ConvBN(c(48), c(64), 3, gamma=gamma)
        self.residual = ScaledResidual(2 * c(32) + c(64), channels, scale)

    def forward(self, x: Tensor) -> Tensor:
        branch1x1 = self.branch1x1(x)
        branch3x3 = self.branch3x3_2(self.branch3x3_1(x))
        branch3x3dbl = self.branch3x3dbl_3(self.branch3x3dbl_2(self.branch3x3dbl_1(x)))
        y: Tensor = self.residual(x, torch.cat((branch1x1, branch3x3, branch3x3dbl), 1))
        return y


class InceptionResNetB(nn.Module):
    """Figure 17, slim's `block17` (17x17 grid): a 7x7 split into 1x7 and 7x1."""

    def __init__(self, channels: int, *, scale: float = 0.1, gamma: bool = False, width: float = 1.0) -> None:
        super().__init__()
        c = partial(scaled, width=width)
        self.branch1x1 = ConvBN(channels, c(192), 1, gamma=gamma)
        self.branch7x7_1 = ConvBN(channels, c(128), 1, gamma=gamma)
        self.branch7x7_2 = ConvBN(c(128), c(160), (1, 7), gamma=gamma)
        self.branch7x7_3 = ConvBN(c(160), c(192), (7, 1), gamma=gamma)
        self.residual = ScaledResidual(2 * c(192), channels, scale)

    def forward(self, x: Tensor) -> Tensor:
        branch1x1 = self.branch1x1(x)
        branch7x7 = self.branch7x7_3(self.branch7x7_2(self.branch7x7_1(x)))
        y: Tensor = self.residual(x, torch.cat((branch1x1, branch7x7), 1))
        return y


class InceptionResNetReduction(nn.Module):
    """Figure 18, Reduction-B, 17x17 -> 8x8: three strided convolutions beside max pool."""

    def __init__(self, in_channels: int, *, gamma: bool = False, width: float = 1.0) -> None:
        super().__init__()
        c = partial(scaled, width=width)
        self.branch3x3_1 = ConvBN(in_channels, c(256), 1, gamma=gamma)
        self.branch3x3_2 = ConvBN(c(256), c(384), 3, stride=2, padding="valid", gamma=gamma)
        self.branch3x3b_1 = ConvBN(in_channels, c(256), 1, gamma=gamma)
        self.branch3x3b_2 = ConvBN(c(256), c(288), 3, stride=2, padding="valid", gamma=gamma)
        self.branch3x3dbl_1 = ConvBN(in_channels, c(256), 1, gamma=gamma)
        self.branch3x3dbl_2 = ConvBN(c(256), c(288), 3, gamma=gamma)
        self.branch3x3dbl_3 = ConvBN(c(288), c(320), 3, stride=2, padding="valid", gamma=gamma)
        self.pool = MaxPool("valid")
        self.out_channels = c(384) + c(288) + c(320) + in_channels

    def forward(self, x: Tensor) -> Tensor:
        branch3x3 = self.branch3x3_2(self.branch3x3_1(x))
        branch3x3b = self.branch3x3b_2(self.branch3x3b_1(x))
        branch3x3dbl = self.branch3x3dbl_3(self.branch3x3dbl_2(self.branch3x3dbl_1(x)))
        return torch.cat((branch3x3, branch3x3b, branch3x3dbl, self.pool(x)), 1)


class InceptionResNetC(nn.Module):
    """Figure 19, slim's `block8` (8x8 grid): a 3x3 split into 1x3 and 3x1. The network's last one has no ReLU."""

    def __init__(
        self,
        channels: int,
        *,
        scale: float = 0.2,
        activation: str | None = "relu",
        gamma: bool = False,
        width: float = 1.0,
    ) -> None:
        super().__init__()
        c = partial(scaled, width=width)
        self.branch1x1 = ConvBN(channels, c(192), 1, gamma=gamma)
        self.branch3x3_1 = ConvBN(channels, c(192), 1, gamma=gamma)
        self.branch3x3_2 = ConvBN(c(192), c(224), (1, 3), gamma=gamma)
        self.branch3x3_3 = ConvBN(c(224), c(256), (3, 1), gamma=gamma)
        self.residual = ScaledResidual(c(192) + c(256), channels, scale, activation)

    def forward(self, x: Tensor) -> Tensor:
        branch1x1 = self.branch1x1(x)
        branch3x3 = self.branch3x3_3(self.branch3x3_2(self.branch3x3_1(x)))
        y: Tensor = self.residual(x, torch.cat((branch1x1, branch3x3), 1))
        return y
