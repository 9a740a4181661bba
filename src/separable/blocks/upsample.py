"""Finer maps from coarser ones, and the fitting of one map to another."""

from typing import Literal

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from separable.ops.padding import is_tracing

__all__ = ["UPSAMPLINGS", "Upsample", "Upsampling", "resize_to"]

Upsampling = Literal["nearest", "bilinear", "learned"]
UPSAMPLINGS: tuple[Upsampling, ...] = ("nearest", "bilinear", "learned")


class Upsample(nn.Module):
    """A map of twice the side, or of a given size.

    - "nearest": each pixel four times over, as Keras' UpSampling2D.
    - "bilinear": interpolated between the pixels' centres.
    - "learned": a transposed 2x2 convolution of stride 2, the up-convolution of arXiv:1505.04597, section 2. It starts
      as "nearest", as arXiv:1411.4038, section 4.3, starts its own as bilinear interpolation.

    Shapes: (N, channels, H, W) -> (N, channels, 2H, 2W). State: `conv.weight`, `conv.bias` if learned.
    """

    def __init__(self, mode: Upsampling, channels: int) -> None:
        super().__init__()
        self.mode = mode
        self.conv = nn.ConvTranspose2d(channels, channels, 2, stride=2) if mode == "learned" else None
        self.reset_parameters()

    @torch.no_grad()
    def reset_parameters(self) -> None:
        """Start as nearest neighbours."""
        if self.conv is not None:
            same = torch.eye(self.conv.in_channels, device=self.conv.weight.device)
            self.conv.weight.copy_(same[:, :, None, None].expand_as(self.conv.weight))
            assert self.conv.bias is not None
            self.conv.bias.zero_()

    def forward(self, x: Tensor, size: tuple[int, int] | None = None) -> Tensor:
        """`size` (height, width) in place of twice the side; learned maps are brought to it by nearest neighbours."""
        if self.conv is not None:
            x = self.conv(x)
            return x if size is None else F.interpolate(x, size)
        if self.mode == "nearest":
            return F.interpolate(x, size, 2.0 if size is None else None)
        return resize_to(x, size or (2 * x.shape[-2], 2 * x.shape[-1]))

    def extra_repr(self) -> str:
        return repr(self.mode)


def resize_to(x: Tensor, size: tuple[int, int], *, align_corners: bool = False) -> Tensor:
    """`x` (N, C, H, W) interpolated bilinearly to `size`.

    Args:
        align_corners: the outermost pixels' centres stay the outermost, which is where layers that pad alike on both
            sides put them; else the outermost borders do.
    """
    if not is_tracing() and tuple(x.shape[-2:]) == tuple(size):
        return x
    return F.interpolate(x, size, mode="bilinear", align_corners=align_corners)
