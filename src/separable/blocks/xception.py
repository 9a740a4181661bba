"""The modules of Xception, as figure 5 of arXiv:1610.02357 draws its entry, middle and exit flow."""

from typing import TypedDict, Unpack

from torch import Tensor, nn

from separable.blocks.checks import check_minimum
from separable.blocks.conv import ConvBN
from separable.blocks.dense_pool import DenseMaxPool
from separable.blocks.pool import MaxPool
from separable.blocks.separable import SeparableConv2d
from separable.blocks.spectrum import SpectrumConv2d, inner_channels

__all__ = ["SeparableOptions", "XceptionDown", "XceptionMiddle", "XceptionStem", "XceptionTail"]


class SeparableOptions(TypedDict, total=False):
    """What the separable convolutions of a module have in common; see `SeparableConv2d` and `SpectrumConv2d`.

    `segments` may be more than a layer has channels, which then is one channel in each; None is that everywhere.
    """

    dilation: int
    intermediate_activation: str | None
    segments: int | None
    order: str
    bias: bool


class XceptionStem(nn.Module):
    """Figure 5, the first two boxes of the entry flow: two 3x3 convolutions without padding, the first strided."""

    def __init__(self, in_channels: int, middle: int, out_channels: int, *, stride: int = 2) -> None:
        super().__init__()
        self.conv1 = ConvBN(in_channels, middle, 3, stride=stride, padding="valid")
        self.conv2 = ConvBN(middle, out_channels, 3, padding="valid")

    def forward(self, x: Tensor) -> Tensor:
        y: Tensor = self.conv2(self.conv1(x))
        return y


class XceptionDown(nn.Module):
    """Figure 5, entry flow and start of the exit flow: two separable convolutions, pool, plus a strided 1x1 shortcut.

    The shortcut takes the block's input before any activation. The very first such block has no leading ReLU: the stem
    has just applied one. With `stride` 1 neither the pool nor the shortcut loses a pixel; `dilation` is that of the
    convolutions and the pool. With `bias` every convolution has one and the shortcut no batch normalisation, as in
    Keras' U-Net. `unit`: see `SeparableOptions`.
    """

    def __init__(
        self,
        in_channels: int,
        middle: int,
        out_channels: int,
        *,
        leading_relu: bool = True,
        residual: bool = True,
        stride: int = 2,
        **unit: Unpack[SeparableOptions],
    ) -> None:
        super().__init__()
        self.act1 = nn.ReLU() if leading_relu else nn.Identity()
        self.sepconv1 = _sepconv_bn(in_channels, middle, **unit)
        self.act2 = nn.ReLU()
        self.sepconv2 = _sepconv_bn(middle, out_channels, **unit)
        self.pool = MaxPool("same") if stride == 2 else DenseMaxPool(unit.get("dilation", 1))
        self.shortcut = None
        if residual:
            bias = unit.get("bias", False)
            self.shortcut = ConvBN(
                in_channels, out_channels, 1, stride=stride, activation=None, bias=bias, batch_norm=not bias
            )

    def forward(self, x: Tensor) -> Tensor:
        y: Tensor = self.sepconv1(self.act1(x))
        y = self.sepconv2(self.act2(y))
        y = self.pool(y)
        return y if self.shortcut is None else y + self.shortcut(x)


class XceptionMiddle(nn.Module):
    """Figure 5, middle flow: three times ReLU and separable convolution, plus the identity. No ReLU after the sum."""

    def __init__(self, channels: int, *, residual: bool = True, **unit: Unpack[SeparableOptions]) -> None:
        super().__init__()
        self.residual = residual
        self.act1 = nn.ReLU()
        self.sepconv1 = _sepconv_bn(channels, channels, **unit)
        self.act2 = nn.ReLU()
        self.sepconv2 = _sepconv_bn(channels, channels, **unit)
        self.act3 = nn.ReLU()
        self.sepconv3 = _sepconv_bn(channels, channels, **unit)

    def forward(self, x: Tensor) -> Tensor:
        y: Tensor = self.sepconv1(self.act1(x))
        y = self.sepconv2(self.act2(y))
        y = self.sepconv3(self.act3(y))
        return x + y if self.residual else y


class XceptionTail(nn.Module):
    """Figure 5, end of the exit flow: two separable convolutions, each followed by ReLU, without a shortcut."""

    def __init__(self, in_channels: int, middle: int, out_channels: int, **unit: Unpack[SeparableOptions]) -> None:
        super().__init__()
        self.sepconv1 = _sepconv_bn(in_channels, middle, **unit)
        self.act1 = nn.ReLU()
        self.sepconv2 = _sepconv_bn(middle, out_channels, **unit)
        self.act2 = nn.ReLU()

    def forward(self, x: Tensor) -> Tensor:
        y = self.act1(self.sepconv1(x))
        z: Tensor = self.act2(self.sepconv2(y))
        return z


def _sepconv_bn(
    in_channels: int,
    out_channels: int,
    *,
    dilation: int = 1,
    intermediate_activation: str | None = None,
    segments: int | None = None,
    order: str = "spatial_first",
    bias: bool = False,
) -> SeparableConv2d | SpectrumConv2d:
    """The end of the spectrum that Xception chose is `SeparableConv2d`, by whatever number it was asked for."""
    inner = inner_channels(in_channels, out_channels, order)
    if segments is not None:
        check_minimum("segments", segments, 1)
    count = inner if segments is None else min(segments, inner)
    if count == inner and order == "spatial_first":
        return SeparableConv2d(
            in_channels,
            out_channels,
            dilation=dilation,
            bias=bias,
            batch_norm=True,
            intermediate_activation=intermediate_activation,
        )
    return SpectrumConv2d(
        in_channels,
        out_channels,
        segments=count,
        order=order,
        dilation=dilation,
        bias=bias,
        batch_norm=True,
        intermediate_activation=intermediate_activation,
    )
