"""Batch normalisation with an activation as passes over memory, against the same written out in fp64."""

from collections.abc import Callable

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor

from tests.tolerances import CONVOLUTION_FP32, LOW_PRECISION_RATIO, OUTLIER_VARIANCE

pytestmark = pytest.mark.usefixtures("kernels")

ACTIVATIONS: list[Callable[[Tensor], Tensor]] = [lambda u: u, F.relu, F.relu6, F.silu, F.hardswish]
SHAPES = [(1, 1, 1, 1), (3, 31, 5, 7), (2, 33, 4, 9), (5, 64, 19, 3), (1, 1023, 3, 3), (3, 32, 17, 17)]
TYPES = [torch.float32, torch.bfloat16, torch.float16]


def affine(z: Tensor, scale: Tensor, shift: Tensor) -> Tensor:
    return z * scale[:, None, None] + shift[:, None, None]


def by_hand(act: int, g: Tensor, z: Tensor, vectors: list[Tensor]) -> list[Tensor]:
    """Forward, both sums and the gradient, in the precision of what is given, by torch's autograd."""
    scale, shift, a, b, c = vectors
    u = affine(z, scale, shift).detach().requires_grad_()
    y = ACTIVATIONS[act](u)
    y.backward(g)
    assert u.grad is not None
    through = u.grad
    rest = z * b[:, None, None] + c[:, None, None]
    return [y.detach(), through.sum((0, 2, 3)), (through * z).sum((0, 2, 3)), through * a[:, None, None] + rest]


def ours(act: int, g: Tensor, z: Tensor, vectors: list[Tensor]) -> list[Tensor]:
    cpu = torch.ops.separable_cpu
    scale, shift, *abc = vectors
    y = cpu.affine_act_forward(z, scale, shift, act)
    return [y, *cpu.affine_act_sums(g, z, scale, shift, act), cpu.affine_act_backward(g, z, scale, shift, act, *abc)]


def distance(got: Tensor, truth: Tensor) -> float:
    return ((got.double() - truth).abs().max() / truth.abs().max().clamp(min=1e-9)).item()


def inputs(shape: tuple[int, ...], dtype: torch.dtype) -> tuple[Tensor, Tensor, list[Tensor]]:
    """Values on both sides of every corner of the activations."""
    z, g = (torch.randn(shape).mul(k).to(dtype) for k in (3.0, 1.0))
    return g, z, [torch.randn(shape[1]) + sign for sign in (1.0, 0.5, 0.0, 0.0, 0.0)]


@pytest.mark.parametrize("act", range(5))
@pytest.mark.parametrize("dtype", TYPES)
@pytest.mark.parametrize("shape", SHAPES)
def test_affine_and_activation(shape: tuple[int, ...], dtype: torch.dtype, act: int) -> None:
    g, z, vectors = inputs(shape, dtype)
    truth = by_hand(act, g.double(), z.double(), [v.double() for v in vectors])
    got = ours(act, g, z, vectors)
    assert [t.dtype for t in got] == [dtype, torch.float32, torch.float32, dtype]
    limits = [CONVOLUTION_FP32] * 4
    if dtype != torch.float32:
        theirs = by_hand(act, g, z, [v.to(dtype) for v in vectors])
        floors = [CONVOLUTION_FP32 / 2 if t.dtype == torch.float32 else torch.finfo(dtype).eps / 2 for t in got]
        errors = [distance(t, exact) for t, exact in zip(theirs, truth, strict=True)]
        limits = [LOW_PRECISION_RATIO * max(pair) for pair in zip(errors, floors, strict=True)]
    for what, one, exact, limit in zip(("y", "sum g", "sum g z", "dz"), got, truth, limits, strict=True):
        assert one.shape == exact.shape
        assert distance(one, exact) <= limit, what
    assert got[0].is_contiguous(memory_format=torch.channels_last)
    assert got[3].is_contiguous(memory_format=torch.channels_last)


@pytest.mark.parametrize("act", range(5))
def test_any_strides(act: int) -> None:
    g, z, vectors = inputs((3, 37, 6, 5), torch.float32)
    truth = ours(act, g, z, vectors)
    wide = torch.stack((z, g), -1)
    turned = [t.permute(0, 1, 3, 2).contiguous().permute(0, 1, 3, 2) for t in (g, z)]
    for one, other in ((wide[..., 1], wide[..., 0]), tuple(turned)):
        for a, b in zip(ours(act, one, other, vectors), truth, strict=True):
            assert torch.equal(a, b)


