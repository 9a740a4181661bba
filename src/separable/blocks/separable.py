"""The depthwise separable convolution, the one idea of Xception."""

from torch import Tensor, nn
from torch.nn.functional import conv2d

from separable import ops
from separable.blocks.activation import make_activation
from separable.blocks.norm import batch_norm as make_norm
from separable.ops.dispatch import Implementation
from separable.ops.padding import Padding

__all__ = ["SeparableConv2d"]


class SeparableConv2d(nn.Module):
    """A spatial convolution per channel, then a 1x1 over all of them (arXiv:1610.02357, figure 4, order reversed).

    `intermediate_activation` sits between the two (figure 10: None beats "relu" and "elu"); `batch_norm` follows the
    1x1, as after every box of figure 5. Depth multiplier 1.

    Shapes: (N, in_channels, H, W) -> (N, out_channels, OH, OW). State: `depthwise.weight` (in_channels, 1, K, K),
    `pointwise.weight` (out_channels, in_channels, 1, 1), `pointwise.bias` if asked for, `bn.*` if asked for.
    """

    def __init__(
        self,
        in_channels: int,
        out_channels: int,
        kernel: int = 3,
        *,
        stride: int = 1,
        padding: Padding = "same",
        bias: bool = False,
        batch_norm: bool = False,
        intermediate_activation: str | None = None,
        implementation: Implementation = "auto",
    ) -> None:
        super().__init__()
        self.depthwise = nn.Conv2d(in_channels, in_channels, kernel, stride, groups=in_channels, bias=False)
        self.pointwise = nn.Conv2d(in_channels, out_channels, 1, bias=bias)
        self.bn = make_norm(out_channels) if batch_norm else None
        self.act = make_activation(intermediate_activation) if intermediate_activation else None
        self.stride, self.padding, self.implementation = stride, padding, implementation

    def forward(self, x: Tensor) -> Tensor:
        dw, pw, bias = self.depthwise.weight, self.pointwise.weight, self.pointwise.bias
        if self.act is None:
            y = ops.separable_conv2d(x, dw, pw, bias, self.stride, self.padding, implementation=self.implementation)
        else:
            y = ops.depthwise_conv2d(x, dw, None, self.stride, self.padding, implementation=self.implementation)
            y = conv2d(self.act(y), pw, bias)
        return y if self.bn is None else self.bn(y)
