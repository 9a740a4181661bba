"""The CPU kernels against the reference in fp64: forward and every gradient, on the shapes that break kernels."""

from typing import Any

import pytest
import torch
import torch.nn.functional as F
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from torch import Tensor

from separable import ops
from separable.errors import UsageError
from separable.ops.cpu.depthwise import depthwise_cpu
from tests.tolerances import CONVOLUTION_FP32, LOW_PRECISION_RATIO

pytestmark = pytest.mark.usefixtures("kernels")

# (channels, height, width, kernel, stride, padding, dilation)
CASES = [
    (1, 1, 1, 3, 1, "same", 1),
    (1, 1, 1, 3, 2, "same", 1),
    (3, 7, 7, 3, 1, 1, 1),
    (3, 2, 9, 3, 1, 0 + 1, 1),
    (31, 19, 19, 3, 1, "same", 1),
    (31, 18, 19, 3, 2, "same", 1),
    (32, 9, 37, 3, 1, 1, 1),
    (33, 10, 8, 3, 1, 0, 1),
    (40, 11, 14, 3, 1, 2, 2),
    (40, 11, 14, 3, (2, 1), "same", (1, 3)),
    (64, 3, 147, 3, 1, 2, 1),
    (40, 7, 38, 3, 1, 0, 1),
    (65, 6, 35, 3, 1, 2, 1),
    (70, 13, 30, 5, 1, "same", 1),
    (16, 12, 12, 5, 2, 2, 1),
    (33, 12, 29, 7, 1, 3, 1),
    (5, 6, 6, 1, 1, 0, 1),
    (40, 9, 37, 7, 2, 3, 1),
    (33, 15, 14, 5, 2, "same", 1),
    (64, 5, 6, 3, 2, 4, 1),
    (31, 8, 9, 5, 1, 6, 1),
    (1023, 5, 4, 7, 1, 3, 1),
    (20, 9, 9, 3, 3, 1, 1),
    (728, 4, 19, 3, 1, "same", 1),
    (1023, 3, 3, 3, 1, "same", 1),
]
TYPES = [torch.float32, torch.bfloat16, torch.float16]


def leaves(case: Any, dtype: torch.dtype, batch: int = 3) -> tuple[Tensor, Tensor, Tensor]:
    channels, height, width, kernel = case[:4]
    x = torch.randn(batch, channels, height, width).to(dtype)
    return x, torch.randn(channels, 1, kernel, kernel).to(dtype), torch.randn(channels).to(dtype)


def run(implementation: str, x: Tensor, w: Tensor, b: Tensor, gradient: Tensor | None, steps: Any) -> list[Tensor]:
    """Output and gradients of x, weight and bias."""
    x, w, b = (t.detach().clone(memory_format=torch.preserve_format).requires_grad_() for t in (x, w, b))
    y = ops.depthwise_conv2d(x, w, b, *steps, implementation=implementation)  # type: ignore[arg-type]
    if gradient is None:
        return [y.detach()]
    y.backward(gradient.to(y.dtype))
    assert x.grad is not None
    assert w.grad is not None
    assert b.grad is not None
    return [y.detach(), x.grad, w.grad, b.grad]


def distances(got: list[Tensor], truth: list[Tensor]) -> list[float]:
    return [
        ((g.double() - t).abs().max() / t.abs().max().clamp(min=1e-12)).item() for g, t in zip(got, truth, strict=True)
    ]


@pytest.mark.parametrize("width", [32, 33])
@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float16])
def test_forward_and_backward_are_of_one_weight(dtype: torch.dtype, width: int) -> None:
    """An fp32 weight with a low-precision map, wide or not: the backward pass is the adjoint of the forward one.

    Maps of one pixel each, so that <g, A x> and <A* g, x> are one product, rounded once: no bit may differ.
    """
    weight = torch.randn(64, 1, 3, 3)
    for column in (0, 15, width - 1):
        x, g = (torch.zeros(1, 64, 3, width, dtype=dtype) for _ in range(2))
        x[:, :, 1, column] = 1
        g[:, :, 1, column] = 1
        steps = ([1, 1], [1, 1, 1, 1], [1, 1])
        y = torch.ops.separable_cpu.depthwise_forward(x, weight, None, None, None, False, *steps)
        for needed in (True, False):
            dx, *_ = torch.ops.separable_cpu.depthwise_backward(
                g, x, weight, None, None, False, *steps, None, True, needed
            )
            assert torch.equal(dx[:, :, 1, column], y[:, :, 1, column])


