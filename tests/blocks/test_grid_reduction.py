"""Three ways to halve a grid, and the module before its reductions, written out with torch.nn.functional."""

import pytest
import torch
import torch.nn.functional as F
from torch import nn

from separable.blocks import GridReduction, InceptionB, NaiveInception
from separable.errors import ModelOptionError
from tests.blocks.test_units import unsettle


@pytest.mark.parametrize("side", [(9, 9), (10, 13)])
def test_the_three_ways(side: tuple[int, int]) -> None:
    """Figures 9 and 10 of arXiv:1512.00567. All three give maps of one shape."""
    x = torch.randn(2, 4, *side)
    modules = {how: unsettle(GridReduction(4, 9, how)) for how in ("parallel", "pool_first", "convolve_first")}

    def unit(module: GridReduction, y: torch.Tensor, **options: int) -> torch.Tensor:
        return F.relu(module.conv.bn(F.conv2d(y, module.conv.conv.weight, **options)))

    pooled = F.max_pool2d(x, 3, 2)
    parallel, first, last = modules["parallel"], modules["pool_first"], modules["convolve_first"]
    expected = {
        "parallel": torch.cat((unit(parallel, x, stride=2), pooled), 1),
        "pool_first": unit(first, pooled, padding=1),
        "convolve_first": F.max_pool2d(unit(last, x, padding=1), 3, 2),
    }
    for how, module in modules.items():
        torch.testing.assert_close(module(x), expected[how], msg=how)
        assert module(x).shape == (2, 9, (side[0] - 1) // 2, (side[1] - 1) // 2)
        assert module.out_channels == 9


def test_the_reduction_of_inception_v3_is_parallel_too() -> None:
    """Figure 10, left, with two branches of convolutions: the pool is passed through."""
    x = torch.randn(1, 8, 9, 9)
    torch.testing.assert_close(unsettle(InceptionB(8, width=0.1))(x)[:, -8:], F.max_pool2d(x, 3, 2))


@pytest.mark.parametrize("batch_norm", [True, False])
def test_the_naive_module(batch_norm: bool) -> None:
    """Figure 2 (a) of arXiv:1409.4842."""
    module = unsettle(NaiveInception(3, 4, 5, 6, batch_norm=batch_norm, bias=not batch_norm))
    x = torch.randn(2, 3, 7, 6)
    branches = []
    for branch, padding in ((module.branch1x1, 0), (module.branch3x3, 1), (module.branch5x5, 2)):
        y = F.conv2d(x, branch.conv.weight, branch.conv.bias, padding=padding)
        branches.append(F.relu(branch.bn(y)))
    expected = torch.cat((*branches, F.max_pool2d(x, 3, 1, 1)), 1)
    torch.testing.assert_close(module(x), expected)
    assert module.out_channels == expected.shape[1] == 18
    assert all(isinstance(branch.bn, nn.BatchNorm2d) == batch_norm for branch in (module.branch1x1, module.branch5x5))


def test_illegal_options_are_named() -> None:
    with pytest.raises(ModelOptionError, match=r"how\. Got: 'both'. Expected: 'parallel' or 'pool_first' or"):
        GridReduction(4, 8, "both")
    with pytest.raises(ModelOptionError, match=r"out_channels\. Got: 4\. Expected: an integer of at least 5"):
        GridReduction(4, 4)
    with pytest.raises(ModelOptionError, match=r"conv1x1, conv3x3, conv5x5\. Got: \(3, 4, 0, 6\)"):
        NaiveInception(3, 4, 0, 6)
