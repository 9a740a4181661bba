"""The rising half of U-Nets: that of Keras' segmentation example, and that for any encoder."""

import torch
from torch import Tensor, nn

from separable.blocks.conv import ConvBN
from separable.blocks.upsample import Upsample, Upsampling
from separable.blocks.xception import XceptionTail

__all__ = ["UNetUp", "XceptionUp"]


class XceptionUp(nn.Module):
    """Keras' segmentation example (keras.io/examples/vision/oxford_pets_image_segmentation, F. Chollet), second half:
    twice ReLU, 3x3 convolution and batch normalisation, plus a 1x1 shortcut, then twice the side.

    Keras has transposed convolutions there. At stride 1 those are convolutions whose kernel is turned round; so they
    are here, and `weights` turns the kernels. Keras also doubles both branches before it adds them, and convolves the
    shortcut there. A 1x1 convolution and a sum see one pixel at a time, so doubling the sum is the same function for a
    quarter of that convolution.

    Shapes: (N, in_channels, H, W) -> (N, out_channels, 2H, 2W). State: `conv1`, `conv2`, `shortcut`, `upsample` if
    learned.
    """

    def __init__(self, in_channels: int, out_channels: int, *, upsampling: Upsampling = "nearest") -> None:
        super().__init__()
        self.act1 = nn.ReLU()
        self.conv1 = ConvBN(in_channels, out_channels, 3, activation=None, bias=True)
        self.act2 = nn.ReLU()
        self.conv2 = ConvBN(out_channels, out_channels, 3, activation=None, bias=True)
        self.shortcut = ConvBN(in_channels, out_channels, 1, activation=None, bias=True, batch_norm=False)
        self.upsample = Upsample(upsampling, out_channels)

    def forward(self, x: Tensor, skip: Tensor | None = None) -> Tensor:
        """`skip` is put behind the channels of `x`, which is cut below and to the right to its size."""
        if skip is not None:
            x = torch.cat((x[:, :, : skip.shape[2], : skip.shape[3]], skip), 1)
        y: Tensor = self.conv1(self.act1(x))
        y = self.conv2(self.act2(y))
        z: Tensor = self.upsample(y + self.shortcut(x))
        return z


class UNetUp(nn.Module):
    """A step of the expansive path of arXiv:1505.04597 (figure 1), padded and batch-normalised: the coarser map brought
    to the size of the finer one, both concatenated, two 3x3 convolutions with batch normalisation and ReLU.

    Args:
        skip_channels: of the finer map; 0 for none, and then the side is doubled.
        separable: depthwise separable convolutions.

    State: `convs.*`, `upsample` if learned.
    """

    def __init__(
        self, in_channels: int, skip_channels: int, out_channels: int, *, upsampling: Upsampling, separable: bool
    ) -> None:
        super().__init__()
        self.upsample = Upsample(upsampling, in_channels)
        inputs = in_channels + skip_channels
        self.convs: nn.Module = (
            XceptionTail(inputs, out_channels, out_channels)
            if separable
            else nn.Sequential(ConvBN(inputs, out_channels, 3), ConvBN(out_channels, out_channels, 3))
        )

    def forward(self, x: Tensor, skip: Tensor | None = None) -> Tensor:
        x = self.upsample(x, None if skip is None else (skip.shape[2], skip.shape[3]))
        y: Tensor = self.convs(x if skip is None else torch.cat((x, skip), 1))
        return y
