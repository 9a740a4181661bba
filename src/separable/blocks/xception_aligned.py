"""The modules of the modified Aligned Xception: arXiv:1802.02611, figure 4, and DeepLab's `xception.py`.

Beside Xception's own modules: always three separable convolutions, the last one strided in place of the max pool, and
batch normalisation after the depthwise convolution too. The paper's text has a ReLU there everywhere; the published
networks have it in the last module only.
"""

from collections.abc import Sequence

from torch import Tensor, nn

from separable.blocks.conv import ConvBN
from separable.blocks.separable import SeparableConv2d

__all__ = ["AlignedXceptionModule", "AlignedXceptionTail"]


class AlignedXceptionModule(nn.Module):
    """Figure 4, entry and middle flow: three times ReLU and separable convolution, plus a 1x1 shortcut or the identity.

    Args:
        stride: of the third separable convolution and of the shortcut.
        dilation: of all three.
        shortcut: False adds the module's input itself, as the middle flow does.

    State: `sepconv1..3`, `shortcut`.
    """

    def __init__(
        self, in_channels: int, channels: Sequence[int], *, stride: int = 1, dilation: int = 1, shortcut: bool = True
    ) -> None:
        super().__init__()
        c1, c2, c3 = channels
        self.act1 = nn.ReLU()
        self.sepconv1 = _sepconv(in_channels, c1, dilation)
        self.act2 = nn.ReLU()
        self.sepconv2 = _sepconv(c1, c2, dilation)
        self.act3 = nn.ReLU()
        self.sepconv3 = _sepconv(c2, c3, dilation, stride=stride)
        self.shortcut = ConvBN(in_channels, c3, 1, stride=stride, activation=None) if shortcut else None

    def forward(self, x: Tensor, keep: str | None = None) -> Tensor | tuple[Tensor, Tensor]:
        """With `keep="sepconv2"` also that convolution's map, before its ReLU: the last of the finer size."""
        y: Tensor = self.sepconv1(self.act1(x))
        inner: Tensor = self.sepconv2(self.act2(y))
        y = self.sepconv3(self.act3(inner))
        y = y + (x if self.shortcut is None else self.shortcut(x))
        return y if keep is None else (y, inner)


class AlignedXceptionTail(nn.Module):
    """Figure 4, end of the exit flow: three separable convolutions with ReLU after both their halves, no shortcut.

    Args:
        dilation: of all three, times its entry of `multi_grid`.
        multi_grid: (1, 1, 1), or (1, 2, 4) for wider context (arXiv:1706.05587, section 3.2.1).

    State: `sepconv1..3`.
    """

    def __init__(
        self, in_channels: int, channels: Sequence[int], *, dilation: int = 1, multi_grid: Sequence[int] = (1, 1, 1)
    ) -> None:
        super().__init__()
        c1, c2, c3 = channels
        d1, d2, d3 = (dilation * rate for rate in multi_grid)
        self.sepconv1 = _sepconv(in_channels, c1, d1, activation="relu")
        self.act1 = nn.ReLU()
        self.sepconv2 = _sepconv(c1, c2, d2, activation="relu")
        self.act2 = nn.ReLU()
        self.sepconv3 = _sepconv(c2, c3, d3, activation="relu")
        self.act3 = nn.ReLU()

    def forward(self, x: Tensor) -> Tensor:
        y: Tensor = self.act1(self.sepconv1(x))
        y = self.act2(self.sepconv2(y))
        z: Tensor = self.act3(self.sepconv3(y))
        return z


def _sepconv(
    in_channels: int, out_channels: int, dilation: int, *, stride: int = 1, activation: str | None = None
) -> SeparableConv2d:
    return SeparableConv2d(
        in_channels,
        out_channels,
        stride=stride,
        dilation=dilation,
        batch_norm=True,
        intermediate_norm=True,
        intermediate_activation=activation,
    )
