"""Convolution of a doubled map at the corners of the small one, and what stands around it, against fp64."""

from collections.abc import Callable

import pytest
import torch
from torch import Tensor
from torch.nn.functional import batch_norm, conv2d, interpolate

from separable.ops.cpu.corners import (
    affine_add_doubled,
    as_large,
    corner_convolution,
    corners_affine_relu,
    corners_norm_relu,
    fork_relu,
    norm_add_doubled,
)
from tests.tolerances import CONVOLUTION_FP32, LOW_PRECISION_RATIO

pytestmark = pytest.mark.usefixtures("kernels")

SHAPES = [(2, 5, 7, 3, 4), (1, 33, 40, 1, 1), (3, 8, 1, 1, 5), (1, 3, 64, 2, 70), (2, 70, 96, 5, 3)]
"""Batch, channels in and out, sides of the small map; 70 is more than one chunk of the sums."""

CASES = [(shape, torch.float32) for shape in SHAPES]
CASES += [(shape, dtype) for shape in SHAPES[3:] for dtype in (torch.bfloat16, torch.float16)]
"""In low precision a few pixels move over ReLU's corner; in a small map those few are all."""

Function = Callable[..., Tensor]


def doubled(x: Tensor) -> Tensor:
    return interpolate(x, scale_factor=2.0)


def normed(x: Tensor, weight: Tensor, bias: Tensor) -> Tensor:
    y: Tensor = batch_norm(x, None, None, weight.to(x.dtype), bias.to(x.dtype), True, 0.0, 1e-3)
    return y


def scaled(x: Tensor, scale: Tensor, shift: Tensor) -> Tensor:
    return x * scale.to(x.dtype)[:, None, None] + shift.to(x.dtype)[:, None, None]


PAIRS: dict[str, tuple[Function, Function]] = {
    "convolution": (
        lambda x, w, v: conv2d(doubled(x), w.to(x.dtype), v[0].to(x.dtype), padding=1),
        lambda x, w, v: as_large(corner_convolution(x, w, v[0])),
    ),
    "norm and relu": (
        lambda x, w, v: normed(conv2d(doubled(x), w.to(x.dtype), padding=1), *v).relu(),
        lambda x, w, v: corners_norm_relu(corner_convolution(x, w), *v, 1e-3)[0],
    ),
    "running norm and relu": (
        lambda x, w, v: scaled(conv2d(doubled(x), w.to(x.dtype), padding=1), *v).relu(),
        lambda x, w, v: corners_affine_relu(corner_convolution(x, w), *v),
    ),
    "norm and sum": (
        lambda x, w, v: normed(doubled(x), v[0][: x.shape[1]], v[1][: x.shape[1]]) + doubled(x.relu()),
        lambda x, w, v: norm_add_doubled(doubled(x), x.relu(), v[0][: x.shape[1]], v[1][: x.shape[1]], 1e-3)[0],
    ),
    "running norm and sum": (
        lambda x, w, v: scaled(doubled(x), v[0][: x.shape[1]], v[1][: x.shape[1]]) + doubled(x.relu()),
        lambda x, w, v: affine_add_doubled(doubled(x), x.relu(), v[0][: x.shape[1]], v[1][: x.shape[1]]),
    ),
    "fork": (
        lambda x, w, v: torch.cat((x.relu(), x * x)),
        lambda x, w, v: torch.cat((fork_relu(x)[0], fork_relu(x)[1] * x)),
    ),
}


def outcome(function: Function, shape: tuple[int, ...], dtype: torch.dtype, wide: bool, seed: int) -> list[Tensor]:
    """The result and every gradient that there is. Weights are fp32, as under autocast: plain torch rounds them too."""
    n, c, o, h, w = shape
    torch.manual_seed(seed)
    x = torch.randn(n, c, h, w).to(dtype)
    weight, vectors = torch.randn(o, c, 3, 3) / (3 * c**0.5), torch.randn(2, max(o, c))
    vectors = vectors[:, :o] if function not in _OF_INPUT else vectors
    kind = torch.float64 if wide else torch.float32
    leaves = [x.double() if wide else x, weight.to(kind), vectors.to(kind)]
    leaves[0] = leaves[0].contiguous(memory_format=torch.channels_last)
    leaves = [leaf.requires_grad_() for leaf in leaves]
    y = function(*leaves)
    slope = torch.linspace(-1, 2, y.numel(), dtype=torch.float64).view(y.shape)
    gradients = torch.autograd.grad((y.double() * slope).sum(), leaves, allow_unused=True)
    return [y.detach(), *(g for g in gradients if g is not None)]


_OF_INPUT = {one for name in ("norm and sum", "running norm and sum") for one in PAIRS[name]}


def distances(got: list[Tensor], truth: list[Tensor]) -> list[float]:
    """Root mean squares: the greatest distance is that of a pixel which rounding moves over ReLU's corner."""
    pairs = zip(got, truth, strict=True)
    return [((g.double() - t).norm() / t.norm().clamp(min=1e-6)).item() for g, t in pairs]


