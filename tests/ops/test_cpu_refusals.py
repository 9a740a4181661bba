"""What the C++ operators refuse: sizes, types and shapes that do not agree would be read past their ends."""

from collections.abc import Callable
from typing import Any

import pytest
import torch
from torch import Tensor

pytestmark = pytest.mark.usefixtures("kernels")

BF16 = torch.bfloat16
STEPS = ([1, 1], [1, 1, 1, 1], [1, 1])
POOL = (3, 2, [0, 1, 0, 1])
SHAPE = r"two of one shape expected, got \[1, 32, 6, 6\] and "
TYPE = "two of one type expected, got Float and BFloat16"
CHANNELS = "one number for each of 32 channels expected, got "
MAPS = r"maps \(N, C, H, W\) expected, got "
DOUBLE = "fp32, bf16 or fp16 expected, got Double"


def maps(channels: int = 32, side: int = 6, dtype: torch.dtype = torch.float32) -> Tensor:
    return torch.randn(1, channels, side, side).to(dtype)


def numbers(count: int = 32) -> Tensor:
    return torch.ones(count)


def operators() -> Any:
    return torch.ops.separable_cpu


def moments(x: Tensor) -> Any:
    return operators().channel_moments(x)


def products(g: Tensor, x: Tensor) -> Any:
    return operators().channel_products(g, x)


def combine(x: Tensor, scale: Tensor | None = None, shift: Tensor | None = None, other: Tensor | None = None) -> Any:
    return operators().combine(x, scale, shift, other)


def forward(z: Tensor, scale: Tensor, shift: Tensor) -> Any:
    return operators().affine_act_forward(z, scale, shift, 1)


def sums(g: Tensor, z: Tensor, scale: Tensor, origin: Tensor | None = None) -> Any:
    return operators().affine_act_sums(g, z, scale, scale, 1, origin)


def backward(g: Tensor, z: Tensor, scale: Tensor, a: Tensor) -> Any:
    return operators().affine_act_backward(g, z, scale, scale, 1, scale, scale, a)


def pool(x: Tensor, scale: Tensor, kernel: int = 3, stride: int = 2, border: tuple[int, ...] = (0, 1, 0, 1)) -> Any:
    return operators().pool_forward(x, scale, scale, kernel, stride, border)


def pool_back(g: Tensor, x: Tensor) -> Any:
    return operators().pool_backward(g, x, numbers(), numbers(), *POOL)


def depthwise(x: Tensor, weight: Tensor, bias: Tensor | None = None, scale: Tensor | None = None, **steps: Any) -> Any:
    given = {"stride": [1, 1], "border": [1] * 4, "dilation": [1, 1]} | steps
    return operators().depthwise_forward(x, weight, bias, scale, scale, True, *given.values())


def depthwise_back(
    g: Tensor, x: Tensor, weight: Tensor, scale: Tensor | None = None, other: Tensor | None = None
) -> Any:
    return operators().depthwise_backward(g, x, weight, scale, scale, True, *STEPS, other, True, True)


def product(left: Tensor, right: Tensor) -> Any:
    return operators().product(left, right, True)


def over_rows(left: Tensor, right: Tensor) -> Any:
    return operators().product_over_rows(left, right)


def weight(channels: int = 32, side: int = 3) -> Tensor:
    return torch.ones(channels, 1, side, side)


