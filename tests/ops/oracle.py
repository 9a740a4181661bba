"""Independent oracles in numpy: padding by TensorFlow's published formula, pixels visited one window at a time."""

import math

import numpy as np

Array = np.ndarray


def same_border(side: int, kernel: int, stride: int, dilation: int) -> tuple[int, int]:
    """Pixels before the picture, and output side (tensorflow.org, "padding considerations")."""
    out = math.ceil(side / stride)
    total = max((out - 1) * stride + (kernel - 1) * dilation + 1 - side, 0)
    return total // 2, out


def _axis(side: int, kernel: int, stride: int, dilation: int, padding: int | str) -> tuple[int, int]:
    if padding == "same":
        return same_border(side, kernel, stride, dilation)
    return padding, (side + 2 * padding - (kernel - 1) * dilation - 1) // stride + 1


def windows(
    x: Array,
    kernel: tuple[int, int],
    stride: tuple[int, int],
    padding: tuple[int, int] | str,
    dilation: tuple[int, int] = (1, 1),
) -> Array:
    """(N, C, H, W) -> (N, C, OH, OW, KH, KW); NaN where a window looks outside the picture."""
    pads = ("same", "same") if padding == "same" else padding
    (top, height), (left, width) = (
        _axis(x.shape[2 + axis], kernel[axis], stride[axis], dilation[axis], pads[axis]) for axis in (0, 1)
    )
    result = np.full((*x.shape[:2], height, width, *kernel), np.nan)
    for i in range(height):
        for j in range(width):
            for u in range(kernel[0]):
                for v in range(kernel[1]):
                    row = i * stride[0] + u * dilation[0] - top
                    column = j * stride[1] + v * dilation[1] - left
                    if 0 <= row < x.shape[2] and 0 <= column < x.shape[3]:
                        result[:, :, i, j, u, v] = x[:, :, row, column]
    return result


def depthwise(
    x: Array,
    weight: Array,
    bias: Array | None,
    stride: tuple[int, int],
    padding: tuple[int, int] | str,
    dilation: tuple[int, int],
) -> Array:
    """weight (C * m, 1, KH, KW) -> (N, C * m, OH, OW) in float64."""
    seen = np.nan_to_num(windows(x, weight.shape[2:], stride, padding, dilation))
    multiplier = weight.shape[0] // x.shape[1]
    channels = [
        (seen[:, out // multiplier] * weight[out, 0]).sum((-2, -1)) + (0.0 if bias is None else bias[out])
        for out in range(weight.shape[0])
    ]
    return np.stack(channels, 1)
