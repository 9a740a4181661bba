"""The depthwise separable convolution, the one idea of Xception."""

from torch import Tensor, nn
from torch.nn.functional import conv2d

from separable import ops
from separable.blocks.activation import make_activation
from separable.blocks.border import Bordered, symmetric_padding
from separable.blocks.norm import batch_norm as make_norm
from separable.ops.dispatch import Implementation
from separable.ops.padding import Padding

__all__ = ["SeparableConv2d"]


class SeparableConv2d(nn.Module, Bordered):
    """A spatial convolution per channel, then a 1x1 over all of them (arXiv:1610.02357, figure 4, order reversed).

    Args:
        padding: a number, a pair, or "same", which follows the border of the weights.
        dilation: of the depthwise convolution (arXiv:1802.02611, section 3.1).
        depth_multiplier: depthwise filters per input channel, 1 in Xception, 8 in Inception V2's first layer.
        bias: of the 1x1.
        batch_norm: after the 1x1, as after every box of figure 5.
        intermediate_norm: batch normalisation after the depthwise convolution too (arXiv:1802.02611, section 3.3).
        intermediate_activation: between the two (figure 10: None beats "relu" and "elu"), after that normalisation.
        implementation: of the operation, see `ops.separable_conv2d`.

    Shapes: (N, in_channels, H, W) -> (N, out_channels, OH, OW). State: `depthwise.weight` (in_channels * multiplier, 1,
    K, K), `pointwise.weight` (out_channels, in_channels * multiplier, 1, 1), and if asked for `pointwise.bias`,
    `intermediate_bn.*`, `bn.*`.
    """

    def __init__(
        self,
        in_channels: int,
        out_channels: int,
        kernel: int = 3,
        *,
        stride: int = 1,
        padding: Padding = "same",
        dilation: int = 1,
        depth_multiplier: int = 1,
        bias: bool = False,
        batch_norm: bool = False,
        intermediate_norm: bool = False,
        intermediate_activation: str | None = None,
        implementation: Implementation = "auto",
    ) -> None:
        super().__init__()
        inner = in_channels * depth_multiplier
        self.depthwise = nn.Conv2d(
            in_channels, inner, kernel, stride, dilation=dilation, groups=in_channels, bias=False
        )
        self.pointwise = nn.Conv2d(inner, out_channels, 1, bias=bias)
        self.intermediate_bn = make_norm(inner) if intermediate_norm else None
        self.bn = make_norm(out_channels) if batch_norm else None
        self.act = make_activation(intermediate_activation) if intermediate_activation else None
        self.stride, self.dilation, self.implementation = stride, dilation, implementation
        self.asked_padding = self.padding = padding

    def set_border(self, border: str) -> None:
        symmetric = self.asked_padding == "same" and border in ("symmetric", "caffe")
        kernel = self.depthwise.kernel_size[0]
        self.padding = symmetric_padding(kernel, self.dilation) if symmetric else self.asked_padding

    def forward(self, x: Tensor) -> Tensor:
        return self.run(x, self.implementation)

    def run(self, x: Tensor, implementation: Implementation) -> Tensor:
        """The module's function by the given implementation."""
        y = self.convolve(x, implementation)
        return y if self.bn is None else self.bn(y)

    def convolve(self, x: Tensor, implementation: Implementation) -> Tensor:
        """Everything before the last batch normalisation."""
        dw, pw, bias = self.depthwise.weight, self.pointwise.weight, self.pointwise.bias
        steps = (self.stride, self.padding, self.dilation, implementation)
        if self.act is None and self.intermediate_bn is None:
            y = ops.separable_conv2d(x, dw, pw, bias, *steps)
        else:
            y = ops.depthwise_conv2d(x, dw, None, *steps)
            y = y if self.intermediate_bn is None else self.intermediate_bn(y)
            y = y if self.act is None else self.act(y)
            y = conv2d(y, pw, bias)
        return y
