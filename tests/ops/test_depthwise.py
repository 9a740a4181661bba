"""Depthwise and separable convolution against numpy, and the properties that define them."""

from typing import Any

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor

from separable import ops
from separable.errors import UsageError
from tests.ops import oracle
from tests.tolerances import CONVOLUTION_FP32

# (channels, multiplier, side, kernel, stride, padding, dilation): the shapes that break kernels
CASES = [
    (1, 1, (1, 1), (3, 3), (1, 1), "same", (1, 1)),
    (1, 1, (1, 1), (3, 3), (2, 2), "same", (1, 1)),
    (3, 1, (1, 7), (3, 3), (1, 1), (1, 1), (1, 1)),
    (3, 2, (5, 4), (3, 3), (1, 1), "same", (1, 1)),
    (31, 1, (19, 19), (3, 3), (1, 1), (1, 1), (1, 1)),
    (31, 1, (18, 19), (3, 3), (2, 2), "same", (1, 1)),
    (2, 3, (9, 8), (5, 5), (2, 2), "same", (1, 1)),
    (2, 1, (9, 8), (2, 2), (1, 1), "same", (1, 1)),
    (2, 1, (8, 9), (4, 3), (3, 2), "same", (1, 1)),
    (3, 1, (11, 10), (3, 3), (1, 1), "same", (2, 2)),
    (3, 1, (11, 10), (3, 3), (2, 1), "same", (1, 3)),
    (3, 1, (12, 12), (1, 7), (1, 1), "same", (1, 1)),
    (3, 1, (10, 7), (3, 3), (2, 2), (0, 2), (1, 1)),
    (3, 1, (6, 7), (1, 1), (2, 2), "same", (1, 1)),
    (728, 1, (4, 5), (3, 3), (1, 1), "same", (1, 1)),
]


def make(
    channels: int, multiplier: int, side: tuple[int, int], kernel: tuple[int, int]
) -> tuple[Tensor, Tensor, Tensor]:
    outputs = channels * multiplier
    return torch.randn(2, channels, *side), torch.randn(outputs, 1, *kernel), torch.randn(outputs)


@pytest.mark.parametrize("layout", ["contiguous", "channels_last", "strided"])
@pytest.mark.parametrize(("channels", "multiplier", "side", "kernel", "stride", "padding", "dilation"), CASES)
def test_matches_numpy(
    layout: str,
    channels: int,
    multiplier: int,
    side: tuple[int, int],
    kernel: tuple[int, int],
    stride: tuple[int, int],
    padding: tuple[int, int] | str,
    dilation: tuple[int, int],
) -> None:
    x, weight, bias = make(channels, multiplier, side, kernel)
    expected = oracle.depthwise(x.numpy(), weight.numpy(), bias.numpy(), stride, padding, dilation)
    if layout == "channels_last":
        x = x.to(memory_format=torch.channels_last)
    elif layout == "strided":
        x = torch.stack((x, x), -1)[..., 0]
    got = ops.depthwise_conv2d(x, weight, bias, stride, padding, dilation)  # type: ignore[arg-type]
    assert got.dtype == torch.float32
    torch.testing.assert_close(got.double(), torch.from_numpy(expected), rtol=CONVOLUTION_FP32, atol=CONVOLUTION_FP32)


@pytest.mark.parametrize("stride", [1, 2])
@pytest.mark.parametrize("side", [(7, 7), (8, 5)])
def test_separable_is_depthwise_then_channel_mixing(stride: int, side: tuple[int, int]) -> None:
    x, depthwise, _ = make(5, 2, side, (3, 3))
    pointwise, bias = torch.randn(4, 10, 1, 1), torch.randn(4)
    middle = oracle.depthwise(x.numpy(), depthwise.numpy(), None, (stride, stride), "same", (1, 1))
    expected = torch.einsum("nchw,oc->nohw", torch.from_numpy(middle), pointwise[:, :, 0, 0].double())
    got = ops.separable_conv2d(x, depthwise, pointwise, bias, stride, "same", implementation="reference")
    expected = expected + bias.double()[:, None, None]
    torch.testing.assert_close(got.double(), expected, rtol=CONVOLUTION_FP32, atol=CONVOLUTION_FP32)


geometry = {
    "height": st.integers(1, 9),
    "width": st.integers(1, 9),
    "channels": st.integers(1, 4),
    "stride": st.integers(1, 3),
    "dilation": st.integers(1, 2),
    "seed": st.integers(0, 2**20),
}


def draw(height: int, width: int, channels: int, seed: int) -> tuple[Tensor, Tensor]:
    generator = torch.Generator().manual_seed(seed)
    x = torch.randn(2, channels, height, width, generator=generator, dtype=torch.float64)
    return x, torch.randn(channels, 1, 3, 3, generator=generator, dtype=torch.float64)


@settings(deadline=None, max_examples=40)
@given(**geometry)
def test_linear_in_the_picture_and_in_the_weights(
    height: int, width: int, channels: int, stride: int, dilation: int, seed: int
) -> None:
    x, w = draw(height, width, channels, seed)
    y, v = draw(height, width, channels, seed + 1)

    def conv(picture: Tensor, weight: Tensor) -> Tensor:
        return ops.depthwise_conv2d(picture, weight, None, stride, "same", dilation)

    torch.testing.assert_close(conv(2 * x - 3 * y, w), 2 * conv(x, w) - 3 * conv(y, w))
    torch.testing.assert_close(conv(x, 2 * w - 3 * v), 2 * conv(x, w) - 3 * conv(x, v))