@pytest.mark.parametrize("name", PAIRS)
@pytest.mark.parametrize(("shape", "dtype"), CASES)
def test_it_is_as_close_to_fp64_as_plain_torch(shape: tuple[int, ...], name: str, dtype: torch.dtype) -> None:
    plain, ours = PAIRS[name]
    found: list[list[list[float]]] = [[], []]
    seeds = 1 if dtype == torch.float32 else 12
    for seed in range(seeds):
        truth = outcome(plain, shape, dtype, True, seed)
        for way, distance in zip((ours, plain), found, strict=True):
            distance.append(distances(outcome(way, shape, dtype, False, seed), truth))
    for number in range(len(truth)):
        own, their = (sum(one[number] ** 2 for one in way) ** 0.5 / seeds**0.5 for way in found)
        least = 10 * CONVOLUTION_FP32 if dtype == torch.float32 else torch.finfo(dtype).eps
        assert own <= LOW_PRECISION_RATIO * max(their, least), f"number {number}: {own} against {their}"


def test_moments_are_the_large_maps() -> None:
    """Of means far from zero, and without what the corners hold outside of the large map."""
    corners = (torch.randn(2, 4 * 36, 4, 6) + 1000).contiguous(memory_format=torch.channels_last)
    large = as_large(corners).double()
    _, mean, variance = corners_norm_relu(corners, None, None, 1e-3)
    torch.testing.assert_close(mean.double(), large.mean((0, 2, 3)), rtol=1e-6, atol=0.0)
    torch.testing.assert_close(variance.double(), large.var((0, 2, 3), unbiased=False), rtol=1e-4, atol=0.0)
    corners[1, 36 * 3 + 5, 1, 2] = float("nan")
    y, mean, _ = corners_norm_relu(corners, None, None, 1e-3)
    assert [c for c in range(36) if mean[c].isnan()] == [5]
    assert y[:, 5].isnan().all()


def test_what_lies_outside_has_a_gradient_of_zero() -> None:
    corners = torch.randn(1, 4 * 3, 3, 3).contiguous(memory_format=torch.channels_last).requires_grad_()
    y, _, _ = corners_norm_relu(corners, None, None, 1e-3)
    (gradient,) = torch.autograd.grad((y * torch.linspace(-1, 2, y.numel()).view(y.shape)).sum(), corners)
    parts = gradient.view(1, 2, 2, 3, 3, 3)  # above or below the corner, left or right of it, channel
    assert not parts[:, 0, :, :, 0].any()
    assert not parts[:, 1, :, :, -1].any()
    assert not parts[:, :, 0, :, :, 0].any()
    assert not parts[:, :, 1, :, :, -1].any()
    assert parts.any()


@pytest.mark.parametrize(
    ("operator", "arguments", "message"),
    [
        ("corner_moments", (torch.ones(1, 6, 3, 3),), r"corners \(N, 4 O, H \+ 1, W \+ 1\) expected"),
        ("corner_moments", (torch.ones(1, 4, 1, 3),), r"corners \(N, 4 O, H \+ 1, W \+ 1\) expected"),
        ("corner_forward", (torch.ones(1, 8, 3, 3), torch.ones(8), torch.ones(2), True), "one number for each of 2"),
        (
            "corner_sums",
            (torch.ones(1, 2, 4, 2), torch.ones(1, 8, 3, 3), torch.ones(2), torch.ones(2), True, None),
            "a gradient of the large map expected",
        ),
        ("add_doubled", (torch.ones(1, 2, 4, 3), torch.ones(2), torch.ones(2), torch.ones(1, 2, 2, 1)), "even sides"),
        (
            "add_doubled",
            (torch.ones(1, 2, 4, 4), torch.ones(2), torch.ones(2), torch.ones(1, 2, 2, 1)),
            "half the side",
        ),
        ("add_doubled_backward", (torch.ones(1, 2, 4, 4), torch.ones(1, 2, 4, 2), None), "two of one shape"),
        ("relu_backward_add", (torch.ones(1, 2, 4, 4),) * 2 + (torch.ones(1, 2, 4, 4).half(),), "two of one type"),
    ],
)
def test_what_does_not_fit_is_refused(operator: str, arguments: tuple[object, ...], message: str) -> None:
    with pytest.raises(RuntimeError, match=message):
        getattr(torch.ops.separable_cpu, operator)(*arguments)


def test_torch_accepts_the_operators() -> None:
    cpu = torch.ops.separable_cpu
    maps = [
        torch.randn(2, 20, *sides).contiguous(memory_format=torch.channels_last) for sides in ((4, 6), (4, 6), (2, 3))
    ]
    corners = torch.randn(2, 80, 3, 4).contiguous(memory_format=torch.channels_last)
    vectors = [torch.randn(20) for _ in range(5)]
    for operator, arguments in (
        (cpu.corner_moments, (corners,)),
        (cpu.corner_forward, (corners, *vectors[:2], True)),
        (cpu.corner_sums, (maps[0], corners, *vectors[:2], True, vectors[2])),
        (cpu.corner_backward, (maps[0], corners, *vectors[:2], True, *vectors[2:])),
        (cpu.add_doubled, (maps[0], *vectors[:2], maps[2])),
        (cpu.add_doubled_backward, (*maps[:2], vectors[0])),
        (cpu.relu_backward_add, (*maps[:2], maps[0].clone())),
    ):
        torch.library.opcheck(operator.default, arguments, test_utils=("test_schema", "test_faketensor"))
