"""TensorFlow's 'same' padding, which torch lacks: the output side is ceil(side / stride), the odd pixel goes last.

torch pads both sides alike, so where the total is odd its windows start one pixel earlier than TensorFlow's.
Nothing here branches on a picture's side while torch traces, so one exported graph serves odd and even sides.
`torch.jit.trace` hands out sides that are tensors; they pass through as they are.
"""

from typing import Any, Literal

import torch
import torch.nn.functional as F
from torch import Tensor

from separable.errors import UsageError

__all__ = ["Padding", "Pair", "border_of", "is_tracing", "pad_same", "resolve_padding", "same_padding", "to_pair"]

Pair = int | tuple[int, int]
Padding = int | tuple[int, int] | Literal["same"]


def is_tracing() -> bool:
    """Whether a graph is being recorded, so that nothing may branch on a picture's side."""
    return torch.compiler.is_compiling() or torch.jit.is_tracing()  # type: ignore[attr-defined]


def to_pair(value: Pair, name: str = "value") -> tuple[int, int]:
    """`3` -> `(3, 3)`; a pair of integers stays as it is (height first).

    Raises:
        UsageError: neither an integer nor two of them.
    """
    if isinstance(value, int):
        return (value, value)
    if isinstance(value, tuple | list) and len(value) == 2 and all(isinstance(side, int | Tensor) for side in value):
        return (value[0], value[1])
    raise UsageError(f"`{name}` has no such form", got=repr(value), expected="an integer or a pair (height, width)")


def same_padding(side: Any, kernel: int, stride: int, dilation: int = 1) -> tuple[int, int]:
    """Pixels that TensorFlow's 'same' adds (before, after) along one axis of `side` pixels."""
    window = dilation * (kernel - 1) + 1
    if stride == 1:
        total: Any = window - 1
    elif window == 1:
        total = 0  # a 1x1 window samples 0, stride, 2 stride, ...: all of them inside
    else:
        total = (-(-side // stride) - 1) * stride + window - side
        if window < stride:  # only then can the last window end before the picture does
            total = total.clamp(min=0) if isinstance(total, Tensor) else torch.sym_max(total, 0)
    return (total // 2, total - total // 2)


def pad_same(x: Tensor, kernel: Pair, stride: Pair, dilation: Pair = 1, value: float = 0.0) -> Tensor:
    """`x` (N, C, H, W) with 'same' padding of `value` written out, for an operation that then pads nothing itself."""
    kernel, stride, dilation = to_pair(kernel), to_pair(stride), to_pair(dilation)
    top, bottom = same_padding(x.shape[-2], kernel[0], stride[0], dilation[0])
    left, right = same_padding(x.shape[-1], kernel[1], stride[1], dilation[1])
    return F.pad(x, (left, right, top, bottom), value=value)


def resolve_padding(
    x: Tensor, kernel: Pair, stride: Pair, dilation: Pair, padding: Padding
) -> tuple[Tensor, tuple[int, int]]:
    """Split `padding` into what has to be written into `x` and what torch's symmetric argument can express.

    Returns:
        `x`, padded only where 'same' is lopsided, and the (height, width) padding left for the operation to apply.

    Raises:
        UsageError: `padding` is a string other than "same", or negative.
    """
    if padding != "same":
        if isinstance(padding, str):
            raise UsageError("Unknown `padding`", got=repr(padding), expected='a number, a pair, or "same"')
        pair = to_pair(padding, "padding")
        if min(pair) < 0:
            raise UsageError("`padding` cannot be negative", got=pair)
        return x, pair
    kernel, stride, dilation = to_pair(kernel), to_pair(stride), to_pair(dilation)
    windows = [d * (k - 1) + 1 for k, d in zip(kernel, dilation, strict=True)]
    if all((s == 1 and w % 2 == 1) or w == 1 for s, w in zip(stride, windows, strict=True)):
        return x, ((windows[0] - 1) // 2, (windows[1] - 1) // 2)
    if not is_tracing():  # eagerly the side is known, and torch's own padding saves a copy
        (top, bottom), (left, right) = (
            same_padding(x.shape[axis - 2], kernel[axis], stride[axis], dilation[axis]) for axis in (0, 1)
        )
        if top == bottom and left == right:
            return x, (top, left)
    return pad_same(x, kernel, stride, dilation), (0, 0)


def border_of(
    x: Tensor, weight: Tensor, stride: tuple[int, int], padding: Padding, dilation: tuple[int, int]
) -> tuple[int, int, int, int]:
    """Zeros at the top, bottom, left and right of `x` that `padding` means, for kernels that read past the edge.

    Raises:
        UsageError: as `resolve_padding`; a picture, padding included, that is smaller than the kernel.
    """
    if padding == "same":
        sides = (same_padding(x.shape[2 + i], weight.shape[2 + i], stride[i], dilation[i]) for i in (0, 1))
        (top, bottom), (left, right) = sides
        return top, bottom, left, right
    _, (height, width) = resolve_padding(x, (1, 1), 1, 1, padding)
    padded = (x.shape[2] + 2 * height, x.shape[3] + 2 * width)
    window = tuple(dilation[i] * (weight.shape[2 + i] - 1) + 1 for i in (0, 1))
    if not is_tracing() and (padded[0] < window[0] or padded[1] < window[1]):
        raise UsageError(
            "The kernel is larger than its input", got=f"{padded}, padding included", expected=f"{window} or more"
        )
    return height, height, width, width
