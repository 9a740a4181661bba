"""The Triton depthwise convolution against fp64: forward and every gradient, on the shapes that break kernels."""

from typing import Any

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor

from separable import ops
from separable.errors import UsageError
from separable.ops.triton.depthwise import depthwise_backward_triton, depthwise_triton
from separable.ops.triton.depthwise_kernels import backward_kernel, forward_kernel
from tests.ops.interpreted.oracle import act, check, gradients
from tests.tolerances import CONVOLUTION_FP32, LOW_PRECISION_RATIO

FP32, FP16, BF16 = torch.float32, torch.float16, torch.bfloat16

# (type, affine, relu, batch, channels, height, width, kernel, stride, border (top, bottom, left, right), dilation)
CASES = [
    (FP32, True, True, 1, 1, 1, 1, 3, (1, 1), (1, 1, 1, 1), (1, 1)),
    (FP32, True, True, 3, 3, 7, 7, 3, (1, 1), (1, 1, 1, 1), (1, 1)),
    (FP32, False, False, 1, 31, 5, 19, 3, (1, 1), (1, 1, 1, 1), (1, 1)),
    (FP32, False, True, 1, 40, 4, 6, 3, (1, 1), (0, 0, 0, 0), (1, 1)),
    (FP32, True, False, 1, 8, 8, 9, 3, (2, 2), (0, 1, 1, 1), (1, 1)),
    (FP32, True, True, 1, 5, 7, 6, 3, (2, 1), (1, 0, 0, 2), (1, 1)),
    (FP32, True, True, 1, 4, 7, 9, 3, (1, 1), (2, 2, 1, 1), (2, 1)),
    (FP32, True, True, 1, 6, 9, 8, 3, (2, 2), (2, 2, 2, 2), (2, 3)),
    (FP32, True, True, 1, 3, 7, 7, 3, (3, 3), (1, 1, 1, 1), (1, 1)),
    (FP32, True, True, 1, 7, 4, 5, 5, (1, 1), (2, 2, 2, 2), (1, 1)),
    (FP32, True, True, 1, 2, 5, 4, 5, (2, 2), (1, 2, 2, 2), (1, 1)),
    (FP32, True, True, 1, 2, 3, 4, 7, (1, 1), (3, 3, 3, 3), (1, 1)),
    (FP32, False, True, 2, 3, 3, 4, 1, (1, 1), (0, 0, 0, 0), (1, 1)),
    (FP16, True, True, 2, 9, 5, 6, 3, (1, 1), (1, 1, 1, 1), (1, 1)),
    (BF16, True, True, 2, 16, 5, 6, 3, (1, 1), (1, 1, 1, 1), (1, 1)),
    (BF16, False, False, 1, 3, 6, 5, 3, (2, 2), (0, 1, 1, 1), (1, 1)),
]


def inputs_of(case: Any) -> list[Tensor | None]:
    dtype, affine, _, n, c, h, w, kernel, *_ = case
    vectors: list[Tensor | None] = [torch.randn(c), torch.randn(c)] if affine else [None, None]
    x, weight = torch.randn(n, c, h, w).to(dtype), torch.randn(c, 1, kernel, kernel).to(dtype)
    return [x, weight, torch.randn(c).to(dtype), *vectors]


def types_of(case: Any, wide: torch.dtype | None = None) -> list[torch.dtype]:
    return [wide or case[0]] * 3 + [wide or FP32] * 2


@pytest.mark.parametrize("case", CASES)
def test_forward_and_gradients(case: Any) -> None:
    relu, channels = case[2], case[4]
    stride, border, dilation = case[8:]
    inputs = inputs_of(case)
    top, bottom, left, right = border

    def plain(x: Tensor, w: Tensor, b: Tensor, scale: Tensor | None, shift: Tensor | None) -> tuple[Tensor, ...]:
        wide = x if scale is None else x.to(scale.dtype)
        a = F.pad(act(wide, scale, shift, relu).to(x.dtype), (left, right, top, bottom))
        return (F.conv2d(a, w, b, stride, 0, dilation, groups=channels),)

    def ours(x: Tensor, w: Tensor, b: Tensor, scale: Tensor | None, shift: Tensor | None) -> tuple[Tensor, ...]:
        return (depthwise_triton(x, w, b, scale, shift, relu, stride, border, dilation),)

    truth = gradients(plain, inputs, types_of(case, torch.float64))
    found = gradients(ours, inputs, types_of(case))
    low = case[0] != FP32
    theirs = gradients(plain, inputs, types_of(case)) if low else truth
    floor = torch.finfo(case[0]).eps / 2 if low else CONVOLUTION_FP32
    check(found, theirs, truth, LOW_PRECISION_RATIO if low else 1.0, floor)
    assert found[0].is_contiguous(memory_format=torch.channels_last)


@pytest.mark.parametrize("sizes", [(1, 4, 16, 1), (4, 1, 16, 3), (5, 8, 32, 64)])
def test_any_size_of_a_program(sizes: tuple[int, int, int, int], monkeypatch: pytest.MonkeyPatch) -> None:
    """Rows, columns, channels and how often the work is shared out change nothing but the order of sums."""
    from separable.ops.triton import configs

    x, w, scale, shift = torch.randn(1, 18, 4, 3), torch.randn(18, 1, 3, 3), torch.randn(18), torch.randn(18)
    steps = ([2, 1], [1, 1, 1, 1], [1, 1])
    g = torch.randn(1, 18, 2, 3)
    results = []
    for config in (configs.default_config("forward", 18), configs.Config(*sizes[:3], programs=sizes[3])):
        monkeypatch.setattr(configs, "default_config", lambda *_, config=config: config)
        y = depthwise_triton(x, w, None, scale, shift, True, *steps)
        results.append([y, *depthwise_backward_triton(g, x, w, scale, shift, True, *steps, x, True, True)])
    for ours, others in zip(*results, strict=True):
        torch.testing.assert_close(ours, others, rtol=CONVOLUTION_FP32, atol=10 * CONVOLUTION_FP32)


