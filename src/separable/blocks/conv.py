"""Convolution, batch normalisation, activation: the unit that every figure of these papers draws as one box."""

from typing import Literal

from torch import Tensor, nn

from separable import ops
from separable.blocks.activation import make_activation
from separable.blocks.border import Bordered, symmetric_padding
from separable.blocks.norm import batch_norm as make_norm

__all__ = ["ConvBN"]


class ConvBN(nn.Module, Bordered):
    """Convolution -> batch normalisation -> activation (arXiv:1502.03167, section 3.2).

    Figure 5 of arXiv:1610.02357: "all Convolution and SeparableConvolution layers are followed by batch normalization
    (not included in the diagram)".

    Args:
        kernel: odd, or (height, width).
        padding: "valid" for none, "same" for what keeps the side at stride 1; at other strides the border decides. A
            number is padded on every side, whatever the border.
        activation: None for a linear unit.
        gamma: whether batch normalisation has a learned scale.
        bias: of the convolution; superfluous before batch normalisation, and there in some published files.
        batch_norm: False for the networks from before it.
        activation_first: convolution -> activation -> batch normalisation.

    Shapes: (N, in_channels, H, W) -> (N, out_channels, OH, OW). State: `conv.*`, `bn.*`.
    """

    def __init__(
        self,
        in_channels: int,
        out_channels: int,
        kernel: int | tuple[int, int],
        *,
        stride: int = 1,
        padding: Literal["same", "valid"] | int = "same",
        dilation: int = 1,
        groups: int = 1,
        activation: str | None = "relu",
        gamma: bool = True,
        bias: bool = False,
        batch_norm: bool = True,
        activation_first: bool = False,
    ) -> None:
        super().__init__()
        height, width = (kernel, kernel) if isinstance(kernel, int) else kernel
        # A strided 1x1 only samples. Sampling first and convolving densely gives the same values and avoids oneDNN 3.12
        # (torch 2.13), whose weight gradient of a strided 1x1 writes past its buffer in channels_last with under 16
        # channels and an odd batch.
        self.sampling = stride if height == width == 1 else 1
        self.conv = nn.Conv2d(
            in_channels,
            out_channels,
            (height, width),
            stride // self.sampling,
            dilation=dilation,
            groups=groups,
            bias=bias,
        )
        self.bn: nn.Module = make_norm(out_channels, gamma=gamma) if batch_norm else nn.Identity()
        self.act = make_activation(activation)
        self.padding, self.activation_first = padding, activation_first
        self.set_border("tf_same")

    def set_border(self, border: str) -> None:
        symmetric = border in ("symmetric", "caffe") or self.conv.stride == (1, 1)  # at stride 1 all borders agree
        self.pads_itself = self.padding != "same" or symmetric
        height, width = self.conv.kernel_size
        if isinstance(self.padding, int):
            self.conv.padding = (self.padding, self.padding)
        elif self.padding == "same" and symmetric:
            dilation = self.conv.dilation[0]
            self.conv.padding = (symmetric_padding(height, dilation), symmetric_padding(width, dilation))
        else:
            self.conv.padding = (0, 0)

    def forward(self, x: Tensor) -> Tensor:
        if self.sampling > 1:
            x = x[:, :, :: self.sampling, :: self.sampling]
        if not self.pads_itself:
            height, width = self.conv.kernel_size
            x = ops.pad_same(x, (height, width), self.conv.stride[0], self.conv.dilation[0])
        x = self.conv(x)
        y: Tensor = self.bn(self.act(x)) if self.activation_first else self.act(self.bn(x))
        return y
