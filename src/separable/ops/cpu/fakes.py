"""What the C++ operators return, by shape and type alone, for torch.compile and the meta device."""

from collections.abc import Callable, Sequence
from typing import Any

import torch
from torch import Tensor

__all__ = ["fake_depthwise_backward", "fake_depthwise_forward", "register_fakes"]

_FP32 = torch.float32


def register_fakes() -> None:
    """Tell torch the shapes; once, after the library is loaded."""
    for name, function in _FAKES.items():
        torch.library.register_fake(f"separable_cpu::{name}", function)


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
    return _maps(x, *_sides(x, window, stride, border))


def fake_depthwise_backward(
    g: Tensor,
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
    dx = _maps(x, *x.shape[2:]) if need_input else x.new_empty(0)
    dw = x.new_empty(weight.shape if need_weight else (0,), dtype=_FP32)
    return dx, dw, x.new_empty(sums, dtype=_FP32), x.new_empty(sums, dtype=_FP32)


def _two_sums(x: Tensor, *_: Tensor) -> tuple[Tensor, Tensor]:
    return x.new_empty(x.shape[1], dtype=_FP32), x.new_empty(x.shape[1], dtype=_FP32)


def _combine(x: Tensor, scale: Tensor | None, shift: Tensor | None, other: Tensor | None) -> Tensor:
    return _maps(x, *x.shape[2:])


def _pool_forward(x: Tensor, scale: Tensor, shift: Tensor, kernel: int, stride: int, border: Sequence[int]) -> Tensor:
    return _maps(x, *_sides(x, (kernel, kernel), (stride, stride), border))


def _pool_backward(
    g: Tensor, x: Tensor, scale: Tensor, shift: Tensor, kernel: int, stride: int, border: Sequence[int]
) -> tuple[Tensor, Tensor, Tensor]:
    return (_maps(x, *x.shape[2:]), *_two_sums(x))


def _sides(x: Tensor, window: Sequence[int], stride: Sequence[int], border: Sequence[int]) -> list[int]:
    return [
        (x.shape[2 + axis] + border[2 * axis] + border[2 * axis + 1] - window[axis]) // stride[axis] + 1
        for axis in (0, 1)
    ]


def _maps(x: Tensor, height: int, width: int) -> Tensor:
    shape = (x.shape[0], x.shape[1], height, width)
    return torch.empty(shape, dtype=x.dtype, device=x.device, memory_format=torch.channels_last)


_FAKES: dict[str, Callable[..., Any]] = {
    "depthwise_forward": fake_depthwise_forward,
    "depthwise_backward": fake_depthwise_backward,
    "channel_moments": _two_sums,
    "channel_products": _two_sums,
    "combine": _combine,
    "pool_forward": _pool_forward,
    "pool_backward": _pool_backward,
}
