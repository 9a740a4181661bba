"""The weight gradient alone, which wide bf16 maps get by a kernel of its own, against torch in fp64."""

from typing import Any

import pytest
import torch
from torch import Tensor

from tests.tolerances import LOW_PRECISION_RATIO

pytestmark = pytest.mark.usefixtures("kernels")

# (batch, channels, height, width); from 33 columns on a map is wide
SHAPES = [
    (1, 3, 5, 33),
    (2, 32, 1, 34),
    (1, 33, 2, 35),
    (3, 40, 7, 38),
    (1, 100, 4, 67),
    (2, 64, 3, 147),
    (1, 1, 33, 39),
]
PADS = [(1, 1, 1, 1), (0, 0, 0, 0), (0, 1, 0, 1), (2, 0, 2, 0), (2, 2, 2, 2)]
"""Left, right, top, bottom, as the kernels take them."""


def channels_last(*shape: int, seed: int) -> Tensor:
    numbers = torch.randn(*shape, generator=torch.Generator().manual_seed(seed))
    return numbers.to(torch.bfloat16).contiguous(memory_format=torch.channels_last)


def weight_gradient(g: Tensor, x: Tensor, w: Tensor, pads: Any) -> Tensor:
    found = torch.ops.separable_cpu.depthwise_backward(
        g, x, w, None, None, False, [1, 1], list(pads), [1, 1], None, False, True
    )
    return next(t for t in found if t.numel() == w.numel()).reshape(w.shape)


def by_torch(g: Tensor, x: Tensor, w: Tensor, pads: Any) -> Tensor:
    padded = torch.nn.functional.pad(x, tuple(pads))
    steps = ([1, 1], [0, 0], [1, 1], False, [0, 0], len(w), [False, True, False])
    return torch.ops.aten.convolution_backward(g, padded, w, None, *steps)[1]


@pytest.mark.parametrize(
    ("shape", "pads"),
    [(shape, pads) for shape in SHAPES for pads in PADS if shape[2] + pads[2] + pads[3] >= 3],
    ids=str,
)
def test_it_is_no_further_from_fp64_than_twice_torchs(shape: Any, pads: Any) -> None:
    batch, channels, height, width = shape
    out = (height + pads[2] + pads[3] - 2, width + pads[0] + pads[1] - 2)
    x, g = channels_last(*shape, seed=1), channels_last(batch, channels, *out, seed=2)
    w = torch.ones(channels, 1, 3, 3, dtype=torch.bfloat16)
    exact = by_torch(g.double(), x.double(), w.double(), pads)
    rounded = (by_torch(g, x, w, pads).double() - exact).abs().max()
    error = (weight_gradient(g, x, w, pads).double() - exact).abs().max()
    assert error <= max(LOW_PRECISION_RATIO * rounded, exact.abs().max() * torch.finfo(torch.bfloat16).eps)


def test_it_is_the_same_each_time_and_keeps_nan_in_its_channel() -> None:
    x, g, w = (
        channels_last(3, 40, 9, 50, seed=3),
        channels_last(3, 40, 9, 50, seed=4),
        torch.ones(40, 1, 3, 3).bfloat16(),
    )
    assert torch.equal(*(weight_gradient(g, x, w, (1, 1, 1, 1)) for _ in range(2)))
    x[1, 7, 3, 20] = float("nan")
    spoilt = weight_gradient(g, x, w, (1, 1, 1, 1)).isnan().flatten(1)
    assert spoilt[7].all()
    assert not spoilt[torch.arange(40) != 7].any()
