"""The fused unit and the passes around it, against the same arithmetic written out in fp64, with every gradient."""

from collections.abc import Callable, Sequence

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from separable.ops.cpu.unit import (
    add_normalised,
    moments,
    pointwise_product,
    pointwise_with_moments,
    pool_normalised,
    separable_unit,
)
from separable.ops.padding import same_padding
from tests.tolerances import CONVOLUTION_FP32, LOW_PRECISION_RATIO

pytestmark = pytest.mark.usefixtures("kernels")

Function = Callable[..., tuple[Tensor, ...]]


def channels(t: Tensor) -> Tensor:
    return t[:, None, None]


def act(x: Tensor, scale: Tensor | None, shift: Tensor | None, relu: bool) -> Tensor:
    a = x if scale is None or shift is None else x * channels(scale) + channels(shift)
    return a.relu() if relu else a


def unit_by_hand(
    x: Tensor, scale: Tensor | None, shift: Tensor | None, relu: bool, dw: Tensor, pw: Tensor
) -> tuple[Tensor, ...]:
    h = F.conv2d(act(x, scale, shift, relu), dw, padding=dw.shape[-1] // 2, groups=x.shape[1])
    z = F.conv2d(h, pw)
    return z, z.mean((0, 2, 3)), z.var((0, 2, 3), unbiased=False), x


def gradients(function: Function, inputs: Sequence[Tensor | bool | None], dtype: torch.dtype) -> list[Tensor]:
    """Outputs and gradients under fixed, different cotangents; what is per channel stays fp32 or better."""
    wide = torch.float64 if dtype == torch.float64 else torch.float32
    leaves = [
        t.detach().clone().to(dtype if n == 0 else wide).requires_grad_() if isinstance(t, Tensor) else t
        for n, t in enumerate(inputs)
    ]
    outputs = function(*leaves)
    total = torch.zeros((), dtype=torch.float64)
    for number, y in enumerate(outputs):
        weights = torch.linspace(-1, 1 + number, y.numel(), dtype=torch.float64).view(y.shape)
        total = total + (y.double() * weights).sum() / y.numel()
    total.backward()
    kept = [leaf.grad for leaf in leaves if isinstance(leaf, Tensor)]
    return [y.detach() for y in outputs] + [g for g in kept if g is not None]


def distances(got: list[Tensor], truth: list[Tensor]) -> list[float]:
    assert len(got) == len(truth)
    pairs = zip(got, truth, strict=True)
    return [((g.double() - t).abs().max() / t.abs().max().clamp(min=1e-9)).item() for g, t in pairs]


SHAPES = [
    (2, 40, 24, 9, 8, 3),
    (1, 3, 5, 1, 1, 3),
    (3, 31, 33, 7, 19, 3),
    (2, 64, 96, 6, 5, 5),
    (1, 128, 32, 21, 20, 3),
]


def unit_inputs(shape: tuple[int, ...], affine: bool, relu: bool) -> list[Tensor | bool | None]:
    n, c, out, h, w, k = shape
    vectors = [torch.randn(c), torch.randn(c)] if affine else [None, None]
    return [torch.randn(n, c, h, w), *vectors, relu, torch.randn(c, 1, k, k), torch.randn(out, c, 1, 1) / c**0.5]


@pytest.mark.parametrize("relu", [False, True])
@pytest.mark.parametrize("affine", [False, True])
@pytest.mark.parametrize("shape", SHAPES)
def test_unit(shape: tuple[int, ...], affine: bool, relu: bool) -> None:
    inputs = unit_inputs(shape, affine, relu)
    truth = gradients(unit_by_hand, inputs, torch.float64)
    ours = gradients(separable_unit, inputs, torch.float32)
    assert max(distances(ours, truth)) <= CONVOLUTION_FP32


@pytest.mark.parametrize("threads", [1, 3])
@pytest.mark.parametrize("sampling", [1, 2, 3])
def test_unit_in_pieces(sampling: int, threads: int) -> None:
    """More images than are computed at a time, of sides that no step divides; the same bits each time."""
    inputs = [*unit_inputs((3, 40, 24, 151, 149, 3), True, True), sampling]

    def by_hand(*inputs: Tensor) -> tuple[Tensor, ...]:
        z, mean, variance, x = unit_by_hand(*inputs[:-1])  # type: ignore[arg-type]
        return z, mean, variance, x[:, :, ::sampling, ::sampling]

    truth = gradients(by_hand, inputs, torch.float64)
    before = torch.get_num_threads()
    torch.set_num_threads(threads)
    try:
        ours, again = (gradients(separable_unit, inputs, torch.float32) for _ in range(2))
    finally:
        torch.set_num_threads(before)
    assert max(distances(ours, truth)) <= CONVOLUTION_FP32
    assert all(torch.equal(a, b) for a, b in zip(ours, again, strict=True))


@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float16])
def test_unit_in_low_precision_is_as_close_as_plain_torch(dtype: torch.dtype) -> None:
    """Both round z and the gradients to `dtype`; ours rounds nothing between batch normalisation and convolution."""
    inputs = unit_inputs((4, 64, 64, 12, 13, 3), True, True)
    x = inputs[0]
    assert isinstance(x, Tensor)
    inputs[0] = x.to(dtype).float()
    truth = gradients(unit_by_hand, inputs, torch.float64)

    def plain(x: Tensor, scale: Tensor, shift: Tensor, relu: bool, dw: Tensor, pw: Tensor) -> tuple[Tensor, ...]:
        a = act(x.float(), scale, shift, relu).to(dtype)
        z = F.conv2d(F.conv2d(a, dw.to(dtype), padding=1, groups=x.shape[1]), pw.to(dtype))
        wide = z.float()
        return z, wide.mean((0, 2, 3)), wide.var((0, 2, 3), unbiased=False), x

    theirs = distances(gradients(plain, inputs, dtype), truth)
    ours = distances(gradients(separable_unit, inputs, dtype), truth)
    floor = torch.finfo(dtype).eps / 2
    for what, (own, their) in enumerate(zip(ours, theirs, strict=True)):
        assert own <= LOW_PRECISION_RATIO * max(their, floor), f"number {what}: {own} against {their}"


