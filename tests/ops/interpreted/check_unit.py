"""The fused unit by Triton and the passes around it against fp64, with every gradient."""

from typing import Any

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor

from separable.ops.padding import same_padding
from separable.ops.triton.passes import channel_moments, channel_products, combine, gather_moments
from separable.ops.triton.product import product
from separable.ops.triton.unit import add_normalised, moments, pool_normalised, separable_unit
from tests.ops.interpreted.oracle import act, check, distances, gradients
from tests.tolerances import CONVOLUTION_FP32, LOW_PRECISION_RATIO

FP32, FP64 = torch.float32, torch.float64
PLANS = [("matmul", True), ("epilogue", False), ("window", True)]
# (batch, channels, outputs, height, width, kernel, affine, relu)
SHAPES = [(2, 20, 24, 9, 8, 3, True, True), (1, 3, 5, 1, 1, 3, True, True), (1, 31, 33, 3, 4, 5, False, False)]


def inputs_of(shape: tuple[Any, ...]) -> list[Tensor | None]:
    n, c, out, h, w, k, affine, _ = shape
    vectors: list[Tensor | None] = [torch.randn(c), torch.randn(c)] if affine else [None, None]
    return [torch.randn(n, c, h, w), *vectors, torch.randn(c, 1, k, k), torch.randn(out, c, 1, 1) / c**0.5]


def plain_unit(relu: bool) -> Any:
    def run(x: Tensor, scale: Tensor | None, shift: Tensor | None, dw: Tensor, pw: Tensor) -> tuple[Tensor, ...]:
        wide = x if scale is None else x.to(scale.dtype)
        a = act(wide, scale, shift, relu).to(x.dtype)
        h = F.conv2d(a, dw.to(x.dtype), padding=dw.shape[-1] // 2, groups=x.shape[1])
        z = F.conv2d(h, pw.to(x.dtype))
        far = z if z.dtype == FP64 else z.float()
        return z, far.mean((0, 2, 3)), far.var((0, 2, 3), unbiased=False), x

    return run


def our_unit(relu: bool, plan: str, keep: bool) -> Any:
    return lambda x, scale, shift, dw, pw: separable_unit(x, scale, shift, relu, dw, pw, plan, keep)  # type: ignore[arg-type]


@pytest.mark.parametrize(("plan", "keep"), PLANS)
@pytest.mark.parametrize("shape", SHAPES)
def test_unit(shape: tuple[Any, ...], plan: str, keep: bool) -> None:
    inputs, relu = inputs_of(shape), shape[-1]
    truth = gradients(plain_unit(relu), inputs, [FP64] * 5)
    assert max(distances(gradients(our_unit(relu, plan, keep), inputs, [FP32] * 5), truth)) <= CONVOLUTION_FP32


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16])
@pytest.mark.parametrize(("plan", "keep"), PLANS[1:])
def test_unit_in_low_precision_is_as_close_as_plain_torch(plan: str, keep: bool, dtype: torch.dtype) -> None:
    """The interpreter cuts bf16 off where devices round to nearest, so its error may be twice what a device's may."""
    inputs = inputs_of((2, 32, 16, 6, 5, 3, True, True))
    assert inputs[0] is not None
    inputs[0] = inputs[0].to(dtype)
    types = [dtype, *[FP32] * 4]
    truth = gradients(plain_unit(True), inputs, [FP64] * 5)
    theirs = gradients(plain_unit(True), inputs, types)
    ours = gradients(our_unit(True, plan, keep), inputs, types)
    ratio = LOW_PRECISION_RATIO * (2 if dtype == torch.bfloat16 else 1)
    check(ours, theirs, truth, ratio, torch.finfo(dtype).eps / 2)


