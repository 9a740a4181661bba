"""The spectrum between regular and depthwise separable convolutions (arXiv:1610.02357, sections 1.2 and 5)."""

from torch import Tensor, nn

from separable.blocks.activation import make_activation
from separable.blocks.checks import check_choice, check_minimum
from separable.blocks.norm import batch_norm as make_norm
from separable.blocks.segments import SegmentedConv2d, Segments
from separable.errors import ModelOptionError
from separable.ops.padding import Padding

__all__ = ["ORDERS", "SpectrumConv2d", "inner_channels"]

ORDERS = ("spatial_first", "pointwise_first")
"""The segmented convolution and then the 1x1, as every network runs it, or as figures 3 and 4 draw it."""


def inner_channels(in_channels: int, out_channels: int, order: str, depth_multiplier: int = 1) -> int:
    """Channels that the segments are made of: those that the spatial convolution takes.

    Raises:
        ModelOptionError: no such order, or a multiplier that does not divide the outputs of "pointwise_first".
    """
    check_choice("order", order, ORDERS)
    check_minimum("in_channels", in_channels, 1)
    check_minimum("out_channels", out_channels, 1)
    check_minimum("depth_multiplier", depth_multiplier, 1)
    if order == "spatial_first":
        return in_channels
    if out_channels % depth_multiplier:
        raise ModelOptionError(
            "Bad model option depth_multiplier: the spatial convolution comes last and cannot put out so many channels",
            got=f"{out_channels} channels, {depth_multiplier} for each that goes in",
            expected=f"a divisor of {out_channels}",
        )
    return out_channels // depth_multiplier


class SpectrumConv2d(nn.Module):
    """A spatial convolution on independent segments of the channels, and a 1x1 over all of them.

    "There is a discrete spectrum between regular convolutions and depthwise separable convolutions, parametrized by the
    number of independent channel-space segments used for performing spatial convolutions": one segment is a regular
    convolution beside a 1x1; 3 or 4, "dividing a few hundreds of channels", are an Inception module; one channel in
    each is a depthwise separable convolution. "The properties of such intermediate modules appear not to have been
    explored yet" (section 1.2).

    With S segments, S a divisor, "pointwise_first" has M N + K^2 N^2 / S weights, "spatial_first" K^2 M^2 / S + M N;
    `savings.spectrum_cost` has the rest.

    Args:
        segments: from 1 to the channels that the spatial convolution takes, or "all" for one channel in each. Where it
            is no divisor, the first segments have one channel more. See `SegmentedConv2d`.
        order: "spatial_first", as Xception runs it: segments of the `in_channels`. "pointwise_first", figures 3 and 4:
            segments of what the 1x1 puts out.
        depth_multiplier: filters of the spatial convolution per channel that it takes.
        stride, padding, dilation: of the spatial convolution. "same" follows the border of the weights.
        bias: of the second of the two.
        batch_norm: after the second.
        intermediate_norm: after the first, before its activation.
        intermediate_activation: between the two: None, or as Inception modules have it "relu".

    Shapes: (N, in_channels, H, W) -> (N, out_channels, OH, OW). State: `spatial.parts.<n>.weight` (one or two), see
    `SegmentedConv2d`, and `pointwise.weight`; if asked for `pointwise.bias` or `spatial.parts.<n>.bias`,
    `intermediate_bn.*`, `bn.*`.
    """

    def __init__(
        self,
        in_channels: int,
        out_channels: int,
        kernel: int = 3,
        *,
        segments: Segments,
        order: str = "spatial_first",
        intermediate_activation: str | None = None,
        depth_multiplier: int = 1,
        stride: int = 1,
        padding: Padding = "same",
        dilation: int = 1,
        bias: bool = False,
        batch_norm: bool = False,
        intermediate_norm: bool = False,
    ) -> None:
        super().__init__()
        inner = inner_channels(in_channels, out_channels, order, depth_multiplier)
        self.order = order
        self.spatial_first = order == "spatial_first"
        self.spatial = SegmentedConv2d(
            inner,
            kernel,
            segments=segments,
            depth_multiplier=depth_multiplier,
            stride=stride,
            padding=padding,
            dilation=dilation,
            bias=bias and not self.spatial_first,
        )
        between = self.spatial.out_channels if self.spatial_first else inner
        self.pointwise = nn.Conv2d(
            between if self.spatial_first else in_channels,
            out_channels if self.spatial_first else inner,
            1,
            bias=bias and self.spatial_first,
        )
        self.segments, self.out_channels = self.spatial.segments, out_channels
        self.intermediate_bn = make_norm(between) if intermediate_norm else None
        self.bn = make_norm(out_channels) if batch_norm else None
        self.act = make_activation(intermediate_activation) if intermediate_activation else None

    def forward(self, x: Tensor) -> Tensor:
        y: Tensor = self.spatial(x) if self.spatial_first else self.pointwise(x)
        y = y if self.intermediate_bn is None else self.intermediate_bn(y)
        y = y if self.act is None else self.act(y)
        y = self.pointwise(y) if self.spatial_first else self.spatial(y)
        return y if self.bn is None else self.bn(y)