@pytest.mark.parametrize("width", [32, 33])
def test_a_wide_weight_is_rounded_once_for_all(width: int) -> None:
    """bf16 maps by an fp32 weight and by the same rounded: one result and one gradient, whatever the width."""
    weight, steps = torch.randn(64, 1, 3, 3), ([1, 1], [1, 1, 1, 1], [1, 1])
    x, g = (torch.randn(1, 64, 5, width).bfloat16() for _ in range(2))
    results = []
    for w in (weight, weight.bfloat16()):
        y = torch.ops.separable_cpu.depthwise_forward(x, w, None, None, None, True, *steps)
        gradients = [
            torch.ops.separable_cpu.depthwise_backward(g, x, w, None, None, True, *steps, None, True, needed)[0]
            for needed in (True, False)
        ]
        results.append([y, *gradients])
    assert all(torch.equal(one, other) for one, other in zip(*results, strict=True))


@pytest.mark.parametrize("dtype", TYPES)
@pytest.mark.parametrize("case", CASES)
def test_forward_and_gradients(case: Any, dtype: torch.dtype) -> None:
    """fp32 to rounding; in low precision, at most twice plain torch's own distance from fp64."""
    x, w, b = leaves(case, dtype)
    steps = case[4:]
    shape = run("reference", x.double(), w.double(), b.double(), None, steps)[0].shape
    gradient = torch.randn(shape).to(dtype)
    truth = run("reference", x.double(), w.double(), b.double(), gradient, steps)
    ours = run("cpu", x, w, b, gradient, steps)
    assert [t.dtype for t in ours] == [dtype] * 4
    assert [t.shape for t in ours] == [t.shape for t in truth]
    limits = [CONVOLUTION_FP32] * 4
    if dtype != torch.float32:
        floor = torch.finfo(dtype).eps / 2  # of rounding the result itself
        limits = [
            LOW_PRECISION_RATIO * max(d, floor) for d in distances(run("reference", x, w, b, gradient, steps), truth)
        ]
    for what, distance, limit in zip(("y", "x", "w", "b"), distances(ours, truth), limits, strict=True):
        assert distance <= limit, f"{what}: {distance} > {limit}"


@pytest.mark.parametrize("layout", ["contiguous", "strided", "sliced"])
def test_any_strides_of_input_and_gradient(layout: str) -> None:
    x, w, b = leaves((24, 9, 10, 3), torch.float32)
    gradient = torch.randn(3, 24, 9, 10)
    expected = run("reference", x, w, b, gradient, (1, 1, 1))
    if layout == "contiguous":
        x, gradient = x.contiguous(), gradient.contiguous()
    elif layout == "strided":
        x, gradient = torch.stack((x, x), -1)[..., 0], torch.stack((gradient, gradient), -1)[..., 0]
    else:
        x, gradient = F.pad(x, (1, 2, 3, 4))[..., 3:-4, 1:-2], F.pad(gradient, (1, 2))[..., 1:-2]
    got = run("cpu", x, w, b, gradient, (1, 1, 1))
    for ours, theirs in zip(got, expected, strict=True):
        torch.testing.assert_close(ours, theirs, rtol=CONVOLUTION_FP32, atol=1e3 * CONVOLUTION_FP32)


