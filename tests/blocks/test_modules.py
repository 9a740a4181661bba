"""The modules of Xception and Inception V3, against the figures written out step by step."""

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from separable.blocks import (
    InceptionA,
    InceptionAux,
    InceptionB,
    InceptionC,
    InceptionD,
    InceptionE,
    XceptionDown,
    XceptionMiddle,
    XceptionStem,
    XceptionTail,
)
from tests.blocks.test_units import unsettle


def pool_like_tensorflow(x: Tensor) -> Tensor:
    return F.max_pool2d(F.pad(x, (x.shape[3] % 2, 1, x.shape[2] % 2, 1), value=float("-inf")), 3, 2)


@pytest.mark.parametrize("side", [(8, 8), (7, 9)])
@pytest.mark.parametrize("leading_relu", [True, False])
def test_xception_down(side: tuple[int, int], leading_relu: bool) -> None:
    block = unsettle(XceptionDown(4, 5, 6, leading_relu=leading_relu))
    x = torch.randn(2, 4, *side)
    y = block.sepconv1(F.relu(x) if leading_relu else x)
    y = pool_like_tensorflow(block.sepconv2(F.relu(y)))
    assert block.shortcut is not None
    shortcut = block.shortcut.bn(F.conv2d(x, block.shortcut.conv.weight, stride=2))
    torch.testing.assert_close(block(x), y + shortcut)
    without = XceptionDown(4, 5, 6, leading_relu=leading_relu, residual=False).eval()
    without.load_state_dict({k: v for k, v in block.state_dict().items() if not k.startswith("shortcut")})
    torch.testing.assert_close(without(x), y)


@pytest.mark.parametrize("residual", [True, False])
def test_xception_middle(residual: bool) -> None:
    block = unsettle(XceptionMiddle(4, residual=residual))
    x = torch.randn(2, 4, 5, 6)
    y = x
    for sepconv in (block.sepconv1, block.sepconv2, block.sepconv3):
        y = sepconv(F.relu(y))
    expected = x + y if residual else y
    torch.testing.assert_close(block(x), expected)
    assert (block(x) < 0).any(), "no ReLU after the sum"


def test_xception_stem_and_tail() -> None:
    x = torch.randn(2, 3, 12, 11)
    stem = unsettle(XceptionStem(3, 4, 5))
    torch.testing.assert_close(stem(x), stem.conv2(stem.conv1(x)))
    assert stem(x).shape == (2, 5, 3, 3)
    assert XceptionStem(3, 4, 5, stride=1)(x).shape == (2, 5, 8, 7)
    tail = unsettle(XceptionTail(3, 4, 5))
    torch.testing.assert_close(tail(x), F.relu(tail.sepconv2(F.relu(tail.sepconv1(x)))))


@pytest.mark.parametrize("activation", [None, "relu", "elu"])
def test_intermediate_activation_reaches_every_separable_convolution(activation: str | None) -> None:
    expected = {None: type(None), "relu": nn.ReLU, "elu": nn.ELU}[activation]
    blocks = nn.ModuleList(
        [
            XceptionDown(4, 4, 4, intermediate_activation=activation),
            XceptionMiddle(4, intermediate_activation=activation),
            XceptionTail(4, 4, 4, intermediate_activation=activation),
        ]
    )
    acts = [module.act for name, module in blocks.named_modules() if name.split(".")[-1].startswith("sepconv")]
    assert len(acts) == 7
    assert all(type(act) is expected for act in acts)


INCEPTION = [  # module, input channels, output channels of the branches in the order of concatenation
    (lambda: InceptionA(192, 32), 192, {"branch1x1": 64, "branch5x5": 64, "branch3x3dbl": 96, "branch_pool": 32}),
    (lambda: InceptionC(768, 160), 768, {"branch1x1": 192, "branch7x7": 192, "branch7x7dbl": 192, "branch_pool": 192}),
]


@pytest.mark.parametrize(("make", "channels", "branches"), INCEPTION)
def test_inception_branches(make: type, channels: int, branches: dict[str, int]) -> None:
    """Zeroing the last layer of one branch zeroes its own channels and no others."""
    block = unsettle(make())
    x = torch.randn(1, channels, 9, 8)
    before = block(x)
    assert before.shape[1:] == (sum(branches.values()), 9, 8)
    start = 0
    for branch, width in branches.items():
        last = [unit for name, unit in block.named_children() if name.split("_")[0] == branch or name == branch][-1]
        bias, norm = last.bn.bias.detach().clone(), last.bn
        nn.init.constant_(norm.bias, -1e4)
        after = block(x)
        changed = (after != before).flatten(2).any(-1)[0]
        assert not after[:, start : start + width].any()
        assert not changed[:start].any()
        assert not changed[start + width :].any()
        with torch.no_grad():
            norm.bias.copy_(bias)
        start += width


def test_inception_pooling_branch_leaves_padding_out_of_the_mean() -> None:
    """On a constant picture, a pool that counts the border's zeros darkens it; ours leaves the map constant."""
    for block in (InceptionA(4, 8), InceptionC(4, 6), InceptionE(4)):
        unsettle(block)
        pooled = block.branch_pool(block.pool(torch.ones(1, 4, 5, 5)))
        torch.testing.assert_close(pooled, pooled[..., 2:3, 2:3].expand_as(pooled))


@pytest.mark.parametrize(("make", "channels", "outputs"), [(InceptionB, 288, 768), (InceptionD, 768, 1280)])
@pytest.mark.parametrize("side", [9, 10])
def test_inception_reductions(make: type, channels: int, outputs: int, side: int) -> None:
    block = unsettle(make(channels))
    x = torch.randn(1, channels, side, side)
    assert block(x).shape == (1, outputs, 4, 4)
    torch.testing.assert_close(block(x)[:, -channels:], F.max_pool2d(x, 3, 2), msg="the pool is passed through, last")


def test_inception_e_orders_its_split_branches_row_before_column() -> None:
    block = unsettle(InceptionE(1280))
    x = torch.randn(1, 1280, 3, 4)
    y, z = block.branch3x3_1(x), block.branch3x3dbl_2(block.branch3x3dbl_1(x))
    assert block.branch3x3_2a.conv.kernel_size == (1, 3)
    assert block.branch3x3dbl_3a.conv.kernel_size == (1, 3)
    out = block(x)
    torch.testing.assert_close(out[:, 320:704], block.branch3x3_2a(y))
    torch.testing.assert_close(out[:, 704:1088], block.branch3x3_2b(y))
    torch.testing.assert_close(out[:, 1088:1472], block.branch3x3dbl_3a(z))
    torch.testing.assert_close(out[:, 1472:1856], block.branch3x3dbl_3b(z))
    assert out.shape[1] == 2048


def test_auxiliary_head_is_exact_at_17_and_works_below() -> None:
    aux = unsettle(InceptionAux(8, 3))
    x = torch.randn(2, 8, 17, 17)
    pooled = F.avg_pool2d(x, 5, 3)
    assert pooled.shape[2:] == (5, 5)
    expected = aux.classifier(aux.conv1(aux.conv0(pooled)).flatten(1))
    torch.testing.assert_close(aux(x), expected)
    for side in ((3, 3), (3, 9), (12, 12), (20, 17)):
        assert aux(torch.randn(2, 8, *side)).shape == (2, 3)
