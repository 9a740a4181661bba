"""Pooling against numpy windows, at sides of either parity, eagerly and in one exported graph."""

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from separable import ops
from tests.ops.oracle import windows

SIDES = [(1, 1), (2, 3), (5, 5), (6, 6), (7, 8), (12, 9)]


def expected(x: Tensor, kernel: int, stride: int, padding: int | str, reduce: object) -> Tensor:
    pads = padding if padding == "same" else (padding, padding)
    return torch.from_numpy(reduce(windows(x.numpy(), (kernel, kernel), (stride, stride), pads), axis=(-2, -1)))  # type: ignore[operator]


@pytest.mark.parametrize("side", SIDES)
@pytest.mark.parametrize(("kernel", "stride"), [(3, 2), (3, 1), (2, 2), (2, 1), (3, 3), (1, 2), (2, 3)])
def test_same_pooling_matches_numpy(side: tuple[int, int], kernel: int, stride: int) -> None:
    x = torch.randn(2, 3, *side, dtype=torch.float64) - 5.0  # all negative, so that a zero border would win
    torch.testing.assert_close(
        ops.max_pool2d(x, kernel, stride, "same"), expected(x, kernel, stride, "same", np.nanmax), rtol=0, atol=0
    )
    torch.testing.assert_close(
        ops.average_pool2d(x, kernel, stride, "same"), expected(x, kernel, stride, "same", np.nanmean)
    )


def test_number_padding_matches_numpy() -> None:
    x = torch.randn(1, 2, 9, 8, dtype=torch.float64)
    torch.testing.assert_close(ops.max_pool2d(x, 3, 2), expected(x, 3, 2, 0, np.nanmax), rtol=0, atol=0)
    torch.testing.assert_close(ops.max_pool2d(x, 3, 2, 1), expected(x, 3, 2, 1, np.nanmax), rtol=0, atol=0)
    torch.testing.assert_close(ops.average_pool2d(x, 3, 2, 1), expected(x, 3, 2, 1, np.nanmean))


def test_the_mutants_differ() -> None:
    """Shifted windows and counted zeros, the two errors of the common ports, change the result where they can."""
    x = torch.randn(1, 1, 6, 6)
    shifted = torch.nn.functional.max_pool2d(x, 3, 2, padding=1)
    assert (ops.max_pool2d(x, 3, 2, "same") - shifted).abs().max() > 0.1
    counted = torch.nn.functional.avg_pool2d(x, 3, 1, padding=1)
    assert (ops.average_pool2d(x, 3, 1, "same") - counted).abs().max() > 0.1


class _Pools(nn.Module):
    def forward(self, x: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        conv = ops.depthwise_conv2d(x, torch.ones(2, 1, 3, 3), stride=2, padding="same")
        return ops.max_pool2d(x, 3, 2, "same"), ops.average_pool2d(x, 3, 1, "same"), conv


@pytest.mark.compiles
def test_one_exported_graph_serves_odd_and_even_sides() -> None:
    model, auto = _Pools(), torch.export.Dim.AUTO
    graph = torch.export.export(model, (torch.randn(2, 2, 8, 9),), dynamic_shapes=({0: auto, 2: auto, 3: auto},))
    for side in ((8, 9), (9, 8), (7, 7), (20, 10)):
        x = torch.randn(3, 2, *side) - 5.0
        torch.testing.assert_close(graph.module()(x), model(x))


def test_gradients() -> None:
    x = torch.randn(1, 2, 6, 5, dtype=torch.float64, requires_grad=True)
    assert torch.autograd.gradcheck(lambda t: ops.max_pool2d(t, 3, 2, "same"), x)
    assert torch.autograd.gradcheck(lambda t: ops.average_pool2d(t, 3, 1, "same"), x)