@pytest.mark.parametrize("sides", [(9, 8), (8, 9), (7, 7), (6, 10), (1, 3)])
def test_pool_of_a_normalised_map(sides: tuple[int, int]) -> None:
    """Scales of both signs, so that the greatest after scaling is often the least before."""
    (top, bottom), (left, right) = (same_padding(side, 3, 2) for side in sides)

    def by_hand(z: Tensor, scale: Tensor, shift: Tensor) -> tuple[Tensor, ...]:
        padded = F.pad(act(z, scale, shift, False), (left, right, top, bottom), value=float("-inf"))
        return (F.max_pool2d(padded, 3, 2),)

    def ours(z: Tensor, scale: Tensor, shift: Tensor) -> tuple[Tensor, ...]:
        return (pool_normalised(z, scale, shift, 3, 2, [top, bottom, left, right]),)

    inputs = [torch.randn(2, 37, *sides), torch.randn(37), torch.randn(37)]
    truth, got = gradients(by_hand, inputs, torch.float64), gradients(ours, inputs, torch.float32)
    assert max(distances(got, truth)) <= CONVOLUTION_FP32


def test_pool_passes_nan_on_and_takes_the_first_of_equals() -> None:
    z = torch.zeros(1, 2, 5, 5)
    z[0, 1, 0, 0] = float("nan")
    z.requires_grad_()
    y = pool_normalised(z, torch.ones(2), torch.zeros(2), 3, 2, [0, 0, 0, 0])
    assert y[0, 1, 0, 0].isnan()
    assert not y[0, 0].isnan().any()
    y[0, 0].sum().backward()
    expected = torch.zeros(1, 1, 5, 5, requires_grad=True)
    F.max_pool2d(expected, 3, 2).sum().backward()
    assert z.grad is not None
    assert expected.grad is not None
    assert torch.equal(z.grad[:, :1], expected.grad)