CASES: list[tuple[Callable[..., Any], tuple[Any, ...], str]] = [
    (moments, (torch.ones(2, 3),), MAPS + r"\[2, 3\]"),
    (moments, (maps().double(),), DOUBLE),
    (products, (maps(side=5), maps()), SHAPE),
    (products, (maps(dtype=BF16), maps()), TYPE),
    (combine, (maps(), None, None, maps(side=1)), SHAPE),
    (combine, (maps(), None, None, maps(dtype=BF16)), TYPE),
    (combine, (maps(), numbers(1)), CHANNELS),
    (combine, (maps(), None, numbers(31)), CHANNELS),
    (combine, (torch.ones(3),), MAPS),
    (forward, (maps(), numbers(16), numbers()), CHANNELS),
    (forward, (maps(), numbers(), numbers(16)), CHANNELS),
    (forward, (maps(), numbers()[:, None], numbers()), CHANNELS),
    (sums, (maps(side=5), maps(), numbers()), SHAPE),
    (sums, (maps(), maps(), numbers(8)), CHANNELS),
    (sums, (maps(), maps(), numbers(), numbers(8)), CHANNELS),
    (backward, (maps(16), maps(), numbers(), numbers()), SHAPE),
    (backward, (maps(), maps(), numbers(), numbers(1)), CHANNELS),
    (pool, (maps(), numbers(5)), CHANNELS),
    (pool, (torch.ones(3, 3), numbers()), MAPS),
    (
        pool,
        (maps(side=1), numbers(), 3, 2, (0, 1, 0, 1)),
        r"that a window of 3 fits into expected, got \[1, 32, 1, 1\]",
    ),
    (pool, (maps(), numbers(), 3, 2, (3, 0, 0, 0)), "borders from 0 to below the kernel's 3 expected, got "),
    (pool, (maps(), numbers(), 3, 0), "a positive stride expected, got 3 and 0"),
    (pool_back, (maps(side=4), maps()), "a gradient like the pooled maps expected, got "),
    (depthwise, (maps(), weight(16)), r"a weight \(32, 1, KH, KW\) expected, got \[16, 1, 3, 3\]"),
    (depthwise, (maps(), weight()[:, 0]), r"a weight \(32, 1, KH, KW\) expected, got \[32, 3, 3\]"),
    (depthwise, (maps(), weight(), numbers(16)), CHANNELS),
    (depthwise, (maps(), weight(), None, numbers(16)), CHANNELS),
    (depthwise, (maps(side=2), weight(side=7)), "a kernel that fits into the maps expected, got "),
    (depthwise_back, (maps(side=5), maps(), weight()), "a gradient like the result expected, got "),
    (depthwise_back, (maps(dtype=BF16), maps(), weight()), "a gradient like the result expected, got "),
    (depthwise_back, (maps(), maps(), weight(), numbers(3)), CHANNELS),
    (depthwise_back, (maps(), maps(), weight(), None, maps(side=5)), SHAPE),
    (product, (torch.ones(4, 6), torch.ones(5, 7)), "rows of one length expected, got 6 and 7"),
    (product, (torch.ones(4), torch.ones(5, 7)), r"a matrix expected, got \[4\]"),
    (over_rows, (torch.ones(4, 6), torch.ones(5, 7)), "as many rows expected, got 4 and 5"),
    (over_rows, (torch.ones(4, 6), torch.ones(4)), r"a matrix expected, got \[4\]"),
]


@pytest.mark.parametrize(("operator", "arguments", "message"), CASES)
def test_what_does_not_agree_is_refused(operator: Callable[..., Any], arguments: tuple[Any, ...], message: str) -> None:
    with pytest.raises(RuntimeError, match=message):
        operator(*arguments)


def test_steps_of_a_depthwise_convolution_are_positive() -> None:
    for steps in ({"stride": [0, 1]}, {"dilation": [1, 0]}, {"border": [-1, 1, 1, 1]}):
        with pytest.raises(
            RuntimeError, match="strides and dilations of at least 1, and borders of at least 0, expected"
        ):
            depthwise(maps(), weight(), **steps)


@pytest.mark.parametrize("wrong", ["dz", "dz type", "slope", "offset", "h", "weight"])
def test_a_products_gradient_refuses(wrong: str) -> None:
    given = {
        "dz": torch.ones(600, 32),
        "y": torch.ones(600, 32),
        "slope": numbers(),
        "offset": numbers(),
        "h": torch.ones(600, 8),
        "weight": torch.ones(32, 8),
    }
    changed = {
        "dz": ("dz", torch.ones(600, 16), "two of one shape expected, got "),
        "dz type": ("dz", torch.ones(600, 32).to(BF16), TYPE),
        "slope": ("slope", numbers(1), CHANNELS),
        "offset": ("offset", numbers(64), CHANNELS),
        "h": ("h", torch.ones(500, 8), "as many rows expected, got 600 and 500"),
        "weight": ("weight", torch.ones(32, 9), r"a weight of \[32, 8\] expected, got \[32, 9\]"),
    }[wrong]
    given[changed[0]] = changed[1]
    with pytest.raises(RuntimeError, match=changed[2]):
        operators().product_backward(*given.values())


@pytest.mark.parametrize("shape", [(0, 32, 4, 4), (2, 0, 4, 4), (2, 32, 0, 4)])
def test_passes_over_nothing_give_nothing(shape: tuple[int, ...]) -> None:
    x, values = torch.ones(shape), numbers(shape[1])
    for y in (combine(x, values, values, x), forward(x, values, values), backward(x, x, values, values)):
        assert y.shape == shape
    for pair in (products(x, x), sums(x, x, values, values)):
        assert all(torch.equal(one, torch.zeros(shape[1])) for one in pair)
    assert all(one.shape == (shape[1],) and one.isnan().all() for one in moments(x))


def test_pooling_an_empty_batch() -> None:
    x = torch.ones(0, 32, 6, 6)
    y = pool(x, numbers())
    assert y.shape == (0, 32, 3, 3)
    dx, dscale, dshift = pool_back(y, x)
    assert dx.shape == x.shape
    assert torch.equal(dscale, torch.zeros(32))
    assert torch.equal(dshift, torch.zeros(32))