@settings(deadline=None, max_examples=40)
@given(**geometry)
def test_channels_do_not_see_each_other(
    height: int, width: int, channels: int, stride: int, dilation: int, seed: int
) -> None:
    x, w = draw(height, width, channels, seed)
    before = ops.depthwise_conv2d(x, w, None, stride, "same", dilation)
    x[:, 0] += 1.0
    after = ops.depthwise_conv2d(x, w, None, stride, "same", dilation)
    assert torch.equal(before[:, 1:], after[:, 1:])
    assert not torch.equal(before[:, 0], after[:, 0])


@settings(deadline=None, max_examples=40)
@given(**geometry)
def test_the_backward_pass_is_the_adjoint(
    height: int, width: int, channels: int, stride: int, dilation: int, seed: int
) -> None:
    """<conv(x, w), y> = <x, dx> = <w, dw>, with the gradients of the left side for dx and dw."""
    x, w = (t.requires_grad_() for t in draw(height, width, channels, seed))
    out = ops.depthwise_conv2d(x, w, None, stride, "same", dilation)
    y = torch.randn(out.shape, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)
    dx, dw = torch.autograd.grad((out * y).sum(), (x, w))
    inner = (out * y).sum()
    torch.testing.assert_close((x * dx).sum(), inner)
    torch.testing.assert_close((w * dw).sum(), inner)


@pytest.mark.parametrize("side", [(5, 4), (4, 5)])
@pytest.mark.parametrize("stride", [1, 2])
def test_gradients(side: tuple[int, int], stride: int) -> None:
    def leaf(*shape: int) -> Tensor:
        return torch.randn(*shape, dtype=torch.float64, requires_grad=True)

    x, dw, pw, bias = leaf(2, 3, *side), leaf(3, 1, 3, 3), leaf(2, 3, 1, 1), leaf(2)
    assert torch.autograd.gradcheck(lambda a, b: ops.depthwise_conv2d(a, b, None, stride, "same"), (x, dw))
    assert torch.autograd.gradcheck(
        lambda a, b, c, d: ops.separable_conv2d(a, b, c, d, stride, "same"), (x, dw, pw, bias)
    )


def test_mistakes_are_named() -> None:
    x, w, _ = make(2, 1, (4, 4), (3, 3))
    with pytest.raises(UsageError, match=r"Unknown `implementation`\. Got: 'fast'"):
        ops.depthwise_conv2d(x, w, implementation="fast")  # type: ignore[arg-type]
    with pytest.raises(UsageError, match=r"Got: \(3, 1, 3, 3\)\. Expected: \(2 \* multiplier, 1, height, width\)"):
        ops.depthwise_conv2d(x, torch.ones(3, 1, 3, 3))
    with pytest.raises(UsageError, match="wrong number of axes"):
        ops.depthwise_conv2d(x[0], w)
    with pytest.raises(UsageError, match=r"pointwise weight.*Expected: \(out_channels, 2, 1, 1\)"):
        ops.separable_conv2d(x, w, torch.ones(1, 3, 1, 1))


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"stride": 0}, r"`stride` is too small\. Got: 0\. Expected: 1 or more"),
        ({"stride": (1, -1)}, r"`stride` is too small\. Got: \(1, -1\)\. Expected: 1 or more"),
        ({"dilation": 0}, r"`dilation` is too small\. Got: 0\. Expected: 1 or more"),
        ({"bias": torch.zeros(3)}, r"`bias` has another length\. Got: \(3,\)\. Expected: \(4,\)"),
        (
            {"bias": torch.zeros(4, dtype=torch.float64)},
            r"`bias` has another type than `x`\. Got: torch.float64\. Expected: torch.float32",
        ),
        (
            {"x": torch.zeros(1, 4, 5, 5, dtype=torch.uint8)},
            r"`weight` has another type than `x`\. Got: torch.float32\. Expected: torch.uint8",
        ),
        (
            {"x": torch.zeros(1, 0, 5, 5)},
            r"The depthwise weight does not fit the input's channels\. Got: \(4, 1, 3, 3\)",
        ),
    ],
)
def test_bad_arguments_are_named(change: dict[str, Any], message: str) -> None:
    arguments: dict[str, Any] = {"x": torch.zeros(1, 4, 5, 5), "padding": "same", **change}
    x = arguments.pop("x")
    with pytest.raises(UsageError, match=f"^{message}"):
        ops.depthwise_conv2d(x, torch.zeros(4, 1, 3, 3), **arguments)
    with pytest.raises(UsageError, match=f"^{message}"):
        ops.separable_conv2d(x, torch.zeros(4, 1, 3, 3), torch.zeros(4, 4, 1, 1), **arguments)


def test_autocast_may_mix_types() -> None:
    x, weight = torch.randn(1, 4, 5, 5, dtype=torch.bfloat16), torch.randn(4, 1, 3, 3)
    with torch.autocast("cpu", dtype=torch.bfloat16):
        assert ops.depthwise_conv2d(x, weight, torch.zeros(4)).dtype == torch.bfloat16