def test_a_window_of_nothing_but_minus_infinity_has_a_winner_inside() -> None:
    """As torch has it: the first that lies inside, also where the window begins outside."""
    z = torch.full((1, 3, 4, 4), float("-inf"), requires_grad=True)
    y = pool_normalised(z, torch.ones(3), torch.zeros(3), 3, 2, [1, 1, 1, 1])
    (got,) = torch.autograd.grad(y, z, torch.ones_like(y))
    (expected,) = torch.autograd.grad(F.max_pool2d(z, 3, 2, 1), z, torch.ones_like(y))
    assert torch.equal(y, F.max_pool2d(z, 3, 2, 1))
    assert torch.equal(got, expected)


def test_pointwise_product() -> None:
    """In the layout that the passes give, and with a gradient in the other one."""
    inputs = [torch.randn(2, 37, 7, 6), torch.randn(21, 37, 1, 1)]
    truth = gradients(lambda x, w: (F.conv2d(x, w),), inputs, torch.float64)
    got = gradients(lambda x, w: (pointwise_product(x, w),), inputs, torch.float32)
    assert max(distances(got, truth)) <= CONVOLUTION_FP32


@pytest.mark.parametrize("shape", [(2, 37, 21, 7, 6), (3, 64, 96, 31, 20), (1, 3, 5, 1, 2)])
def test_pointwise_with_moments(shape: tuple[int, ...]) -> None:
    n, c, o, h, w = shape
    inputs = [torch.randn(n, c, h, w) + 1, torch.randn(o, c, 1, 1)]

    def by_hand(x: Tensor, weight: Tensor) -> tuple[Tensor, ...]:
        y = F.conv2d(x, weight)
        return y, y.mean((0, 2, 3)), y.var((0, 2, 3), unbiased=False)

    truth = gradients(by_hand, inputs, torch.float64)
    got = gradients(pointwise_with_moments, inputs, torch.float32)
    assert max(distances(got, truth)) <= CONVOLUTION_FP32
    unused = [
        gradients(lambda *t, f=f: f(*t)[1:], inputs, t)
        for f, t in ((by_hand, torch.float64), (pointwise_with_moments, torch.float32))
    ]
    assert max(distances(*reversed(unused))) <= CONVOLUTION_FP32, "of the moments alone"


def test_residual_sum() -> None:
    inputs = [torch.randn(2, 40, 7, 6), torch.randn(40), torch.randn(40), torch.randn(2, 40, 7, 6)]

    def by_hand(z: Tensor, scale: Tensor, shift: Tensor, other: Tensor) -> tuple[Tensor, ...]:
        return (act(z, scale, shift, False) + other,)

    truth = gradients(by_hand, inputs, torch.float64)
    got = gradients(lambda *t: (add_normalised(*t),), inputs, torch.float32)
    assert max(distances(got, truth)) <= CONVOLUTION_FP32


@pytest.mark.parametrize("mean", [0.0, 1e3])
def test_moments_far_from_zero_keep_their_digits(mean: float) -> None:
    inputs = [torch.randn(3, 21, 9, 9) + mean]
    truth = gradients(lambda z: (z.mean((0, 2, 3)), z.var((0, 2, 3), unbiased=False)), inputs, torch.float64)
    got = gradients(moments, inputs, torch.float32)
    assert max(distances(got, truth)) <= 10 * CONVOLUTION_FP32, "the input itself is rounded to 6e-5 at 1e3"


