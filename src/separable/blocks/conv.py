"""Convolution, batch normalisation, activation: the unit that every figure of these papers draws as one box."""

from typing import Literal

from torch import Tensor, nn

from separable import ops
from separable.blocks.activation import make_activation
from separable.blocks.norm import batch_norm

__all__ = ["ConvBN"]


class ConvBN(nn.Module):
    """Convolution without bias -> batch normalisation -> activation (arXiv:1502.03167, section 3.2).

    Figure 5 of arXiv:1610.02357: "all Convolution and SeparableConvolution layers are followed by batch normalization
    (not included in the diagram)".

    Shapes: (N, in_channels, H, W) -> (N, out_channels, OH, OW). `padding` is "valid", or "same" in TensorFlow's sense.
    """

    def __init__(
        self,
        in_channels: int,
        out_channels: int,
        kernel: int | tuple[int, int],
        *,
        stride: int = 1,
        padding: Literal["same", "valid"] = "same",
        activation: str | None = "relu",
        gamma: bool = True,
    ) -> None:
        super().__init__()
        height, width = (kernel, kernel) if isinstance(kernel, int) else kernel
        # At stride 1 'same' is symmetric for odd kernels, and at 1x1 it is nothing: the convolution pads by itself.
        symmetric = padding == "same" and (stride == 1 or height == width == 1)
        inner = ((height - 1) // 2, (width - 1) // 2) if symmetric else (0, 0)
        self.pads_itself = padding == "valid" or symmetric
        # A strided 1x1 only samples. Sampling first and convolving densely gives the same values and avoids oneDNN 3.12
        # (torch 2.13), whose weight gradient of a strided 1x1 writes past its buffer in channels_last with under 16
        # channels and an odd batch.
        self.sampling = stride if height == width == 1 else 1
        self.conv = nn.Conv2d(in_channels, out_channels, (height, width), stride // self.sampling, inner, bias=False)
        self.bn = batch_norm(out_channels, gamma=gamma)
        self.act = make_activation(activation)

    def forward(self, x: Tensor) -> Tensor:
        if self.sampling > 1:
            x = x[:, :, :: self.sampling, :: self.sampling]
        if not self.pads_itself:
            height, width = self.conv.kernel_size
            x = ops.pad_same(x, (height, width), self.conv.stride[0])
        y: Tensor = self.act(self.bn(self.conv(x)))
        return y
