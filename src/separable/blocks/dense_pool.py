"""Max pooling that keeps every pixel, for networks whose last maps are wanted finer than they were built for."""

import torch.nn.functional as F
from torch import Tensor, nn

from separable.blocks.border import Bordered
from separable.ops.padding import same_padding

__all__ = ["DenseMaxPool"]


class DenseMaxPool(nn.Module, Bordered):
    """3x3/2 max pooling evaluated at every pixel, in place of one whose stride was traded for dilation.

    The pixels at multiples of 2 `dilation` are those of the strided pool on the map that has only the multiples of
    `dilation`, whatever its side: where TensorFlow's windows start on the pixel instead of before it, on even sides, so
    do these.

    Shapes: (N, C, H, W) -> (N, C, H, W).
    """

    def __init__(self, dilation: int = 1) -> None:
        super().__init__()
        self.dilation, self.border = dilation, "tf_same"

    def set_border(self, border: str) -> None:
        self.border = border

    def forward(self, x: Tensor) -> Tensor:
        top, bottom = self._padding(x.shape[-2])
        left, right = self._padding(x.shape[-1])
        padded = F.pad(x, (left, right, top, bottom), value=float("-inf"))
        return F.max_pool2d(padded, 3, stride=1, dilation=self.dilation)

    def extra_repr(self) -> str:
        return f"kernel=3, dilation={self.dilation}"

    def _padding(self, side: int) -> tuple[int, int]:
        if self.border in ("symmetric", "caffe"):
            before = 1
        else:
            before, _ = same_padding(-(-side // self.dilation), 3, 2)
        return before * self.dilation, (2 - before) * self.dilation
