"""What DeepLabv3+ puts on its encoder (arXiv:1802.02611, figure 2, and DeepLab's `model.py`)."""

from collections.abc import Sequence

import torch
from torch import Tensor, nn

from separable.blocks.conv import ConvBN
from separable.blocks.dropout import KeyedDropout
from separable.blocks.separable import SeparableConv2d
from separable.blocks.upsample import resize_to

__all__ = ["AtrousPyramid", "DeepLabDecoder"]


class AtrousPyramid(nn.Module):
    """Atrous spatial pyramid pooling with image-level features (arXiv:1706.05587, section 3.3; separable convolutions:
    arXiv:1802.02611, section 3.1): the mean of the whole map, a 1x1 and a separable 3x3 convolution at each of `rates`,
    concatenated and projected.

    Batch normalisation and ReLU follow every convolution, both halves of the separable ones too.

    Shapes: (N, in_channels, H, W) -> (N, channels, H, W). State: `image_pooling`, `aspp0`, `aspp1`, ...,
    `concat_projection`.
    """

    def __init__(self, in_channels: int, channels: int, rates: Sequence[int], *, dropout: float = 0.1) -> None:
        super().__init__()
        self.image_pooling = ConvBN(in_channels, channels, 1)
        self.aspp0 = ConvBN(in_channels, channels, 1)
        self.branches = tuple(f"aspp{number}" for number in range(1, 1 + len(rates)))
        for name, rate in zip(self.branches, rates, strict=True):
            self.add_module(name, _separable(in_channels, channels, rate))
        self.concat_projection = ConvBN((2 + len(rates)) * channels, channels, 1)
        self.dropout = KeyedDropout(dropout)

    def forward(self, x: Tensor) -> Tensor:
        height, width = x.shape[-2:]
        whole = self.image_pooling(x.mean((2, 3), keepdim=True)).expand(-1, -1, height, width)
        branches = [torch.relu(self.get_submodule(name)(x)) for name in self.branches]
        y: Tensor = self.dropout(self.concat_projection(torch.cat((whole, self.aspp0(x), *branches), 1)))
        return y


class DeepLabDecoder(nn.Module):
    """The encoder's output brought to the size of a finer map, which a 1x1 convolution has reduced to few channels, and
    two separable 3x3 convolutions over both (section 3.1 and table 2 of arXiv:1802.02611).

    Shapes: (N, in_channels, H, W) and (N, low_channels, OH, OW) -> (N, channels, OH, OW). State: `feature_projection`,
    `sepconv1`, `sepconv2`.
    """

    def __init__(self, in_channels: int, low_channels: int, channels: int, *, projected: int = 48) -> None:
        super().__init__()
        self.feature_projection = ConvBN(low_channels, projected, 1)
        self.sepconv1 = _separable(in_channels + projected, channels, 1)
        self.act1 = nn.ReLU()
        self.sepconv2 = _separable(channels, channels, 1)
        self.act2 = nn.ReLU()

    def forward(self, x: Tensor, low: Tensor) -> Tensor:
        x = resize_to(x, (low.shape[2], low.shape[3]), align_corners=True)
        y = self.act1(self.sepconv1(torch.cat((x, self.feature_projection(low)), 1)))
        z: Tensor = self.act2(self.sepconv2(y))
        return z


def _separable(in_channels: int, channels: int, rate: int) -> SeparableConv2d:
    return SeparableConv2d(
        in_channels,
        channels,
        dilation=rate,
        batch_norm=True,
        intermediate_norm=True,
        intermediate_activation="relu",
    )
