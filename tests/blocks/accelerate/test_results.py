"""What an accelerated block or layer computes, against plain torch in fp64."""

import copy
import importlib
from collections.abc import Callable

import pytest
import torch
from torch import nn

from separable.blocks import DepthwiseBN, SeparableConv2d, XceptionDown, XceptionMiddle, XceptionTail
from separable.blocks.accelerate import accelerate
from separable.blocks.accelerate.layers import FastChain
from separable.blocks.accelerate.swapped import swapped_modules
from tests.blocks.accelerate.helpers import NOTHING, distances, least, numerics, outcome, picture, shaken
from tests.tolerances import ACCELERATED_BF16_RATIO, ACCELERATED_FP32

pytestmark = pytest.mark.usefixtures("kernels")


def timm_block(*arguments: object, **options: object) -> nn.Module:
    module = importlib.import_module("timm.models.xception")  # `timm.models.xception` is a function of that name
    block: nn.Module = module.Block(*arguments, **options)
    return block


BLOCKS: dict[str, tuple[Callable[[], nn.Module], int]] = {
    "middle": (lambda: XceptionMiddle(40), 40),
    "middle without residual": (lambda: XceptionMiddle(24, residual=False), 24),
    "down": (lambda: XceptionDown(24, 40, 56), 24),
    "down, symmetric": (lambda: numerics(XceptionDown(24, 40, 56), "symmetric"), 24),
    "down after the stem": (lambda: XceptionDown(16, 24, 24, leading_relu=False), 16),
    "down without residual": (lambda: XceptionDown(16, 24, 24, residual=False), 16),
    "down, biased": (lambda: XceptionDown(16, 24, 40, bias=True), 16),
    "tail": (lambda: XceptionTail(24, 40, 56), 24),
    "timm, entry": (lambda: timm_block(16, 40, 2, 2, start_with_relu=False), 16),
    "timm, middle": (lambda: timm_block(24, 24, 3, 1), 24),
    "timm, exit": (lambda: timm_block(24, 40, 2, 2, grow_first=False), 24),
    "timm, wider without a stride": (lambda: timm_block(24, 40, 2, 1), 24),
}


@pytest.mark.parametrize("mode", ["train", "eval", "frozen"])
@pytest.mark.parametrize("name", BLOCKS)
def test_a_fused_block_is_the_plain_one_in_fp64(name: str, mode: str) -> None:
    """Outputs, all gradients and the running averages; "frozen": training with every second norm in eval."""
    make, channels = BLOCKS[name]
    plain = shaken(make())
    plain.train(mode != "eval")
    for norm in [m for m in plain.modules() if isinstance(m, nn.BatchNorm2d)][::2] if mode == "frozen" else ():
        norm.eval()
    fast = accelerate(copy.deepcopy(plain), implementation="cpu", inplace=True).model
    assert isinstance(fast, FastChain)
    assert isinstance(fast, type(plain)), "it is still what it was"
    x = picture(2, channels, 9, 8)
    truth = outcome(copy.deepcopy(plain).double(), x.double())
    got = outcome(fast, x)
    assert fast.swap_state.met == NOTHING
    assert max(distances(got, truth)) <= ACCELERATED_FP32


@pytest.mark.parametrize("name", ["middle", "down", "down, biased", "timm, entry"])
def test_a_fused_block_under_autocast_is_as_close_as_plain_torch(name: str) -> None:
    make, channels = BLOCKS[name]
    plain = shaken(make())
    fast = accelerate(copy.deepcopy(plain), implementation="cpu", inplace=True).model
    x = picture(4, channels, 12, 13).bfloat16()
    truth = outcome(copy.deepcopy(plain).double(), x.double())
    with torch.autocast("cpu", torch.bfloat16):
        theirs, got = distances(outcome(plain, x), truth), outcome(fast, x)
    assert fast.swap_state.met == NOTHING
    for number, (own, their, one) in enumerate(zip(distances(got, truth), theirs, got, strict=True)):
        assert own <= ACCELERATED_BF16_RATIO * max(their, least(one)), f"number {number}: {own} against {their}"


