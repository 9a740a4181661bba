"""The dense products against fp64, on shapes that break tiles: in either order, with moments, weight gradients."""

import pytest
import torch
from torch import Tensor

from separable.ops.cpu.unit import pointwise_product
from tests.tolerances import CONVOLUTION_FP32, LOW_PRECISION_RATIO, MOMENTS_FP32

pytestmark = pytest.mark.usefixtures("kernels")

# (rows, summed, columns): below, at and above tiles of 14 rows, panels of 32 columns, blocks of 384 rows; odd ones too
SHAPES = [
    (1, 1, 1),
    (1, 64, 128),
    (13, 2, 3),
    (14, 31, 33),
    (15, 32, 32),
    (255, 728, 65),
    (383, 40, 47),
    (769, 66, 30),
    (801, 130, 464),
    (4001, 20, 16),
]
TYPES = [torch.float32, torch.bfloat16, torch.float16]


def product(left: Tensor, right: Tensor, moments: bool = True) -> tuple[Tensor, Tensor, Tensor]:
    found: tuple[Tensor, Tensor, Tensor] = torch.ops.separable_cpu.product(left, right, moments)
    return found


def over_rows(left: Tensor, right: Tensor) -> Tensor:
    found: Tensor = torch.ops.separable_cpu.product_over_rows(left, right)
    return found


def distance(got: Tensor, truth: Tensor) -> float:
    assert got.shape == truth.shape
    return ((got.double() - truth).abs().max() / truth.abs().max()).item()


def assert_close(got: Tensor, truth: Tensor, plain: Tensor) -> None:
    """fp32 by its tolerance; less by plain torch's own distance from fp64, or half a unit in the last place."""
    if plain.dtype == torch.float32:
        assert distance(got, truth) <= CONVOLUTION_FP32
    else:
        floor = torch.finfo(plain.dtype).eps / 2
        assert distance(got, truth) <= LOW_PRECISION_RATIO * max(distance(plain, truth), floor)


def assert_moments(y: Tensor, mean: Tensor, variance: Tensor) -> None:
    """Of the numbers stored; the mean to a part of the spread or to fp32's own rounding, whichever is more."""
    truth, spread = y.mean(0), y.var(0, unbiased=False)
    allowed = MOMENTS_FP32 * spread.sqrt() + torch.finfo(torch.float32).eps * truth.abs()
    assert ((mean.double() - truth).abs() <= allowed).all()
    assert ((variance.double() - spread).abs() <= MOMENTS_FP32 * spread).all()


@pytest.mark.parametrize("dtype", TYPES)
@pytest.mark.parametrize("shape", SHAPES)
def test_product(shape: tuple[int, int, int], dtype: torch.dtype) -> None:
    """By a right operand in either order, whose own gaps are never read."""
    m, k, n = shape
    left, right = torch.randn(m, k).to(dtype), torch.randn(n, k).to(dtype)
    truth, plain = left.double() @ right.double().t(), left @ right.t()
    strided = torch.full((n, 2 * k), float("nan"), dtype=dtype)
    strided[:, ::2] = right
    for operand in (right, right.t().contiguous().t(), strided[:, ::2]):
        y, mean, variance = product(left, operand)
        assert y.dtype == dtype
        assert_close(y, truth, plain)
        assert_moments(y.double(), mean, variance)
        again, *none = product(left, operand, moments=False)
        assert torch.equal(again, y)
        assert [one.numel() for one in none] == [0, 0]


@pytest.mark.parametrize("dtype", TYPES)
@pytest.mark.parametrize("shape", SHAPES)
def test_product_over_rows(shape: tuple[int, int, int], dtype: torch.dtype) -> None:
    m, o, c = shape
    left, right = torch.randn(m, o).to(dtype), torch.randn(m, c).to(dtype)
    got = over_rows(left, right)
    assert got.dtype == torch.float32
    assert got.is_contiguous()
    assert_close(got, left.double().t() @ right.double(), left.t() @ right)


@pytest.mark.parametrize("arrives", [True, False])
@pytest.mark.parametrize("dtype", TYPES)
@pytest.mark.parametrize("shape", [*SHAPES, (1500, 36, 40), (2001, 33, 500)])
def test_product_backward(shape: tuple[int, int, int], dtype: torch.dtype, arrives: bool) -> None:
    """The same as combining, rounding and two products; the moments' part is about as large as what arrives."""
    m, c, o = shape
    dz, y = torch.randn(m, o).to(dtype), torch.randn(m, o).to(dtype)
    slope, offset = torch.randn(o), torch.randn(o)
    h, weight = torch.randn(m, c).to(dtype), torch.randn(o, c)
    backward = torch.ops.separable_cpu.product_backward
    dh, dweight = backward(dz if arrives else None, y, slope, offset, h, weight)
    assert (dh.dtype, dweight.dtype) == (dtype, torch.float32)
    wide = y.double() * slope.double() + offset.double() + (dz.double() if arrives else 0)
    rounded, low = wide.to(dtype), weight.to(dtype)
    assert_close(dh, wide @ low.double(), rounded @ low)
    assert_close(dweight, wide.t() @ h.double(), rounded.t() @ h)


