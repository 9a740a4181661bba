"""The residual unit of the deep ResNets."""

from torch import Tensor, nn

from separable.blocks.conv import ConvBN

__all__ = ["Bottleneck"]


class Bottleneck(nn.Module):
    """1x1 -> 3x3 -> 1x1, each with batch normalisation, plus a shortcut, then ReLU (figure 5, right, arXiv:1512.03385).

    Args:
        channels: of the first two convolutions; the unit ends in `out_channels`.
        project: whether the shortcut is a 1x1 convolution with batch normalisation (option B of section 4.1), as the
            first unit of a stage needs, rather than the identity.
        stride_on: "1x1" strides in the first convolution (the paper and Caffe's files: "downsampling is performed by
            conv3_1, conv4_1, and conv5_1"), "3x3" in the second (torchvision's, known as version 1.5).
        bias: of the convolutions, superfluous; Keras' files have them.

    Shapes: (N, in_channels, H, W) -> (N, out_channels, H / stride, W / stride). State: `conv1`, `conv2`, `conv3`, and
    `shortcut` with `project`.
    """

    def __init__(
        self,
        in_channels: int,
        channels: int,
        out_channels: int,
        *,
        stride: int = 1,
        project: bool = False,
        stride_on: str = "1x1",
        bias: bool = False,
    ) -> None:
        super().__init__()
        first, second = (stride, 1) if stride_on == "1x1" else (1, stride)
        self.conv1 = ConvBN(in_channels, channels, 1, stride=first, bias=bias)
        self.conv2 = ConvBN(channels, channels, 3, stride=second, bias=bias)
        self.conv3 = ConvBN(channels, out_channels, 1, activation=None, bias=bias)
        self.shortcut = (
            ConvBN(in_channels, out_channels, 1, stride=stride, activation=None, bias=bias) if project else None
        )
        self.act = nn.ReLU()

    def forward(self, x: Tensor) -> Tensor:
        shortcut = x if self.shortcut is None else self.shortcut(x)
        y: Tensor = self.act(self.conv3(self.conv2(self.conv1(x))) + shortcut)
        return y