def test_a_chain_is_batch_normalisation_in_training() -> None:
    """Unit, BN, ReLU, unit, BN, plus the input: torch's own modules in fp64 on one side, two units on the other."""
    torch.manual_seed(1)
    c = 24
    weights = [(torch.randn(c, 1, 3, 3), torch.randn(c, c, 1, 1) / c**0.5) for _ in range(2)]
    x = torch.randn(2, c, 9, 10)
    norms = [nn.BatchNorm2d(c, eps=1e-3, dtype=torch.float64) for _ in range(2)]
    for norm in norms:
        nn.init.uniform_(norm.weight, -1.5, 1.5)
        nn.init.normal_(norm.bias)

    def plain(x: Tensor) -> tuple[Tensor, ...]:
        y = x
        for (dw, pw), norm in zip(weights, norms, strict=True):
            y = norm(F.conv2d(F.conv2d(y.relu(), dw.double(), padding=1, groups=c), pw.double()))
        return (y + x,)

    def fused(x: Tensor) -> tuple[Tensor, ...]:
        z, scale, shift, first = x, None, None, x
        for number, ((dw, pw), norm) in enumerate(zip(weights, norms, strict=True)):
            z, mean, variance, same = separable_unit(z, scale, shift, True, dw, pw)
            first = same if number == 0 else first
            scale = norm.weight.detach().float() * torch.rsqrt(variance + norm.eps)
            shift = norm.bias.detach().float() - mean * scale
        assert scale is not None
        assert shift is not None
        return (add_normalised(z, scale, shift, first),)

    truth, got = gradients(plain, [x], torch.float64), gradients(fused, [x], torch.float32)
    assert max(distances(got, truth)) <= 5 * CONVOLUTION_FP32, "two units deep"


def test_torch_accepts_the_operators() -> None:
    """torch's own check of schema and shapes for each operator of the library, in fp32 and bf16."""
    cpu = torch.ops.separable_cpu
    for dtype in (torch.float32, torch.bfloat16):
        x, g = (torch.randn(2, 20, 7, 6).to(dtype).contiguous(memory_format=torch.channels_last) for _ in range(2))
        scale, shift, w = torch.randn(20), torch.randn(20), torch.randn(20, 1, 3, 3)
        pool, steps = (3, 2, [0, 1, 1, 1]), ([1, 1], [1, 1, 1, 1], [1, 1])
        pointwise, rows, sums = torch.randn(6, 20), torch.randn(84, 6).to(dtype), torch.randn(6)
        y = cpu.pool_forward(x, scale, shift, *pool)
        for operator, arguments in (
            (cpu.channel_moments, (x,)),
            (cpu.channel_products, (g, x)),
            (cpu.combine, (x, scale, shift, g)),
            (cpu.combine, (x, None, None, None)),
            (cpu.pool_forward, (x, scale, shift, *pool)),
            (cpu.pool_backward, (y, x, scale, shift, *pool)),
            (cpu.depthwise_forward, (x, w, None, scale, shift, True, *steps)),
            (cpu.depthwise_backward, (g, x, w, scale, shift, True, *steps, g, True, True)),
            (cpu.depthwise_backward, (g, x, w, None, None, False, *steps, None, False, True)),
            (cpu.unit_forward, (x, scale, shift, True, w, pointwise)),
            (cpu.unit_forward, (x, None, None, False, w, pointwise)),
            (cpu.unit_backward, (rows, rows, sums, sums, x, scale, shift, True, w, pointwise, g)),
            (cpu.unit_backward, (None, rows, sums, sums, x, None, None, False, w, pointwise, None)),
        ):
            torch.library.opcheck(operator.default, arguments, test_utils=("test_schema", "test_faketensor"))


@pytest.mark.compiles
def test_the_unit_compiles_whole() -> None:
    inputs = unit_inputs((2, 16, 8, 7, 6, 3), True, True)
    compiled = torch.compile(separable_unit, fullgraph=True, backend="aot_eager")
    plain, traced = gradients(separable_unit, inputs, torch.float32), gradients(compiled, inputs, torch.float32)
    for a, b in zip(plain, traced, strict=True):
        torch.testing.assert_close(a, b, rtol=CONVOLUTION_FP32, atol=CONVOLUTION_FP32)
