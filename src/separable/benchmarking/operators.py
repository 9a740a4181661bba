"""The single operators that `separable bench ops` times: how each is made, by whom, and what it has to move."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial

import numpy as np
import torch
from torch import Tensor
from torch.nn.functional import conv2d

from separable.benchmarking.outcome import Work
from separable.errors import UsageError
from separable.machine.ceilings import PRECISIONS
from separable.ops.depthwise import depthwise_conv2d
from separable.ops.separable import separable_conv2d

__all__ = ["OPERATORS", "SHAPES", "Call", "Case", "Make", "contestants_for", "parse_shape", "work_of"]

SHAPES = ((8, 128, 147, 147), (8, 256, 74, 74), (8, 728, 19, 19))
"""Xception's entry and middle flow at 299 with eight pictures."""

Call = Callable[[], Tensor | Sequence[Tensor]]


@dataclass(frozen=True)
class Case:
    """One shape: pictures, channels, height, width; the kernel's side, its stride, and the precision by its name."""

    shape: tuple[int, int, int, int]
    kernel: int = 3
    stride: int = 1
    precision: str = "fp32"
    device: str = "cpu"
    seed: int = 0

    @property
    def padding(self) -> int:
        """Zeros on each side: with stride 1 the map keeps its side."""
        return self.kernel // 2

    @property
    def out_shape(self) -> tuple[int, int, int, int]:
        """Of the depthwise convolution."""
        n, c, h, w = self.shape
        return (n, c, *((side + 2 * self.padding - self.kernel) // self.stride + 1 for side in (h, w)))  # type: ignore[return-value]

    def title(self, operator: str) -> str:
        """ "depthwise forward, 8x128x147x147, 3x3, bf16"."""
        sides = "x".join(map(str, self.shape))
        kernel = f"{self.kernel}x{self.kernel}{f', stride {self.stride}' if self.stride > 1 else ''}"
        return f"{operator}, {sides}, {kernel}, {self.precision}"

    def tensor(self, shape: Sequence[int], seed: int, scale: float = 1.0, dtype: torch.dtype | None = None) -> Tensor:
        """Random numbers; the precision's own, so that fp64 gets the same values."""
        generator = torch.Generator().manual_seed(self.seed + seed)
        value = (torch.randn(*shape, generator=generator) * scale).to(PRECISIONS[self.precision])
        value = value.to(self.device, dtype or value.dtype)
        return value.contiguous(memory_format=torch.channels_last) if value.dim() == 4 else value


Make = Callable[[Case, str, torch.dtype | None], Call]
"""(case, implementation, dtype or None for the case's own) -> a call that is timed and gives the answer."""


def _depthwise(case: Case, implementation: str, dtype: torch.dtype | None, wanted: str) -> Call:
    channels, kernel = case.shape[1], case.kernel
    x = case.tensor(case.shape, 1, dtype=dtype).requires_grad_(wanted == "input gradient")
    weight = case.tensor((channels, 1, kernel, kernel), 2, 1 / kernel, dtype)
    weight.requires_grad_(wanted == "weight gradient")
    forward = partial(
        depthwise_conv2d, x, weight, None, case.stride, case.padding, 1, implementation  # type: ignore[arg-type]
    )  # fmt: skip
    return _call(forward, [x] if x.requires_grad else [weight] if weight.requires_grad else [], case, dtype)


def _pointwise(case: Case, implementation: str, dtype: torch.dtype | None, wanted: str) -> Call:
    channels = case.shape[1]
    x = case.tensor(case.shape, 1, dtype=dtype).requires_grad_(wanted == "input gradient")
    weight = case.tensor((channels, channels, 1, 1), 3, channels**-0.5, dtype)
    weight.requires_grad_(wanted == "weight gradient")
    product: Callable[[Tensor, Tensor], Tensor] = conv2d
    if implementation == "cpu":
        from separable.ops.cpu.unit import pointwise_product

        product = pointwise_product
    needed = [x] if x.requires_grad else [weight] if weight.requires_grad else []
    return _call(partial(product, x, weight), needed, case, dtype)


def _separable(case: Case, implementation: str, dtype: torch.dtype | None, wanted: str) -> Call:
    """Forward and every gradient in one step; the pointwise convolution keeps the number of channels."""
    channels, kernel = case.shape[1], case.kernel
    x = case.tensor(case.shape, 1, dtype=dtype).requires_grad_()
    depthwise = case.tensor((channels, 1, kernel, kernel), 2, 1 / kernel, dtype).requires_grad_()
    pointwise = case.tensor((channels, channels, 1, 1), 3, channels**-0.5, dtype).requires_grad_()
    forward = partial(
        separable_conv2d, x, depthwise, pointwise, None, case.stride, case.padding, 1, implementation  # type: ignore[arg-type]
    )  # fmt: skip
    return _step(forward, [x, depthwise, pointwise], case, dtype)


def _unit(case: Case, implementation: str, dtype: torch.dtype | None, wanted: str) -> Call:
    """Batch norm's scale and shift, ReLU, depthwise, pointwise, the result's moments; forward and every gradient."""
    channels, kernel = case.shape[1], case.kernel
    x = case.tensor(case.shape, 1, dtype=dtype).requires_grad_()
    single = torch.float32 if dtype is None else dtype
    scale = (1 + case.tensor((channels,), 4, 0.1, single)).requires_grad_()
    shift = case.tensor((channels,), 5, 0.1, single).requires_grad_()
    depthwise = case.tensor((channels, 1, kernel, kernel), 2, 1 / kernel, dtype).requires_grad_()
    pointwise = case.tensor((channels, channels, 1, 1), 3, channels**-0.5, dtype).requires_grad_()
    inputs = [x, scale, shift, depthwise, pointwise]
    if implementation == "reference":
        return _step(partial(_plain_unit, *inputs), inputs, case, dtype)
    fused: Callable[..., tuple[Tensor, ...]]
    if implementation == "triton":
        from separable.ops.triton import unit

        fused = unit.separable_unit
    else:
        from separable.ops.cpu import unit as cpu_unit

        fused = cpu_unit.separable_unit

    def forward() -> tuple[Tensor, Tensor, Tensor]:
        z, mean, variance, _ = fused(x, scale, shift, True, depthwise, pointwise)
        return z, mean, variance

    return _step(forward, inputs, case, dtype)


def _plain_unit(
    x: Tensor, scale: Tensor, shift: Tensor, depthwise: Tensor, pointwise: Tensor
) -> tuple[Tensor, Tensor, Tensor]:
    per_channel = (1, -1, 1, 1)
    h = torch.relu(x * scale.to(x.dtype).view(per_channel) + shift.to(x.dtype).view(per_channel))
    z = separable_conv2d(h, depthwise, pointwise, None, 1, depthwise.shape[-1] // 2, 1, "reference")
    wide = z.float() if z.dtype != torch.float64 else z
    variance, mean = torch.var_mean(wide, (0, 2, 3), correction=0)
    return z, mean, variance


def _call(forward: Callable[[], Tensor], needed: list[Tensor], case: Case, dtype: torch.dtype | None) -> Call:
    """The forward pass alone, or one gradient alone of a graph that is built beforehand."""
    if not needed:
        return forward
    y = forward()
    gradient = case.tensor(y.shape, 6, dtype=dtype)
    return lambda: torch.autograd.grad(y, needed, gradient, retain_graph=True)


def _step(
    forward: Callable[[], Tensor | tuple[Tensor, ...]], inputs: list[Tensor], case: Case, dtype: torch.dtype | None
) -> Call:
    gradients: list[Tensor] = []

    def step() -> Sequence[Tensor]:
        found = forward()
        outputs = [found] if isinstance(found, Tensor) else list(found)
        if not gradients:
            gradients.extend(
                case.tensor(y.shape, 6 + i, dtype=dtype if y.dim() == 4 else y.dtype) for i, y in enumerate(outputs)
            )
        return [*outputs, *torch.autograd.grad(outputs, inputs, gradients)]

    return step


OPERATORS: dict[str, tuple[Make, tuple[str, ...]]] = {
    "depthwise forward": (partial(_depthwise, wanted="forward"), ("reference", "cpu", "triton")),
    "depthwise input gradient": (partial(_depthwise, wanted="input gradient"), ("reference", "cpu", "triton")),
    "depthwise weight gradient": (partial(_depthwise, wanted="weight gradient"), ("reference", "cpu", "triton")),
    "pointwise forward": (partial(_pointwise, wanted="forward"), ("reference", "cpu")),
    "pointwise input gradient": (partial(_pointwise, wanted="input gradient"), ("reference", "cpu")),
    "pointwise weight gradient": (partial(_pointwise, wanted="weight gradient"), ("reference", "cpu")),
    "separable forward and backward": (partial(_separable, wanted="both"), ("reference", "cpu", "triton")),
    "fused unit forward and backward": (partial(_unit, wanted="both"), ("reference", "cpu", "triton")),
}
"""What is timed, and by which implementations; "reference" is plain torch."""


def contestants_for(case: Case, operator: str) -> list[str]:
    """The implementations that can take this case at all."""
    known = OPERATORS[operator][1]
    keeps_side = case.stride == 1 and case.kernel % 2 == 1
    if operator.startswith("fused") and not keeps_side:
        return []
    ours = "triton" if case.device.startswith("cuda") else "cpu"
    return [name for name in known if name in ("reference", ours)]


def work_of(case: Case, operator: str) -> Work:
    """Every input read once, every output written once; what lies between a step's parts not at all."""
    size, (n, c, h, w) = PRECISIONS[case.precision].itemsize, case.shape
    maps, out = n * c * h * w, int(np.prod(case.out_shape))
    depthwise, pointwise = 2.0 * case.kernel**2 * out, 2.0 * c * out
    if operator.startswith("depthwise"):
        return Work(depthwise, size * (maps + out), n)
    if operator.startswith("pointwise"):
        return Work(2.0 * c * maps, size * 2 * maps, n)
    return Work(3 * (depthwise + pointwise), size * (maps + out + maps + out + maps), n)


def parse_shape(text: str) -> tuple[int, int, int, int]:
    """ "8x128x147x147" -> (8, 128, 147, 147).

    Raises:
        UsageError: not four numbers above 0.
    """
    sides = text.lower().split("x")
    if len(sides) != 4 or not all(side.isdecimal() and int(side) > 0 for side in sides):
        raise UsageError("A shape is pictures, channels, height and width", got=text, expected="such as 8x128x147x147")
    n, c, h, w = map(int, sides)
    return n, c, h, w