CONVOLUTIONS = {
    "same": nn.Conv2d(12, 12, 3, padding="same", groups=12),
    "valid": nn.Conv2d(12, 12, 5, padding="valid", groups=12, bias=False),
    "strided": nn.Conv2d(12, 12, 3, 2, 1, groups=12),
    "dilated": nn.Conv2d(12, 12, (3, 5), padding=(2, 3), dilation=2, groups=12),
    "ours, separable": SeparableConv2d(12, 20, stride=2, batch_norm=True),
    "ours, separable, ELU": SeparableConv2d(12, 20, intermediate_activation="elu"),
    "ours, mobilenet": DepthwiseBN(12, stride=2),
    "ours, mobilenet, same": numerics(DepthwiseBN(12, stride=2), "tf_same"),
    "ours, mobilenet, torch": numerics(DepthwiseBN(12, stride=2), "symmetric"),
}


@pytest.mark.parametrize("name", CONVOLUTIONS)
def test_a_layer_is_the_plain_one_in_fp64(name: str) -> None:
    plain = shaken(copy.deepcopy(CONVOLUTIONS[name]))
    fast = accelerate(copy.deepcopy(plain), implementation="cpu", inplace=True).model
    assert len(swapped_modules(fast)) == 1
    assert isinstance(fast, type(plain)), "it is still what it was"
    x = picture(2, 12, 11, 10)
    assert max(distances(outcome(fast, x), outcome(plain.double(), x.double()))) <= ACCELERATED_FP32
    assert fast.swap_state.met == NOTHING


@pytest.mark.parametrize("channels_last", [False, True])
def test_gradients_have_their_parameters_strides(channels_last: bool) -> None:
    """Or distributed training warns and copies."""
    model = nn.Sequential(nn.Conv2d(8, 8, 3, padding=1, groups=8), XceptionDown(8, 16, 24))
    fast, _ = accelerate(model, implementation="cpu", channels_last=channels_last)
    fast(picture(2, 8, 9, 9)).sum().backward()
    assert fast[1].swap_state.met == NOTHING
    assert [p.grad.stride() for p in fast.parameters() if p.grad is not None] == [p.stride() for p in fast.parameters()]


def test_inference_mode_and_a_replaced_forward() -> None:
    block = shaken(XceptionDown(8, 16, 24)).eval()
    fast, _ = accelerate(block, implementation="cpu")
    x = picture(2, 8, 9, 9)
    with torch.inference_mode():
        torch.testing.assert_close(fast(x), block(x), rtol=1e-3, atol=1e-3)
    assert fast.swap_state.met == NOTHING
    fast.sepconv1.forward = lambda x: x.repeat(1, 2, 1, 1)
    fast(x)
    assert fast.swap_state.met == "somebody hooked into a part of it"


def test_torchs_own_errors_come_through() -> None:
    block = accelerate(XceptionMiddle(8), implementation="cpu").model
    with pytest.raises(ValueError, match="Expected more than 1 value per channel"):
        block(picture(1, 8, 1, 1))
    conv = accelerate(nn.Conv2d(6, 6, 3, groups=6), implementation="cpu").model
    with pytest.raises(RuntimeError, match="expected input"):
        conv(picture(1, 4, 5, 5))


def test_a_shortcut_that_does_not_fit_is_torchs_to_refuse() -> None:
    """The kernels trust sizes: they would read past the smaller map."""
    block = timm_block(8, 16, 2, 2)
    block.rep[-1] = nn.MaxPool2d(5, 2, 1)
    fast = accelerate(block, implementation="cpu").model
    with pytest.raises(RuntimeError, match="size of tensor"):
        fast(picture(2, 8, 9, 9))
    assert fast.swap_state.met == "its shortcut and what it is added to differ in shape"
    fast.rep[-1] = nn.MaxPool2d(3, 2, 1)
    fast(picture(2, 8, 9, 9))
    fast.skipbn = nn.BatchNorm2d(4)
    with pytest.raises(RuntimeError, match="running_mean"):
        fast(picture(2, 8, 9, 9))
    middle = accelerate(XceptionMiddle(8), implementation="cpu").model
    middle.sepconv3 = SeparableConv2d(8, 4, batch_norm=True)
    with pytest.raises(RuntimeError, match="size of tensor"):
        middle(picture(2, 8, 9, 9))