@pytest.mark.parametrize("relu", [False, True])
@pytest.mark.parametrize("affine", [False, True])
@pytest.mark.parametrize(("channels", "kernel", "stride"), [(40, 3, 1), (40, 3, 2), (7, 5, 1), (64, 7, 1), (33, 5, 2)])
def test_batch_norm_and_relu_in_front(channels: int, kernel: int, stride: int, affine: bool, relu: bool) -> None:
    """act(x) = relu(scale x + shift) inside the operation: the zeros around it are not shifted."""
    x, w = torch.randn(2, channels, 9, 11), torch.randn(channels, 1, kernel, kernel)
    scale, shift = torch.randn(channels), torch.randn(channels)
    pad = kernel // 2

    def by_hand(x: Tensor, w: Tensor, scale: Tensor, shift: Tensor) -> Tensor:
        a = x * scale[:, None, None] + shift[:, None, None] if affine else x
        return F.conv2d(a.relu() if relu else a, w, None, stride, pad, groups=channels)

    def fused(x: Tensor, w: Tensor, scale: Tensor, shift: Tensor) -> Tensor:
        given = (scale, shift) if affine else (None, None)
        y: Tensor = depthwise_cpu(x, w, None, *given, relu, [stride] * 2, [pad] * 4, [1, 1])
        return y

    results = []
    for function, dtype in ((by_hand, torch.float64), (fused, torch.float32)):
        inputs = [t.to(dtype).requires_grad_() for t in (x, w, scale, shift)]
        y = function(*inputs)
        (y * torch.linspace(-1, 1, y.numel(), dtype=dtype).view(y.shape)).sum().backward()
        results.append([y.detach().double(), *(t.grad.double() for t in inputs if t.grad is not None)])
    assert len(results[0]) == len(results[1]) == (5 if affine else 3)
    for ours, truth in zip(results[1], results[0], strict=True):
        assert ((ours - truth).abs().max() / truth.abs().max()).item() <= CONVOLUTION_FP32


@settings(max_examples=40, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    st.integers(1, 70),
    st.integers(1, 9),
    st.integers(1, 40),
    st.sampled_from([1, 3, 5, 7]),
    st.integers(1, 2),
    st.integers(1, 2),
    st.integers(0, 2**20),
)
def test_the_backward_pass_is_the_adjoint(
    channels: int, height: int, width: int, kernel: int, stride: int, dilation: int, seed: int
) -> None:
    """<g, A x> = <A* g, x> in the input, and likewise in the weight, for any shape."""
    torch.manual_seed(seed)
    x = torch.randn(2, channels, height, width, requires_grad=True)
    w = torch.randn(channels, 1, kernel, kernel, requires_grad=True)
    y = ops.depthwise_conv2d(x, w, None, stride, "same", dilation, implementation="cpu")
    g = torch.randn_like(y)
    y.backward(g)
    assert x.grad is not None
    assert w.grad is not None
    product = (g * y).double().sum().item()
    scale = (g.norm() * y.norm()).item() + 1e-6
    assert abs((x.grad * x).double().sum().item() - product) <= CONVOLUTION_FP32 * scale
    assert abs((w.grad * w).double().sum().item() - product) <= CONVOLUTION_FP32 * scale


@pytest.mark.parametrize("count", [1, 2, 3])
def test_threads_change_rounding_at_most(count: int) -> None:
    x, w, b = leaves((48, 12, 12, 3), torch.float32)
    before = torch.get_num_threads()
    try:
        torch.set_num_threads(count)
        first, second = (run("cpu", x, w, b, torch.ones_like(x), (1, 1, 1)) for _ in range(2))
    finally:
        torch.set_num_threads(before)
    assert all(torch.equal(a, b) for a, b in zip(first, second, strict=True))
    truth = run("reference", x.double(), w.double(), b.double(), torch.ones_like(x), (1, 1, 1))
    assert max(distances(first, truth)) <= CONVOLUTION_FP32


def test_torch_accepts_the_operator() -> None:
    """torch's own check: schema, fake tensors, autograd registration, compilation with dynamic shapes."""
    x = torch.randn(2, 40, 9, 8).contiguous(memory_format=torch.channels_last).requires_grad_()
    w, b, scale, shift = (torch.randn(*s, requires_grad=True) for s in ((40, 1, 3, 3), (40,), (40,), (40,)))
    steps = ([1, 1], [1, 1, 1, 1], [1, 1])
    torch.library.opcheck(depthwise_cpu, (x, w, b, scale, shift, True, *steps))
    torch.library.opcheck(depthwise_cpu, (x, w, None, None, None, False, [2, 2], [0, 1, 0, 1], [1, 1]))
    torch.library.opcheck(depthwise_cpu, (x.detach().bfloat16(), w, None, None, None, False, *steps))