@pytest.mark.parametrize("dtype", TYPES)
def test_columns_of_larger_matrices(dtype: torch.dtype) -> None:
    """Operands that are not contiguous, among NaN that must not be read."""
    left, right = (torch.full((70, 90), float("nan"), dtype=dtype) for _ in range(2))
    left[:, :40], right[:, 10:50] = torch.randn(70, 40), torch.randn(70, 40)
    a, b = left[:, :40], right[:, 10:50]
    assert_close(product(a, b)[0], a.double() @ b.double().t(), a @ b.t())
    assert_close(over_rows(a, b), a.double().t() @ b.double(), a.t() @ b)


@pytest.mark.parametrize("threads", [1, 2, 3])
def test_the_same_bits_each_time(threads: int) -> None:
    before = torch.get_num_threads()
    torch.set_num_threads(threads)
    try:
        for dtype in (torch.float32, torch.bfloat16):
            left, right = torch.randn(1999, 70).to(dtype), torch.randn(50, 70).to(dtype)
            gradient = torch.randn(1999, 50).to(dtype)
            first, *others = (
                (
                    *product(left, right),
                    over_rows(gradient, left),
                    *torch.ops.separable_cpu.product_backward(
                        gradient, gradient, torch.ones(50), torch.ones(50), left, right
                    ),
                )
                for _ in range(4)
            )
            for other in others:
                assert all(torch.equal(a, b) for a, b in zip(first, other, strict=True))
    finally:
        torch.set_num_threads(before)


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
def test_moments_far_from_zero_keep_their_digits(dtype: torch.dtype) -> None:
    """Columns with a mean of 1,000 times their spread, across both threads' shares."""
    left = torch.cat([torch.full((3001, 2), 32.0), torch.randn(3001, 2)], 1).to(dtype)
    right = torch.tensor([[32.0, 0.0, 1.0, 0.0], [0.0, 32.0, 0.0, 8.0]]).to(dtype)
    y, mean, variance = product(left, right)
    assert_moments(y.double(), mean, variance)


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
def test_nan_and_infinity_stay_where_they_belong(dtype: torch.dtype) -> None:
    left, right = torch.randn(40, 8).to(dtype), torch.randn(33, 8).to(dtype)
    left[3, 7], right[32, 0] = float("nan"), float("inf")
    y = product(left, right)[0]
    assert y[3].isnan().all()
    assert y[:3, 32].isinf().all()
    assert y[4:, :32].isfinite().all()
    gradient = over_rows(torch.randn(40, 5).to(dtype), left)
    assert gradient[:, 7].isnan().all()
    assert gradient[:, :7].isfinite().all()


def test_nothing_to_multiply() -> None:
    assert product(torch.ones(0, 4), torch.ones(3, 4), moments=False)[0].shape == (0, 3)
    assert torch.equal(over_rows(torch.ones(0, 4), torch.ones(0, 3)), torch.zeros(4, 3))


def test_rows_that_do_not_fit_are_refused() -> None:
    with pytest.raises(RuntimeError, match="rows of one length expected, got 3 and 4"):
        product(torch.ones(2, 3), torch.ones(5, 4))
    with pytest.raises(RuntimeError, match="as many rows expected, got 2 and 3"):
        over_rows(torch.ones(2, 4), torch.ones(3, 4))


@pytest.mark.parametrize("channels", [(37, 21), (64, 96)])
def test_pointwise_product_takes_gradients_in_any_layout(channels: tuple[int, int]) -> None:
    c, o = channels
    x, w = torch.randn(2, c, 7, 6), torch.randn(o, c, 1, 1)
    g = torch.randn(2, o, 6, 7).transpose(2, 3)
    truth = [t.double().requires_grad_() for t in (x, w)]
    torch.nn.functional.conv2d(*truth).backward(g.double())
    ours = [t.clone().requires_grad_() for t in (x.contiguous(memory_format=torch.channels_last), w)]
    pointwise_product(*ours).backward(g)
    for got, true in zip(ours, truth, strict=True):
        assert got.grad is not None
        assert true.grad is not None
        assert distance(got.grad, true.grad) <= CONVOLUTION_FP32


def test_torch_accepts_the_operators() -> None:
    for dtype in (torch.float32, torch.bfloat16):
        left, right = torch.randn(20, 6).to(dtype), torch.randn(7, 6).to(dtype)
        cpu = torch.ops.separable_cpu
        for operator, arguments in (
            (cpu.product, (left, right, True)),
            (cpu.product, (left, right, False)),
            (cpu.product_over_rows, (left, left)),
            (cpu.product_backward, (None, left, torch.ones(6), torch.ones(6), left, torch.randn(6, 6))),
        ):
            torch.library.opcheck(operator.default, arguments, test_utils=("test_schema", "test_faketensor"))