def test_what_is_not_needed_is_left_out_and_other_gradients_are_added() -> None:
    x, w, g = torch.randn(1, 5, 4, 4), torch.randn(5, 1, 3, 3), torch.randn(1, 5, 4, 4)
    scale, shift, other = torch.randn(5), torch.randn(5), torch.randn(1, 5, 4, 4)
    rest = (g, x, w, scale, shift, True, [1, 1], [1] * 4, [1, 1])
    whole = depthwise_backward_triton(*rest, None, True, True)
    only_input = depthwise_backward_triton(*rest, other, True, False)
    only_weight = depthwise_backward_triton(*rest, None, False, True)
    torch.testing.assert_close(only_input[0], whole[0] + other)
    assert [t.numel() for t in only_input] == [80, 0, 5, 5]
    assert [t.numel() for t in only_weight] == [0, 45, 0, 0]
    torch.testing.assert_close(only_weight[1], whole[1])


@pytest.mark.parametrize("layout", ["contiguous", "strided", "sliced"])
def test_any_strides_of_input_and_gradient(layout: str) -> None:
    x, w, gradient = torch.randn(2, 6, 5, 4), torch.randn(6, 1, 3, 3), torch.randn(2, 6, 5, 4)
    expected = _run(x, w, gradient, "reference")
    if layout == "strided":
        x, gradient = torch.stack((x, x), -1)[..., 0], torch.stack((gradient, gradient), -1)[..., 0]
    elif layout == "sliced":
        x, gradient = F.pad(x, (1, 2, 3, 4))[..., 3:-4, 1:-2], F.pad(gradient, (1, 2))[..., 1:-2]
    for ours, theirs in zip(_run(x, w, gradient, "triton"), expected, strict=True):
        torch.testing.assert_close(ours, theirs, rtol=CONVOLUTION_FP32, atol=1e3 * CONVOLUTION_FP32)


def _run(x: Tensor, w: Tensor, gradient: Tensor, implementation: str) -> list[Tensor]:
    x, w = x.detach().requires_grad_(), w.detach().clone().requires_grad_()
    y = ops.depthwise_conv2d(x, w, None, 1, "same", 1, implementation)  # type: ignore[arg-type]
    return [y.detach(), *torch.autograd.grad(y, (x, w), gradient)]


def test_separable_and_transforms() -> None:
    x, w, p = torch.randn(1, 4, 4, 4), torch.randn(4, 1, 3, 3), torch.randn(3, 4, 1, 1)
    y = ops.separable_conv2d(x, w, p, padding="same", implementation="triton")
    torch.testing.assert_close(y, ops.separable_conv2d(x, w, p, padding="same", implementation="reference"))

    def loss(w: Tensor, implementation: str) -> Tensor:
        return ops.depthwise_conv2d(x, w, None, 1, 1, 1, implementation).square().sum()  # type: ignore[arg-type]

    torch.testing.assert_close(torch.func.grad(loss)(w, "triton"), torch.func.grad(loss)(w, "reference"))


def test_gradients_have_their_parameters_strides() -> None:
    """Or distributed training warns and copies."""
    w = torch.randn(4, 1, 3, 3).contiguous(memory_format=torch.channels_last).requires_grad_()
    ops.depthwise_conv2d(torch.randn(1, 4, 4, 4), w, padding=1, implementation="triton").sum().backward()
    assert w.grad is not None
    assert w.grad.stride() == w.stride()


def test_torch_accepts_the_operators() -> None:
    x, w, b = torch.randn(1, 4, 4, 3), torch.randn(4, 1, 3, 3), torch.randn(4)
    scale, shift, steps = torch.rand(4), torch.rand(4), ([1, 1], [1, 1, 1, 1], [1, 1])
    inputs = [t.requires_grad_() for t in (x, w, b, scale, shift)]
    torch.library.opcheck(depthwise_triton, (*inputs, True, *steps))
    still = [t.detach() for t in inputs]
    arguments = (torch.randn(1, 4, 4, 3), still[0], still[1], *still[3:], True, *steps, None, True, True)
    torch.library.opcheck(depthwise_backward_triton, arguments, test_utils=("test_schema", "test_faketensor"))


def test_nan_is_passed_on() -> None:
    x, w = torch.zeros(1, 2, 5, 5), torch.ones(2, 1, 3, 3)
    x[0, 1, 0, 0] = float("nan")
    y = depthwise_triton(x, w, None, None, None, True, [1, 1], [1] * 4, [1, 1])
    assert y[0, 1, :2, :2].isnan().all()
    assert y.isnan().sum() == 4


@pytest.mark.parametrize("wrong", [torch.zeros(1, 2, 3, 3, dtype=torch.float64), torch.zeros(0, 2, 3, 3)])
def test_what_the_kernels_cannot_take_is_said(wrong: Tensor) -> None:
    with pytest.raises(UsageError, match="The Triton kernels cannot take this"):
        ops.depthwise_conv2d(wrong, torch.ones(2, 1, 3, 3, dtype=wrong.dtype), implementation="triton")


def test_it_is_the_interpreter() -> None:
    assert type(forward_kernel).__name__ == type(backward_kernel).__name__ == "InterpretedFunction"
