"""TF-slim's networks once more, as functions of their variables: an oracle for names, layouts and numerics.

Each function follows slim's own file of the same name, scope by scope. The first run makes the variables, under slim's
names and in TensorFlow's layouts, and sets each batch normalisation's statistics to those of its input; later runs use
them. So a file of `slim.variables` is what a checkpoint would hold, and the logits are what TensorFlow would give.
"""

from collections.abc import Callable

import torch
from torch import Tensor

from tests.weights.slim_layers import Slim, average, chained, maximum

__all__ = ["inception_resnet_v2", "inception_v3", "inception_v4", "mobilenet_v1"]


def stem(slim: Slim, x: Tensor, c: Callable[[int], int]) -> Tensor:
    x = slim.conv(x, c(32), 3, "Conv2d_1a_3x3", stride=2, same=False)
    x = slim.conv(x, c(32), 3, "Conv2d_2a_3x3", same=False)
    return slim.conv(x, c(64), 3, "Conv2d_2b_3x3")


def inception_v3(slim: Slim, x: Tensor) -> Tensor:
    c = slim.depth
    x = maximum(stem(slim, x, c))
    x = slim.conv(x, c(80), 1, "Conv2d_3b_1x1", same=False)
    x = maximum(slim.conv(x, c(192), 3, "Conv2d_4a_3x3", same=False))
    for m, pool in (("5b", 32), ("5c", 64), ("5d", 64)):
        m = f"Mixed_{m}"
        first, second = ("Conv2d_0b_1x1", "Conv_1_0c_5x5") if m == "Mixed_5c" else ("Conv2d_0a_1x1", "Conv2d_0b_5x5")
        double = ((c(64), 1, "Conv2d_0a_1x1"), (c(96), 3, "Conv2d_0b_3x3"), (c(96), 3, "Conv2d_0c_3x3"))
        x = torch.cat(
            [
                chained(slim, x, f"{m}/Branch_0", (c(64), 1, "Conv2d_0a_1x1")),
                chained(slim, x, f"{m}/Branch_1", (c(48), 1, first), (c(64), 5, second)),
                chained(slim, x, f"{m}/Branch_2", *double),
                chained(slim, average(x), f"{m}/Branch_3", (c(pool), 1, "Conv2d_0b_1x1")),
            ],
            1,
        )
    double = ((c(64), 1, "Conv2d_0a_1x1"), (c(96), 3, "Conv2d_0b_3x3"), (c(96), 3, "Conv2d_1a_1x1"))
    branches = [
        chained(slim, x, "Mixed_6a/Branch_0", (c(384), 3, "Conv2d_1a_1x1")),
        chained(slim, x, "Mixed_6a/Branch_1", *double),
    ]
    x = torch.cat([*branches, maximum(x)], 1)
    for letter, narrow in zip("bcde", (128, 160, 160, 192), strict=True):
        x = sevens(
            slim, x, f"Mixed_6{letter}", c(192), (c(narrow), c(narrow), c(192)), (c(narrow),) * 4 + (c(192),), c(192)
        )
    seven = ((c(192), 1, "Conv2d_0a_1x1"), (c(192), (1, 7), "Conv2d_0b_1x7"), (c(192), (7, 1), "Conv2d_0c_7x1"))
    branches = [
        chained(slim, x, "Mixed_7a/Branch_0", (c(192), 1, "Conv2d_0a_1x1"), (c(320), 3, "Conv2d_1a_3x3")),
        chained(slim, x, "Mixed_7a/Branch_1", *seven, (c(192), 3, "Conv2d_1a_3x3")),
    ]
    x = torch.cat([*branches, maximum(x)], 1)
    for m, upright in (("Mixed_7b", "Conv2d_0b_3x1"), ("Mixed_7c", "Conv2d_0c_3x1")):
        y = slim.conv(x, c(384), 1, f"{m}/Branch_1/Conv2d_0a_1x1")
        z = chained(slim, x, f"{m}/Branch_2", (c(448), 1, "Conv2d_0a_1x1"), (c(384), 3, "Conv2d_0b_3x3"))
        x = torch.cat(
            [
                slim.conv(x, c(320), 1, f"{m}/Branch_0/Conv2d_0a_1x1"),
                slim.conv(y, c(384), (1, 3), f"{m}/Branch_1/Conv2d_0b_1x3"),
                slim.conv(y, c(384), (3, 1), f"{m}/Branch_1/{upright}"),
                slim.conv(z, c(384), (1, 3), f"{m}/Branch_2/Conv2d_0c_1x3"),
                slim.conv(z, c(384), (3, 1), f"{m}/Branch_2/Conv2d_0d_3x1"),
                slim.conv(average(x), c(192), 1, f"{m}/Branch_3/Conv2d_0b_1x1"),
            ],
            1,
        )
    return slim.logits(x, "Logits/Conv2d_1c_1x1", convolution=True)


