"""Pooling layers with TensorFlow's arithmetic, as modules so that they show up in profiles and drawings."""

from typing import Literal

import torch.nn.functional as F
from torch import Tensor, nn

from separable import ops
from separable.blocks.border import Bordered, symmetric_padding
from separable.ops.padding import Padding, is_tracing

__all__ = ["AveragePool", "MaxPool"]


class MaxPool(nn.Module, Bordered):
    """Max pooling, 3x3/2 in every figure here; "same" puts the odd border pixel last, as TensorFlow does.

    With Caffe's border a strided pool is unpadded and its last window may hang over the edge.
    """

    def __init__(self, padding: Literal["same", "valid"], *, kernel: int = 3, stride: int = 2) -> None:
        super().__init__()
        self.kernel, self.stride, self.padding, self.border = kernel, stride, padding, "tf_same"

    def set_border(self, border: str) -> None:
        self.border = border

    def forward(self, x: Tensor) -> Tensor:
        if self.padding == "same" and self.border == "caffe" and self.stride > 1:
            return self._rounding_up(x)
        return ops.max_pool2d(x, self.kernel, self.stride, _padding(self.padding, self.kernel, self.border))

    def _rounding_up(self, x: Tensor) -> Tensor:
        """What hangs over is written out while tracing: `ceil_mode` leaves sides that torch cannot reason about."""
        if not is_tracing():
            return F.max_pool2d(x, self.kernel, self.stride, ceil_mode=True)
        below, right = ((self.kernel - side) % self.stride for side in x.shape[2:])
        return F.max_pool2d(F.pad(x, (0, right, 0, below), value=float("-inf")), self.kernel, self.stride)

    def extra_repr(self) -> str:
        return f"kernel={self.kernel}, stride={self.stride}, padding={self.padding!r}"


class AveragePool(nn.Module, Bordered):
    """Average pooling, 3x3 at stride 1 in the Inception pooling branches; padding does not count (TensorFlow's rule).

    `counts_padding` divides by the whole window instead, as torch's ports do.
    """

    def __init__(self, padding: Literal["same", "valid"] = "same", *, kernel: int = 3, stride: int = 1) -> None:
        super().__init__()
        self.kernel, self.stride, self.padding, self.border = kernel, stride, padding, "tf_same"
        self.counts_padding = False

    def set_border(self, border: str) -> None:
        self.border = border

    def forward(self, x: Tensor) -> Tensor:
        if self.counts_padding and self.padding == "same":
            return F.avg_pool2d(x, self.kernel, self.stride, symmetric_padding(self.kernel))
        return ops.average_pool2d(x, self.kernel, self.stride, _padding(self.padding, self.kernel, self.border))

    def extra_repr(self) -> str:
        return f"kernel={self.kernel}, stride={self.stride}, padding={self.padding!r}"


def _padding(padding: str, kernel: int, border: str) -> Padding:
    if padding == "valid":
        return 0
    return symmetric_padding(kernel) if border in ("symmetric", "caffe") else "same"
