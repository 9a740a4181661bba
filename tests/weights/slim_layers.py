"""The layers that TF-slim's networks are written with here: see `slim_net`."""

from collections.abc import Callable

import numpy as np
import torch
import torch.nn.functional as F
from numpy.typing import NDArray
from torch import Tensor

__all__ = ["Slim", "average", "chained", "maximum"]


class Slim:
    """`network(slim, x)`, with the variables of earlier runs; widths are multiplied as slim's depth_multiplier does."""

    def __init__(self, root: str, width: float = 1.0, classes: int = 1001, seed: int = 0) -> None:
        self.root, self.width, self.classes = root, width, classes
        self.variables: dict[str, NDArray[np.float32]] = {}
        self.rng = np.random.default_rng(seed)

    def depth(self, channels: int) -> int:
        return max(int(channels * self.width), 8 if self.root == "MobilenetV1" else 16)

    def variable(self, name: str, make: Callable[[], NDArray[np.float64]]) -> Tensor:
        name = f"{self.root}/{name}"
        if name not in self.variables:
            self.variables[name] = make().astype(np.float32)
        return torch.from_numpy(self.variables[name])

    def conv(
        self,
        x: Tensor,
        channels: int,
        kernel: tuple[int, int] | int,
        scope: str,
        *,
        stride: int = 1,
        same: bool = True,
        norm: bool = True,
        relu: bool = True,
        depthwise: bool = False,
        gamma: bool = False,
        six: bool = False,
    ) -> Tensor:
        """slim.conv2d or separable_conv2d(None): weights, then BatchNorm or biases, then ReLU."""
        height, width = (kernel, kernel) if isinstance(kernel, int) else kernel
        inputs = x.shape[1]
        shape = (height, width, inputs, 1) if depthwise else (height, width, inputs, channels)
        fan_in = height * width * (1 if depthwise else inputs)
        name = f"{scope}/depthwise_weights" if depthwise else f"{scope}/weights"
        weights = self.variable(name, lambda: self.rng.normal(size=shape) * np.sqrt(2 / fan_in))
        oihw = weights.permute(2, 3, 0, 1) if depthwise else weights.permute(3, 2, 0, 1)
        if same:  # TensorFlow: ceil(side / stride) windows, the odd pixel last
            totals = [
                max((-(-side // stride) - 1) * stride + k - side, 0)
                for side, k in ((x.shape[2], height), (x.shape[3], width))
            ]
            x = F.pad(x, (totals[1] // 2, totals[1] - totals[1] // 2, totals[0] // 2, totals[0] - totals[0] // 2))
        y = F.conv2d(x, oihw, stride=stride, groups=inputs if depthwise else 1)
        y = self.norm(y, scope, gamma) if norm else y + self.biases(scope, y.shape[1])[:, None, None]
        if not relu:
            return y
        return y.clamp(0, 6) if six else y.relu()

    def norm(self, y: Tensor, scope: str, gamma: bool) -> Tensor:
        channels = y.shape[1]
        mean = self.variable(f"{scope}/BatchNorm/moving_mean", lambda: y.mean((0, 2, 3)).double().numpy())
        variance = self.variable(f"{scope}/BatchNorm/moving_variance", lambda: y.var((0, 2, 3)).double().numpy())
        beta = self.variable(f"{scope}/BatchNorm/beta", lambda: self.rng.uniform(0, 1.5, channels))
        y = (y - mean[:, None, None]) / (variance[:, None, None] + 0.001).sqrt()
        if gamma:
            scale = self.variable(f"{scope}/BatchNorm/gamma", lambda: self.rng.uniform(0.5, 1.5, channels))
            y = y * scale[:, None, None]
        return y + beta[:, None, None]

    def biases(self, scope: str, channels: int) -> Tensor:
        return self.variable(f"{scope}/biases", lambda: self.rng.normal(size=channels) * 0.1)

    def logits(self, x: Tensor, scope: str, *, convolution: bool) -> Tensor:
        shape = (1, 1, x.shape[1], self.classes) if convolution else (x.shape[1], self.classes)
        weights = self.variable(f"{scope}/weights", lambda: self.rng.normal(size=shape) / np.sqrt(x.shape[1]))
        y = x.mean((2, 3)) @ weights.reshape(-1, self.classes)
        return y + self.biases(scope, self.classes)

    def save(self, path: str, **more: NDArray[np.generic]) -> None:
        np.savez(path, **self.variables, **more)  # type: ignore[arg-type] - numpy's stub thinks of allow_pickle


def average(x: Tensor) -> Tensor:
    return F.avg_pool2d(x, 3, 1, 1, count_include_pad=False)


def maximum(x: Tensor) -> Tensor:
    return F.max_pool2d(x, 3, 2)


def chained(slim: Slim, x: Tensor, branch: str, *layers: tuple[int, tuple[int, int] | int, str]) -> Tensor:
    for channels, kernel, scope in layers:
        strided = scope.startswith("Conv2d_1a")
        x = slim.conv(x, channels, kernel, f"{branch}/{scope}", stride=2 if strided else 1, same=not strided)
    return x
