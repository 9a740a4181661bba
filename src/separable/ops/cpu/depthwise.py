"""The CPU's depthwise convolution as an operator. `depthwise.cpp` holds the arithmetic."""

from typing import Any

import torch
from torch import Tensor

from separable.ops.operator import DepthwiseOperator

__all__ = ["depthwise_backward_cpu", "depthwise_conv2d_cpu", "depthwise_cpu"]


def _forward(*arguments: Any) -> Tensor:
    y: Tensor = torch.ops.separable_cpu.depthwise_forward(*arguments)
    return y


def _backward(*arguments: Any) -> tuple[Tensor, Tensor, Tensor, Tensor]:
    gradients: tuple[Tensor, Tensor, Tensor, Tensor] = torch.ops.separable_cpu.depthwise_backward(*arguments)
    return gradients


_OPERATOR = DepthwiseOperator("cpu", "cpu", _forward, _backward)
depthwise_cpu, depthwise_backward_cpu = _OPERATOR.forward, _OPERATOR.backward
depthwise_conv2d_cpu = _OPERATOR.convolve
