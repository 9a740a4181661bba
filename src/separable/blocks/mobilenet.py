"""The unit of MobileNet V1."""

import torch.nn.functional as F
from torch import Tensor, nn

from separable import ops
from separable.blocks.activation import make_activation
from separable.blocks.border import Bordered
from separable.blocks.conv import ConvBN
from separable.blocks.norm import batch_norm
from separable.ops.dispatch import Implementation
from separable.ops.padding import Padding

__all__ = ["DepthwiseBN", "MobileNetUnit"]


class DepthwiseBN(nn.Module, Bordered):
    """3x3 depthwise convolution -> batch normalisation -> ReLU6, the upper half of figure 3 (right), arXiv:1704.04861.

    Stride 2 pads one row below and one column to the right, whatever the side, as Keras' `conv_pad_*` layers do. That
    is TensorFlow's 'same' on even sides; on odd ones the output is one pixel smaller. Other borders can be set.
    """

    def __init__(self, channels: int, *, stride: int = 1, activation: str = "relu6") -> None:
        super().__init__()
        self.stride = stride
        self.conv = nn.Conv2d(channels, channels, 3, stride, groups=channels, bias=False)
        self.bn = batch_norm(channels)
        self.act = make_activation(activation)
        self.border = "keras_mobilenet"

    def set_border(self, border: str) -> None:
        self.border = border

    def forward(self, x: Tensor) -> Tensor:
        return self.run(x, "auto")

    def run(self, x: Tensor, implementation: Implementation) -> Tensor:
        """The module's function by the given implementation."""
        y: Tensor = self.act(self.bn(self.convolve(x, implementation)))
        return y

    def convolve(self, x: Tensor, implementation: Implementation) -> Tensor:
        """The convolution alone."""
        padding: Padding = 1
        if self.stride > 1 and self.border == "keras_mobilenet":
            x, padding = F.pad(x, (0, 1, 0, 1)), 0
        elif self.stride > 1 and self.border == "tf_same":
            padding = "same"
        return ops.depthwise_conv2d(x, self.conv.weight, None, self.stride, padding, implementation=implementation)


class MobileNetUnit(nn.Module):
    """Figure 3 (right) of arXiv:1704.04861: depthwise and pointwise, each with batch normalisation and ReLU."""

    def __init__(self, in_channels: int, out_channels: int, *, stride: int = 1, activation: str = "relu6") -> None:
        super().__init__()
        self.depthwise = DepthwiseBN(in_channels, stride=stride, activation=activation)
        self.pointwise = ConvBN(in_channels, out_channels, 1, activation=activation)

    def forward(self, x: Tensor) -> Tensor:
        y: Tensor = self.pointwise(self.depthwise(x))
        return y
