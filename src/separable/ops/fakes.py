"""What the fast operators return, by shape and type alone, for torch.compile and the meta device."""

from collections.abc import Sequence

import torch
from torch import Tensor

__all__ = [
    "fake_channel_sums",
    "fake_combine",
    "fake_depthwise_backward",
    "fake_depthwise_forward",
    "fake_maps",
    "fake_pool_backward",
    "fake_pool_forward",
    "fake_product",
    "fake_product_backward",
    "fake_product_over_rows",
    "fake_unit_backward",
    "fake_unit_forward",
]

_FP32 = torch.float32


def fake_depthwise_forward(
    x: Tensor,
    weight: Tensor,
    bias: Tensor | None,
    scale: Tensor | None,
    shift: Tensor | None,
    relu: bool,
    stride: Sequence[int],
    border: Sequence[int],
    dilation: Sequence[int],
) -> Tensor:
    """The shape of the forward operator's result."""
    window = [dilation[axis] * (weight.shape[2 + axis] - 1) + 1 for axis in (0, 1)]
    return fake_maps(x, *_sides(x, window, stride, border))


def fake_depthwise_backward(
    gradient: Tensor,
    x: Tensor,
    weight: Tensor,
    scale: Tensor | None,
    shift: Tensor | None,
    relu: bool,
    stride: Sequence[int],
    border: Sequence[int],
    dilation: Sequence[int],
    other: Tensor | None,
    need_input: bool,
    need_weight: bool,
) -> tuple[Tensor, Tensor, Tensor, Tensor]:
    """The shapes of the backward operator's results."""
    sums = x.shape[1] if need_input and scale is not None else 0
    dx = fake_maps(x, *x.shape[2:]) if need_input else x.new_empty(0)
    dw = x.new_empty(weight.shape if need_weight else (0,), dtype=_FP32)
    return dx, dw, x.new_empty(sums, dtype=_FP32), x.new_empty(sums, dtype=_FP32)


def fake_channel_sums(x: Tensor, *_: Tensor) -> tuple[Tensor, Tensor]:
    """Two numbers for each channel."""
    return x.new_empty(x.shape[1], dtype=_FP32), x.new_empty(x.shape[1], dtype=_FP32)


def fake_combine(x: Tensor, scale: Tensor | None, shift: Tensor | None, other: Tensor | None) -> Tensor:
    """A map like `x`."""
    return fake_maps(x, *x.shape[2:])


def fake_pool_forward(
    x: Tensor, scale: Tensor, shift: Tensor, kernel: int, stride: int, border: Sequence[int]
) -> Tensor:
    """The pooled map."""
    return fake_maps(x, *_sides(x, (kernel, kernel), (stride, stride), border))


def fake_pool_backward(
    g: Tensor, x: Tensor, scale: Tensor, shift: Tensor, kernel: int, stride: int, border: Sequence[int]
) -> tuple[Tensor, Tensor, Tensor]:
    """Gradients of the map, of scale and of shift."""
    return (fake_maps(x, *x.shape[2:]), *fake_channel_sums(x))


def fake_product(left: Tensor, right: Tensor, moments: bool) -> tuple[Tensor, Tensor, Tensor]:
    """(M, K) and (N, K) -> (M, N), and two numbers a column where they are wanted."""
    sums = right.shape[0] if moments else 0
    y = left.new_empty(left.shape[0], right.shape[0])
    return y, left.new_empty(sums, dtype=_FP32), left.new_empty(sums, dtype=_FP32)


def fake_product_backward(
    dz: Tensor | None, y: Tensor, slope: Tensor, offset: Tensor, h: Tensor, weight: Tensor
) -> tuple[Tensor, Tensor]:
    """Like `h` (M, C), and like `weight` (O, C) in fp32."""
    return h.new_empty(h.shape), h.new_empty(weight.shape, dtype=_FP32)


def fake_product_over_rows(left: Tensor, right: Tensor) -> Tensor:
    """(M, O) and (M, C) -> (O, C) in fp32."""
    return left.new_empty(left.shape[1], right.shape[1], dtype=_FP32)


def fake_unit_forward(
    x: Tensor, scale: Tensor | None, shift: Tensor | None, relu: bool, depthwise: Tensor, pointwise: Tensor
) -> tuple[Tensor, Tensor, Tensor]:
    """x (N, C, H, W), pointwise (O, C) -> (N H W, O), and two numbers a column."""
    n, _, h, w = x.shape
    columns = pointwise.shape[0]
    return x.new_empty(n * h * w, columns), x.new_empty(columns, dtype=_FP32), x.new_empty(columns, dtype=_FP32)


def fake_unit_backward(
    dz: Tensor | None,
    z: Tensor,
    slope: Tensor,
    offset: Tensor,
    x: Tensor,
    scale: Tensor | None,
    shift: Tensor | None,
    relu: bool,
    depthwise: Tensor,
    pointwise: Tensor,
    other: Tensor | None,
) -> tuple[Tensor, ...]:
    """Like `x`, and like the rest in fp32."""
    affine = [x.new_empty(x.shape[1] if scale is not None else 0, dtype=_FP32) for _ in range(2)]
    weights = [x.new_empty(weight.shape, dtype=_FP32) for weight in (depthwise, pointwise)]
    return fake_maps(x, *x.shape[2:]), weights[0], *affine, weights[1]


def fake_maps(x: Tensor, height: int, width: int) -> Tensor:
    """The batch, channels, type and device of `x`, other sides, channels_last."""
    shape = (x.shape[0], x.shape[1], height, width)
    return torch.empty(shape, dtype=x.dtype, device=x.device, memory_format=torch.channels_last)


def _sides(x: Tensor, window: Sequence[int], stride: Sequence[int], border: Sequence[int]) -> list[int]:
    return [
        (x.shape[2 + axis] + border[2 * axis] + border[2 * axis + 1] - window[axis]) // stride[axis] + 1
        for axis in (0, 1)
    ]
