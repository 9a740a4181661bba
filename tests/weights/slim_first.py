"""TF-slim's inception_v1.py and inception_v2.py once more, as functions of their variables: see `slim_net`."""

import torch
import torch.nn.functional as F
from torch import Tensor

from tests.weights.slim_layers import Slim, average, chained

__all__ = ["inception_v1", "inception_v2"]

Layers = tuple[tuple[int, int, str], ...]


def pooled(x: Tensor, kernel: int = 3) -> Tensor:
    """TensorFlow's 'same' at stride 2: half the side, rounded up, the odd pixel last."""
    totals = [max((-(-side // 2) - 1) * 2 + kernel - side, 0) for side in x.shape[2:]]
    border = (totals[1] // 2, totals[1] - totals[1] // 2, totals[0] // 2, totals[0] - totals[0] // 2)
    return F.max_pool2d(F.pad(x, border, value=float("-inf")), kernel, 2)


def inception_v1(slim: Slim, x: Tensor) -> Tensor:
    x = pooled(slim.conv(x, slim.depth(64), 7, "Conv2d_1a_7x7", stride=2))
    x = slim.conv(x, slim.depth(64), 1, "Conv2d_2b_1x1")
    x = pooled(slim.conv(x, slim.depth(192), 3, "Conv2d_2c_3x3"))
    modules = {
        "Mixed_3b": (64, 96, 128, 16, 32, 32),
        "Mixed_3c": (128, 128, 192, 32, 96, 64),
        "Mixed_4b": (192, 96, 208, 16, 48, 64),
        "Mixed_4c": (160, 112, 224, 24, 64, 64),
        "Mixed_4d": (128, 128, 256, 24, 64, 64),
        "Mixed_4e": (112, 144, 288, 32, 64, 64),
        "Mixed_4f": (256, 160, 320, 32, 128, 128),
        "Mixed_5b": (256, 160, 320, 32, 128, 128),
        "Mixed_5c": (384, 192, 384, 48, 128, 128),
    }
    for m, widths in modules.items():
        if m in ("Mixed_4b", "Mixed_5b"):
            x = pooled(x, 3 if m == "Mixed_4b" else 2)
        single, reduce3, wide3, reduce5, wide5, after_pool = map(slim.depth, widths)
        slip = "Conv2d_0a_3x3" if m == "Mixed_5b" else "Conv2d_0b_3x3"
        branches = [
            slim.conv(x, single, 1, f"{m}/Branch_0/Conv2d_0a_1x1"),
            chained(slim, x, f"{m}/Branch_1", (reduce3, 1, "Conv2d_0a_1x1"), (wide3, 3, "Conv2d_0b_3x3")),
            chained(slim, x, f"{m}/Branch_2", (reduce5, 1, "Conv2d_0a_1x1"), (wide5, 3, slip)),
            slim.conv(F.max_pool2d(x, 3, 1, 1), after_pool, 1, f"{m}/Branch_3/Conv2d_0b_1x1"),
        ]
        x = torch.cat(branches, 1)
    return slim.logits(x, "Logits/Conv2d_0c_1x1", convolution=True)


def inception_v2(slim: Slim, x: Tensor) -> Tensor:
    x = pooled(separable(slim, x, slim.depth(64), "Conv2d_1a_7x7"))
    x = slim.conv(x, slim.depth(64), 1, "Conv2d_2b_1x1")
    x = pooled(slim.conv(x, slim.depth(192), 3, "Conv2d_2c_3x3"))
    modules = {
        "Mixed_3b": (64, 64, 64, 64, 96, 32),
        "Mixed_3c": (64, 64, 96, 64, 96, 64),
        "Mixed_4a": (128, 160, 64, 96),
        "Mixed_4b": (224, 64, 96, 96, 128, 128),
        "Mixed_4c": (192, 96, 128, 96, 128, 128),
        "Mixed_4d": (160, 128, 160, 128, 160, 96),
        "Mixed_4e": (96, 128, 192, 160, 192, 96),
        "Mixed_5a": (128, 192, 192, 256),
        "Mixed_5b": (352, 192, 320, 160, 224, 128),
        "Mixed_5c": (352, 192, 320, 192, 224, 128),
    }
    for m, widths in modules.items():
        sizes = tuple(map(slim.depth, widths))
        if len(sizes) == 4:
            y = slim.conv(x, sizes[0], 1, f"{m}/Branch_0/Conv2d_0a_1x1")
            z = chained(slim, x, f"{m}/Branch_1", (sizes[2], 1, "Conv2d_0a_1x1"), (sizes[3], 3, "Conv2d_0b_3x3"))
            y = slim.conv(y, sizes[1], 3, f"{m}/Branch_0/Conv2d_1a_3x3", stride=2)
            z = slim.conv(z, sizes[3], 3, f"{m}/Branch_1/Conv2d_1a_3x3", stride=2)
            x = torch.cat([y, z, pooled(x)], 1)
            continue
        double: Layers = (
            (sizes[3], 1, "Conv2d_0a_1x1"),
            (sizes[4], 3, "Conv2d_0b_3x3"),
            (sizes[4], 3, "Conv2d_0c_3x3"),
        )
        pool = F.max_pool2d(x, 3, 1, 1) if m == "Mixed_5c" else average(x)
        branches = [
            slim.conv(x, sizes[0], 1, f"{m}/Branch_0/Conv2d_0a_1x1"),
            chained(slim, x, f"{m}/Branch_1", (sizes[1], 1, "Conv2d_0a_1x1"), (sizes[2], 3, "Conv2d_0b_3x3")),
            chained(slim, x, f"{m}/Branch_2", *double),
            slim.conv(pool, sizes[5], 1, f"{m}/Branch_3/Conv2d_0b_1x1"),
        ]
        x = torch.cat(branches, 1)
    return slim.logits(x, "Logits/Conv2d_1c_1x1", convolution=True)


def separable(slim: Slim, x: Tensor, channels: int, scope: str) -> Tensor:
    """slim.separable_conv2d outside of the arg_scope of its neighbours: biases, no batch normalisation, ReLU."""
    multiplier = min(int(channels / 3), 8)
    inputs = x.shape[1]
    depthwise = slim.variable(
        f"{scope}/depthwise_weights", lambda: slim.rng.normal(size=(7, 7, inputs, multiplier)) / 7
    )
    pointwise = slim.variable(
        f"{scope}/pointwise_weights", lambda: slim.rng.normal(size=(1, 1, inputs * multiplier, channels)) / 3
    )
    totals = [max((-(-side // 2) - 1) * 2 + 7 - side, 0) for side in x.shape[2:]]
    x = F.pad(x, (totals[1] // 2, totals[1] - totals[1] // 2, totals[0] // 2, totals[0] - totals[0] // 2))
    maps = [
        F.conv2d(x[:, c : c + 1], depthwise[:, :, c, m][None, None], stride=2)
        for c in range(inputs)
        for m in range(multiplier)
    ]
    y = F.conv2d(torch.cat(maps, 1), pointwise.permute(3, 2, 0, 1))
    return (y + slim.biases(scope, channels)[:, None, None]).relu()
