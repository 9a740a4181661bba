"""Pooling layers with TensorFlow's arithmetic, as modules so that they show up in profiles and drawings."""

from typing import Literal

from torch import Tensor, nn

from separable import ops

__all__ = ["AveragePool", "MaxPool"]


class MaxPool(nn.Module):
    """Max pooling, 3x3/2 in every figure here; "same" puts the odd border pixel last, as TensorFlow does."""

    def __init__(self, padding: Literal["same", "valid"], *, kernel: int = 3, stride: int = 2) -> None:
        super().__init__()
        self.kernel, self.stride, self.padding = kernel, stride, padding

    def forward(self, x: Tensor) -> Tensor:
        return ops.max_pool2d(x, self.kernel, self.stride, "same" if self.padding == "same" else 0)

    def extra_repr(self) -> str:
        return f"kernel={self.kernel}, stride={self.stride}, padding={self.padding!r}"


class AveragePool(nn.Module):
    """3x3 average at stride 1 of the Inception pooling branches; the padding does not count (TensorFlow's rule)."""

    def __init__(self, *, kernel: int = 3) -> None:
        super().__init__()
        self.kernel = kernel

    def forward(self, x: Tensor) -> Tensor:
        return ops.average_pool2d(x, self.kernel, 1, "same")

    def extra_repr(self) -> str:
        return f"kernel={self.kernel}, stride=1, padding='same'"