@pytest.mark.parametrize("act", range(5))
def test_far_values_and_nan(act: int) -> None:
    """No overflow far out, where exp does; and NaN comes through."""
    z = torch.tensor([-1e4, -200.0, -89.0, -3.0, 0.0, 3.0, 6.0, 89.0, 200.0, 1e4, float("nan")])[None, None, None]
    one, nothing = torch.ones(1), torch.zeros(1)
    y, *_, dz = ours(act, torch.ones_like(z), z, [one, nothing, one, nothing, nothing])
    u = z.clone().requires_grad_()
    truth = ACTIVATIONS[act](u)
    truth.sum().backward()
    assert u.grad is not None
    torch.testing.assert_close(y, truth.detach(), rtol=1e-5, atol=1e-6, equal_nan=True)
    torch.testing.assert_close(dz[..., :-1], u.grad[..., :-1], rtol=1e-5, atol=1e-6)
    if ACTIVATIONS[act] is F.hardswish:
        return  # torch's own gradient at NaN is 1 or NaN, by where in a vector it stands
    of_g, _ = torch.ops.separable_cpu.affine_act_sums(one.view(1, 1, 1, 1), z[..., -1:], one, nothing, act)
    torch.testing.assert_close(of_g, u.grad[0, 0, :, -1], equal_nan=True, msg="what passes NaN (b z makes NaN of dz)")


@pytest.mark.parametrize("dtype", TYPES)
def test_sums_about_an_origin(dtype: torch.dtype) -> None:
    """Far from zero, with a gradient that has a mean: taking `origin` times one sum off the other leaves nothing."""
    g, z = ((torch.randn(2, 40, 9, 8) + mean).to(dtype) for mean in (1.0, 1000.0))
    origin, one = z.double().mean((0, 2, 3)), torch.ones(40)
    of_g, of_both = torch.ops.separable_cpu.affine_act_sums(g, z, one, one, 0, origin.float())
    wide, apart = g.double(), z.double() - origin.float().double()[:, None, None]
    assert distance(of_g, wide.sum((0, 2, 3))) <= 1e-6
    assert distance(of_both, (wide * apart).sum((0, 2, 3))) <= 1e-6


@pytest.mark.parametrize("value", [float("nan"), float("inf"), float("-inf")])
@pytest.mark.parametrize("dtype", TYPES)
def test_moments_of_what_is_not_finite(dtype: torch.dtype, value: float) -> None:
    """No pixel's place hides it, and no variance of 0 is made of it."""
    for place in (0, 77, 161):
        x = torch.randn(2, 33, 9, 9)
        pixel = (place // 81, 5, place % 81 // 9, place % 9)
        x[pixel] = value
        x = x.to(dtype)
        mean, variance = torch.ops.separable_cpu.channel_moments(x)
        torch.testing.assert_close(mean, x.float().mean((0, 2, 3)), equal_nan=True)
        torch.testing.assert_close(variance, x.float().var((0, 2, 3), unbiased=False), equal_nan=True)
        assert variance.isnan().sum() == 1


@pytest.mark.parametrize("place", [0, 1, 700, -1])
def test_moments_beside_an_outlier(place: int) -> None:
    """A single 0 among 1000 +- 0.01, the first pixel or another: as far from fp64 as torch's batch norm at most."""
    x = 1000 + 0.01 * torch.randn(2, 40, 27, 31)
    flat = x.permute(0, 2, 3, 1).reshape(-1, 40)
    flat[place] = 0.0
    x = flat.view(2, 27, 31, 40).permute(0, 3, 1, 2)
    mean, variance = torch.ops.separable_cpu.channel_moments(x)
    wide = x.double()
    assert distance(mean, wide.mean((0, 2, 3))) <= 1e-7
    assert distance(variance, wide.var((0, 2, 3), unbiased=False)) <= OUTLIER_VARIANCE


def test_moments_of_no_pixels_are_torchs() -> None:
    mean, variance = torch.ops.separable_cpu.channel_moments(torch.ones(0, 3, 4, 4))
    assert mean.isnan().all()
    assert variance.isnan().all()


@pytest.mark.parametrize("count", [1, 2, 3])
def test_one_result_for_a_number_of_threads(count: int) -> None:
    g, z, vectors = inputs((5, 40, 11, 9), torch.bfloat16)
    before = torch.get_num_threads()
    try:
        torch.set_num_threads(count)
        first, second = (ours(3, g, z, vectors) for _ in range(2))
    finally:
        torch.set_num_threads(before)
    assert all(torch.equal(a, b) for a, b in zip(first, second, strict=True))


def test_an_unknown_activation_is_refused() -> None:
    g, z, vectors = inputs((1, 2, 3, 3), torch.float32)
    with pytest.raises(RuntimeError, match="no activation has the number 5"):
        ours(5, g, z, vectors)


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
def test_torch_accepts_the_operators(dtype: torch.dtype) -> None:
    g, z, vectors = inputs((2, 20, 7, 6), dtype)
    cpu = torch.ops.separable_cpu
    for operator, arguments in (
        (cpu.affine_act_forward, (z, *vectors[:2], 3)),
        (cpu.affine_act_sums, (g, z, *vectors[:2], 3)),
        (cpu.affine_act_backward, (g, z, *vectors[:2], 3, *vectors[2:])),
    ):
        torch.library.opcheck(operator.default, arguments, test_utils=("test_schema", "test_faketensor"))
