"""Spatial convolutions on independent segments of the channels, whose number arXiv:1610.02357, section 1.2, varies."""

from typing import Literal

import torch
from torch import Tensor, nn

from separable import ops
from separable.blocks.border import Bordered, symmetric_padding
from separable.blocks.checks import check_choice, check_minimum
from separable.blocks.plain import plain
from separable.errors import ModelOptionError
from separable.ops.padding import Padding, to_pair

__all__ = ["SegmentedConv2d", "Segments", "count_segments", "segment_sizes"]

Segments = int | Literal["all"]
"""How many segments; "all" for one channel in each."""


def count_segments(segments: Segments, channels: int) -> int:
    """`segments` as a number.

    Raises:
        ModelOptionError: none, or more than there are channels.
    """
    value = plain(segments)
    if isinstance(value, str):
        check_choice("segments", value, ("all",))
        return channels
    check_minimum("segments", value, 1)
    assert isinstance(value, int)
    if value > channels:
        raise ModelOptionError(
            "Bad model option segments: a segment needs a channel",
            got=f"{value} segments of {channels} channels",
            expected=f'an integer from 1 to {channels}, or "all" for one channel in each',
        )
    return value


def segment_sizes(channels: int, segments: Segments) -> tuple[int, ...]:
    """Channels of each segment: alike where `segments` divides `channels`; else the first ones have one more.

    Raises:
        ModelOptionError: no segment, or more than there are channels.
    """
    check_minimum("channels", channels, 1)
    count = count_segments(segments, channels)
    size, larger = divmod(channels, count)
    return (size + 1,) * larger + (size,) * (count - larger)


class SegmentedConv2d(nn.Module, Bordered):
    """A convolution on each of some contiguous segments of the channels, concatenated: figure 3, above its 1x1.

    However many the segments, these are at most two grouped convolutions: those with one channel more, and the others.

    Args:
        segments: from 1, a regular convolution, to `channels` or "all", a depthwise one. See `segment_sizes`.
        depth_multiplier: filters per channel; a segment of n channels puts out n * `depth_multiplier`.
        padding: a number, a pair, or "same", which follows the border of the weights.

    Shapes: (N, channels, H, W) -> (N, channels * depth_multiplier, OH, OW). State: `parts.<n>.weight`, one or two of
    (segments in it * size * multiplier, size, K, K), and if asked for `parts.<n>.bias`.
    """

    def __init__(
        self,
        channels: int,
        kernel: int = 3,
        *,
        segments: Segments,
        depth_multiplier: int = 1,
        stride: int = 1,
        padding: Padding = "same",
        dilation: int = 1,
        bias: bool = False,
    ) -> None:
        super().__init__()
        check_minimum("depth_multiplier", depth_multiplier, 1)
        sizes = segment_sizes(channels, segments)
        self.segments, self.out_channels = len(sizes), channels * depth_multiplier
        self.padding = padding
        self.sampling = stride if kernel == 1 and padding in ("same", 0) else 1  # as in `ConvBN`
        self.parts = nn.ModuleList()
        self.widths = []
        for size in dict.fromkeys(sizes):
            count = sizes.count(size)
            inputs, outputs = size * count, size * count * depth_multiplier
            conv = nn.Conv2d(
                inputs, outputs, kernel, stride // self.sampling, dilation=dilation, groups=count, bias=bias
            )
            self.parts.append(conv)
            self.widths.append(inputs)
        self.set_border("tf_same")

    def set_border(self, border: str) -> None:
        conv = self._first
        kernel, stride, dilation = conv.kernel_size[0], conv.stride[0], conv.dilation[0]
        symmetric = border in ("symmetric", "caffe") or (stride == 1 and dilation * (kernel - 1) % 2 == 0)
        self.pads_itself = self.padding != "same" or symmetric
        padding: tuple[int, int] = (0, 0)
        if self.padding != "same":
            padding = to_pair(self.padding, "padding")
        elif symmetric:
            padding = to_pair(symmetric_padding(kernel, dilation))
        for part in self.parts:
            part.padding = padding  # type: ignore[assignment]

    @property
    def _first(self) -> nn.Conv2d:
        conv = self.parts[0]
        assert isinstance(conv, nn.Conv2d)
        return conv

    def forward(self, x: Tensor) -> Tensor:
        if self.sampling > 1:
            x = x[:, :, :: self.sampling, :: self.sampling]
        if not self.pads_itself:
            conv = self._first
            x = ops.pad_same(x, conv.kernel_size[0], conv.stride[0], conv.dilation[0])
        if len(self.parts) == 1:
            y: Tensor = self.parts[0](x)
            return y
        pieces = x.split(self.widths, 1)
        return torch.cat([part(piece) for part, piece in zip(self.parts, pieces, strict=True)], 1)