@pytest.mark.parametrize("mean", [0.0, 1e3])
def test_moments_far_from_zero_keep_their_digits(mean: float) -> None:
    inputs = [torch.randn(3, 21, 9, 9) + mean]
    truth = gradients(lambda z: (z.mean((0, 2, 3)), z.var((0, 2, 3), unbiased=False)), inputs, [FP64])
    got = gradients(moments, inputs, [FP32])
    assert max(distances(got, truth)) <= 10 * CONVOLUTION_FP32, "the input itself is rounded to 6e-5 at 1e3"


def test_moments_are_gathered_over_several_levels() -> None:
    """64 blocks become one, and 64 of those one again; the last block is not full."""
    z = torch.randn(4100 * 2 - 1, 3, dtype=FP64) + 5
    blocks = [z[i : i + 2] for i in range(0, len(z), 2)]
    sums = torch.stack([b.sum(0) for b in blocks]).float()
    squares = torch.stack([(b - b.mean(0)).square().sum(0) for b in blocks]).float()
    mean, variance = gather_moments(sums, squares, 2, len(z))
    truth = [z.mean(0), z.var(0, unbiased=False)]
    assert max(distances([mean, variance], truth)) <= CONVOLUTION_FP32


@pytest.mark.parametrize("with_other", [False, True])
def test_residual_sum(with_other: bool) -> None:
    other = torch.randn(2, 37, 3, 6) if with_other else None
    inputs = [torch.randn(2, 37, 3, 6), torch.randn(37), torch.randn(37), other]

    def by_hand(z: Tensor, scale: Tensor, shift: Tensor, other: Tensor | None) -> tuple[Tensor, ...]:
        y = act(z, scale, shift, False)
        return (y if other is None else y + other,)

    truth = gradients(by_hand, inputs, [FP64] * 4)
    got = gradients(lambda *t: (add_normalised(*t),), inputs, [FP32] * 4)
    assert max(distances(got, truth)) <= CONVOLUTION_FP32


def test_pool_of_a_normalised_map() -> None:
    (top, bottom), (left, right) = (same_padding(side, 3, 2) for side in (6, 5))

    def by_hand(z: Tensor, scale: Tensor, shift: Tensor) -> tuple[Tensor, ...]:
        padded = F.pad(act(z, scale, shift, False), (left, right, top, bottom), value=float("-inf"))
        return (F.max_pool2d(padded, 3, 2),)

    inputs = [torch.randn(2, 5, 6, 5), torch.randn(5), torch.randn(5)]
    truth = gradients(by_hand, inputs, [FP64] * 3)
    got = gradients(lambda *t: (pool_normalised(*t, 3, 2, [top, bottom, left, right]),), inputs, [FP32] * 3)
    assert max(distances(got, truth)) <= CONVOLUTION_FP32


def test_torch_accepts_the_operators() -> None:
    z, g, scale = torch.randn(1, 5, 2, 3), torch.randn(1, 5, 2, 3), torch.randn(5)
    weight, taps = torch.randn(4, 5, 1, 1), torch.randn(5, 1, 3, 3)
    for operator, arguments in (
        (channel_moments, (z,)),
        (channel_products, (g, z)),
        (combine, (z, scale, scale, g)),
        (combine, (z, scale, None, None)),
        (product, (z, None, None, False, None, weight)),
        (product, (z, scale, scale, True, taps, weight)),
    ):
        torch.library.opcheck(operator, arguments, test_utils=("test_schema", "test_faketensor"))


@pytest.mark.compiles
def test_the_unit_compiles_whole() -> None:
    inputs = inputs_of((1, 5, 4, 3, 4, 3, True, True))
    unit = our_unit(True, "epilogue", True)
    compiled = torch.compile(unit, fullgraph=True, backend="aot_eager")
    plain, traced = (gradients(function, inputs, [FP32] * 5) for function in (unit, compiled))
    for a, b in zip(plain, traced, strict=True):
        torch.testing.assert_close(a, b, rtol=CONVOLUTION_FP32, atol=CONVOLUTION_FP32)