def test_auto_takes_the_kernels_in_channels_last_alone() -> None:
    x, w, _ = leaves((8, 6, 6, 3), torch.float32)
    for layout, used in ((torch.contiguous_format, False), (torch.channels_last, True)):
        with torch.profiler.profile(activities=[torch.profiler.ProfilerActivity.CPU]) as profile:
            ops.depthwise_conv2d(x.contiguous(memory_format=layout), w, padding=1)
        assert any("depthwise_cpu" in event.key for event in profile.key_averages()) == used


def test_autocast_functional_gradients_and_checkpoints() -> None:
    x, w, b = leaves((8, 6, 6, 3), torch.float32)
    with torch.autocast("cpu", torch.bfloat16):
        assert ops.depthwise_conv2d(x, w, b, padding=1, implementation="cpu").dtype == torch.bfloat16

    def loss(w: Tensor, implementation: Any = "cpu") -> Tensor:
        return ops.depthwise_conv2d(x, w, b, padding=1, implementation=implementation).square().sum()

    expected = torch.func.grad(lambda w: loss(w, "reference"))(w)
    torch.testing.assert_close(torch.func.grad(loss)(w), expected, rtol=CONVOLUTION_FP32, atol=1e3 * CONVOLUTION_FP32)
    w.requires_grad_()
    torch.utils.checkpoint.checkpoint(loss, w, use_reentrant=False).backward()
    assert w.grad is not None
    torch.testing.assert_close(w.grad, expected, rtol=CONVOLUTION_FP32, atol=1e3 * CONVOLUTION_FP32)


@pytest.mark.parametrize(("side", "padding", "dilation", "got"), [(2, 0, 1, r"\(2, 2\)"), (5, 1, 4, r"\(7, 7\)")])
def test_a_picture_smaller_than_the_kernel_is_refused(side: int, padding: int, dilation: int, got: str) -> None:
    x, weight = torch.randn(1, 8, side, side), torch.randn(8, 1, 3, 3)
    with pytest.raises(RuntimeError, match="Kernel size can't be greater than actual input size"):
        ops.depthwise_conv2d(x, weight, None, 1, padding, dilation, implementation="reference")
    with pytest.raises(UsageError, match=rf"The kernel is larger than its input\. Got: {got}, padding included\."):
        ops.depthwise_conv2d(x, weight, None, 1, padding, dilation, implementation="cpu")


def test_a_second_derivative_is_refused_and_not_wrong() -> None:
    x, w, b = leaves((4, 5, 5, 3), torch.float32)
    w.requires_grad_()
    y = ops.depthwise_conv2d(x, w, b, padding=1, implementation="cpu")
    (first,) = torch.autograd.grad(y.square().sum(), w, create_graph=True)
    with pytest.raises(RuntimeError, match="once_differentiable"):
        first.sum().backward()


def test_what_they_cannot_take_is_named() -> None:
    x, w, _ = leaves((4, 6, 6, 3), torch.float32)
    with pytest.raises(UsageError, match=r"The CPU kernels cannot take this\. Got: torch.float64 of shape"):
        ops.depthwise_conv2d(x.double(), w.double(), implementation="cpu")
    with pytest.raises(UsageError, match=r"8 filters\. Expected: float32, bfloat16 or float16.*one filter per channel"):
        ops.depthwise_conv2d(x, torch.cat((w, w)), implementation="cpu")


@pytest.mark.compiles
def test_compiles_whole_and_exports_as_plain_torch() -> None:
    x, w, _ = leaves((8, 7, 6, 3), torch.float32)
    x = x.contiguous(memory_format=torch.channels_last)

    class Layer(torch.nn.Module):
        def forward(self, x: Tensor, w: Tensor) -> Tensor:
            return ops.depthwise_conv2d(x, w, padding="same", stride=2).relu()

    layer = Layer()
    compiled = torch.compile(layer, fullgraph=True, backend="aot_eager")
    torch.testing.assert_close(compiled(x, w), layer(x, w))
    exported = torch.export.export(layer, (x, w))
    assert "depthwise_cpu" not in exported.graph_module.code
