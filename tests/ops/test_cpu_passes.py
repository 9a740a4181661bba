"""Batch normalisation with an activation as passes over memory, against the same written out in fp64."""

from collections.abc import Callable

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor

from tests.tolerances import CONVOLUTION_FP32, LOW_PRECISION_RATIO

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
        floor = torch.finfo(dtype).eps / 2
        limits = [LOW_PRECISION_RATIO * max(distance(t, exact), floor) for t, exact in zip(theirs, truth, strict=True)]
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
    torch.testing.assert_close(y[..., :-1], truth.detach()[..., :-1], rtol=1e-5, atol=1e-6)
    torch.testing.assert_close(dz[..., :-1], u.grad[..., :-1], rtol=1e-5, atol=1e-6)
    assert y[..., -1].isnan().all()


def test_batch_normalisation_in_training_is_these_passes() -> None:
    """Forward and all gradients of batch normalisation and SiLU, as torch has them in fp64."""
    cpu = torch.ops.separable_cpu
    z, g = torch.randn(4, 19, 7, 6) * 2 + 1, torch.randn(4, 19, 7, 6)
    gamma, beta, eps = torch.randn(19), torch.randn(19), 1e-3
    leaves = [t.double().requires_grad_() for t in (z, gamma, beta)]
    truth = F.silu(F.batch_norm(leaves[0], None, None, leaves[1], leaves[2], True, eps=eps))
    truth.backward(g.double())
    mean, variance = cpu.channel_moments(z)
    inverse = torch.rsqrt(variance + eps)
    scale = gamma * inverse
    shift = beta - mean * scale
    of_g, of_both = cpu.affine_act_sums(g, z, scale, shift, 3)
    dgamma = inverse * (of_both - mean * of_g)
    count = z.numel() // 19
    slope = -scale * inverse * dgamma / count
    dz = cpu.affine_act_backward(g, z, scale, shift, 3, scale, slope, -scale * of_g / count - slope * mean)
    got = [cpu.affine_act_forward(z, scale, shift, 3), dz, dgamma, of_g]
    for one, exact in zip(got, (truth.detach(), *(leaf.grad for leaf in leaves)), strict=True):
        assert exact is not None
        assert distance(one, exact) <= CONVOLUTION_FP32


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