def sevens(
    slim: Slim, x: Tensor, m: str, plain: int, single: tuple[int, ...], double: tuple[int, ...], pool: int
) -> Tensor:
    """The 17x17 module of Inception V3 and V4."""
    kernels = ((1, 1), (1, 7), (7, 1))
    scopes = ("Conv2d_0a_1x1", "Conv2d_0b_1x7", "Conv2d_0c_7x1")
    long_kernels = ((1, 1), (7, 1), (1, 7), (7, 1), (1, 7))
    long_scopes = ("Conv2d_0a_1x1", "Conv2d_0b_7x1", "Conv2d_0c_1x7", "Conv2d_0d_7x1", "Conv2d_0e_1x7")
    return torch.cat(
        [
            chained(slim, x, f"{m}/Branch_0", (plain, 1, "Conv2d_0a_1x1")),
            chained(slim, x, f"{m}/Branch_1", *zip(single, kernels, scopes, strict=True)),
            chained(slim, x, f"{m}/Branch_2", *zip(double, long_kernels, long_scopes, strict=True)),
            chained(slim, average(x), f"{m}/Branch_3", (pool, 1, "Conv2d_0b_1x1")),
        ],
        1,
    )


def inception_v4(slim: Slim, x: Tensor) -> Tensor:
    c = slim.depth
    x = stem(slim, x, c)
    strided = slim.conv(x, c(96), 3, "Mixed_3a/Branch_1/Conv2d_0a_3x3", stride=2, same=False)
    x = torch.cat([maximum(x), strided], 1)
    y = slim.conv(x, c(64), 1, "Mixed_4a/Branch_0/Conv2d_0a_1x1")
    y = slim.conv(y, c(96), 3, "Mixed_4a/Branch_0/Conv2d_1a_3x3", same=False)
    seven = ((c(64), 1, "Conv2d_0a_1x1"), (c(64), (1, 7), "Conv2d_0b_1x7"), (c(64), (7, 1), "Conv2d_0c_7x1"))
    z = chained(slim, x, "Mixed_4a/Branch_1", *seven)
    x = torch.cat([y, slim.conv(z, c(96), 3, "Mixed_4a/Branch_1/Conv2d_1a_3x3", same=False)], 1)
    x = torch.cat([chained(slim, x, "Mixed_5a/Branch_0", (c(192), 3, "Conv2d_1a_3x3")), maximum(x)], 1)
    for m in ("Mixed_5b", "Mixed_5c", "Mixed_5d", "Mixed_5e"):
        double = ((c(64), 1, "Conv2d_0a_1x1"), (c(96), 3, "Conv2d_0b_3x3"), (c(96), 3, "Conv2d_0c_3x3"))
        x = torch.cat(
            [
                chained(slim, x, f"{m}/Branch_0", (c(96), 1, "Conv2d_0a_1x1")),
                chained(slim, x, f"{m}/Branch_1", *double[:2]),
                chained(slim, x, f"{m}/Branch_2", *double),
                chained(slim, average(x), f"{m}/Branch_3", (c(96), 1, "Conv2d_0b_1x1")),
            ],
            1,
        )
    x = reduction(slim, x, (c(192), c(224), c(256)), c(384))
    for letter in "bcdefgh":
        double = (c(192), c(192), c(224), c(224), c(256))
        x = sevens(slim, x, f"Mixed_6{letter}", c(384), (c(192), c(224), c(256)), double, c(128))
    seven = ((c(256), 1, "Conv2d_0a_1x1"), (c(256), (1, 7), "Conv2d_0b_1x7"), (c(320), (7, 1), "Conv2d_0c_7x1"))
    branches = [
        chained(slim, x, "Mixed_7a/Branch_0", (c(192), 1, "Conv2d_0a_1x1"), (c(192), 3, "Conv2d_1a_3x3")),
        chained(slim, x, "Mixed_7a/Branch_1", *seven, (c(320), 3, "Conv2d_1a_3x3")),
    ]
    x = torch.cat([*branches, maximum(x)], 1)
    for m in ("Mixed_7b", "Mixed_7c", "Mixed_7d"):
        y = slim.conv(x, c(384), 1, f"{m}/Branch_1/Conv2d_0a_1x1")
        long = ((c(384), 1, "Conv2d_0a_1x1"), (c(448), (3, 1), "Conv2d_0b_3x1"), (c(512), (1, 3), "Conv2d_0c_1x3"))
        z = chained(slim, x, f"{m}/Branch_2", *long)
        x = torch.cat(
            [
                slim.conv(x, c(256), 1, f"{m}/Branch_0/Conv2d_0a_1x1"),
                slim.conv(y, c(256), (1, 3), f"{m}/Branch_1/Conv2d_0b_1x3"),
                slim.conv(y, c(256), (3, 1), f"{m}/Branch_1/Conv2d_0c_3x1"),
                slim.conv(z, c(256), (1, 3), f"{m}/Branch_2/Conv2d_0d_1x3"),
                slim.conv(z, c(256), (3, 1), f"{m}/Branch_2/Conv2d_0e_3x1"),
                slim.conv(average(x), c(256), 1, f"{m}/Branch_3/Conv2d_0b_1x1"),
            ],
            1,
        )
    return slim.logits(x, "Logits/Logits", convolution=False)


def reduction(slim: Slim, x: Tensor, double: tuple[int, int, int], single: int) -> Tensor:
    """Mixed_6a of Inception V4 and Inception-ResNet-v2."""
    layers = zip(double, (1, 3, 3), ("Conv2d_0a_1x1", "Conv2d_0b_3x3", "Conv2d_1a_3x3"), strict=True)
    branches = [
        chained(slim, x, "Mixed_6a/Branch_0", (single, 3, "Conv2d_1a_3x3")),
        chained(slim, x, "Mixed_6a/Branch_1", *layers),
    ]
    return torch.cat([*branches, maximum(x)], 1)


def residual(slim: Slim, x: Tensor, m: str, scale: float, relu: bool, *branches: Tensor) -> Tensor:
    up = slim.conv(torch.cat(branches, 1), x.shape[1], 1, f"{m}/Conv2d_1x1", norm=False, relu=False)
    x = x + scale * up
    return x.relu() if relu else x


def inception_resnet_v2(slim: Slim, x: Tensor) -> Tensor:
    c = slim.depth
    x = maximum(stem(slim, x, c))
    x = slim.conv(x, c(80), 1, "Conv2d_3b_1x1", same=False)
    x = maximum(slim.conv(x, c(192), 3, "Conv2d_4a_3x3", same=False))
    double = ((c(64), 1, "Conv2d_0a_1x1"), (c(96), 3, "Conv2d_0b_3x3"), (c(96), 3, "Conv2d_0c_3x3"))
    x = torch.cat(
        [
            slim.conv(x, c(96), 1, "Mixed_5b/Branch_0/Conv2d_1x1"),
            chained(slim, x, "Mixed_5b/Branch_1", (c(48), 1, "Conv2d_0a_1x1"), (c(64), 5, "Conv2d_0b_5x5")),
            chained(slim, x, "Mixed_5b/Branch_2", *double),
            chained(slim, average(x), "Mixed_5b/Branch_3", (c(64), 1, "Conv2d_0b_1x1")),
        ],
        1,
    )
    for number in range(1, 11):
        m = f"Repeat/block35_{number}"
        double = ((c(32), 1, "Conv2d_0a_1x1"), (c(48), 3, "Conv2d_0b_3x3"), (c(64), 3, "Conv2d_0c_3x3"))
        y = slim.conv(x, c(32), 1, f"{m}/Branch_0/Conv2d_1x1")
        z = chained(slim, x, f"{m}/Branch_1", (c(32), 1, "Conv2d_0a_1x1"), (c(32), 3, "Conv2d_0b_3x3"))
        x = residual(slim, x, m, 0.17, True, y, z, chained(slim, x, f"{m}/Branch_2", *double))
    x = reduction(slim, x, (c(256), c(256), c(384)), c(384))
    for number in range(1, 21):
        m = f"Repeat_1/block17_{number}"
        seven = ((c(128), 1, "Conv2d_0a_1x1"), (c(160), (1, 7), "Conv2d_0b_1x7"), (c(192), (7, 1), "Conv2d_0c_7x1"))
        y = slim.conv(x, c(192), 1, f"{m}/Branch_0/Conv2d_1x1")
        x = residual(slim, x, m, 0.10, True, y, chained(slim, x, f"{m}/Branch_1", *seven))
    double = ((c(256), 1, "Conv2d_0a_1x1"), (c(288), 3, "Conv2d_0b_3x3"), (c(320), 3, "Conv2d_1a_3x3"))
    branches = [
        chained(slim, x, "Mixed_7a/Branch_0", (c(256), 1, "Conv2d_0a_1x1"), (c(384), 3, "Conv2d_1a_3x3")),
        chained(slim, x, "Mixed_7a/Branch_1", (c(256), 1, "Conv2d_0a_1x1"), (c(288), 3, "Conv2d_1a_3x3")),
        chained(slim, x, "Mixed_7a/Branch_2", *double),
    ]
    x = torch.cat([*branches, maximum(x)], 1)
    for number in range(1, 11):
        m = f"Repeat_2/block8_{number}" if number < 10 else "Block8"
        three = ((c(192), 1, "Conv2d_0a_1x1"), (c(224), (1, 3), "Conv2d_0b_1x3"), (c(256), (3, 1), "Conv2d_0c_3x1"))
        y = slim.conv(x, c(192), 1, f"{m}/Branch_0/Conv2d_1x1")
        scale, relu = (0.20, True) if number < 10 else (1.0, False)
        x = residual(slim, x, m, scale, relu, y, chained(slim, x, f"{m}/Branch_1", *three))
    x = slim.conv(x, c(1536), 1, "Conv2d_7b_1x1")
    return slim.logits(x, "Logits/Logits", convolution=False)


def mobilenet_v1(slim: Slim, x: Tensor) -> Tensor:
    c = slim.depth
    x = slim.conv(x, c(32), 3, "Conv2d_0", stride=2, gamma=True, six=True)
    sizes = ((1, 64), (2, 128), (1, 128), (2, 256), (1, 256), (2, 512), *((1, 512),) * 5, (2, 1024), (1, 1024))
    for number, (stride, channels) in enumerate(sizes, start=1):
        scope = f"Conv2d_{number}_depthwise"
        x = slim.conv(x, 0, 3, scope, stride=stride, depthwise=True, gamma=True, six=True)
        x = slim.conv(x, c(channels), 1, f"Conv2d_{number}_pointwise", gamma=True, six=True)
    return slim.logits(x, "Logits/Conv2d_1c_1x1", convolution=True)
