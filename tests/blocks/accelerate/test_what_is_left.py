"""What is left as it was and why, what was not asked for rightly, and what the report says."""

import json

import pytest
import torch
import torch.nn.functional as F
from torch import nn

from separable.blocks import SeparableConv2d, XceptionDown, XceptionMiddle, XceptionTail
from separable.blocks.accelerate import accelerate
from separable.errors import UsageError
from tests.blocks.accelerate.helpers import Sixes, numerics, picture

pytestmark = pytest.mark.usefixtures("kernels")


def test_what_was_left_and_why() -> None:
    report = accelerate(Sixes(), implementation="cpu").report
    assert [one.name for one in report.changed] == ["fast", "slow", "idle"]
    assert {one.name: one.why for one in report.left} == {
        "multiplied": "more than one filter for each channel",
        "mirrored": "padding_mode='reflect'",
        "own": "OwnConv is a class of its own, whose forward may be another",
    }
    assert report.to_text() == (
        "Changed:\n"
        "    3 x depthwise convolution (fast, ...)\n"
        "Left as it was:\n"
        "    1 x depthwise convolution: more than one filter for each channel (multiplied)\n"
        "    1 x depthwise convolution: padding_mode='reflect' (mirrored)\n"
        "    1 x depthwise convolution: OwnConv is a class of its own, whose forward may be another (own)"
    )
    assert json.loads(json.dumps(report.to_json()))["left"][0]["name"] == "multiplied"


def test_hooks_inside_a_block_are_called() -> None:
    fast, _ = accelerate(XceptionMiddle(8), implementation="cpu", channels_last=True)
    seen = []
    handle = fast.sepconv2.register_forward_hook(lambda *_: seen.append(1))
    x = picture(2, 8, 6, 6)
    watched = fast(x)
    assert seen == [1]
    assert fast.swap_state.met == "somebody hooked into a part of it"
    handle.remove()
    torch.testing.assert_close(fast(x), watched, rtol=1e-4, atol=1e-4)


def test_a_part_exchanged_later_counts() -> None:
    fast, _ = accelerate(XceptionMiddle(8), implementation="cpu", channels_last=True)
    fast.act2 = nn.GELU()
    fast(picture(2, 8, 6, 6))
    assert fast.swap_state.met == "an activation other than ReLU"


@pytest.mark.parametrize(
    ("block", "why"),
    [
        (XceptionMiddle(8, dilation=2), "a stride or a dilation"),
        (XceptionMiddle(8, intermediate_activation="elu"), "something stands between depthwise and pointwise"),
        (XceptionDown(8, 8, 8, stride=1), "its pool is dilated, or rounds up"),
        (numerics(XceptionDown(8, 8, 8), "caffe"), "its pool is dilated, or rounds up"),
    ],
)
def test_blocks_that_are_no_chain_keep_their_form(block: nn.Module, why: str) -> None:
    report = accelerate(block, implementation="cpu").report
    assert report.left[0].why == why
    expected = {"depthwise and pointwise convolution", "convolution, batch norm and activation"}
    assert {one.what for one in report.changed} <= expected, "the parts of the block, its shortcut among them"


def test_parts_of_a_fused_block_are_told_apart() -> None:
    report = accelerate(nn.Sequential(XceptionTail(8, 8, 8), SeparableConv2d(8, 8)), implementation="cpu").report
    assert report.to_text() == (
        "Changed:\n"
        "    1 x batch norm, ReLU and separable convolutions fused (0)\n"
        "    2 x depthwise and pointwise convolution, where its block is not fused (0.sepconv1, ...)\n"
        "    1 x depthwise and pointwise convolution (1)"
    )


def test_the_contiguous_layout_is_computed_as_before() -> None:
    conv = nn.Conv2d(6, 6, 3, groups=6)
    fast, report = accelerate(conv, example=torch.randn(1, 6, 7, 7))
    assert type(fast) is nn.Conv2d
    assert "not in channels_last, where the kernels pay (channels_last=True)" in report.left[0].why
    x = torch.randn(2, 6, 7, 7)
    assert torch.equal(accelerate(conv, implementation="cpu").model(x), conv(x))


def test_a_model_without_depthwise_convolutions() -> None:
    report = accelerate(nn.Sequential(nn.Conv2d(3, 6, 3), nn.ReLU())).report
    assert report.to_text() == "Nothing was changed: the model has no depthwise convolution and no batch norm."


class Quantised(nn.Identity):
    __module__ = "torch.ao.nn.quantized.modules.conv"


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"model": F.relu}, r"No model to accelerate\. Got: .*\. Expected: a torch\.nn\.Module\."),
        (
            {"model": nn.Sequential(Quantised())},
            r"A quantised model cannot .*\. Accelerate the model it was made of instead\.",
        ),
        ({"implementation": "fast"}, r"Unknown `implementation`\. Got: 'fast'\. Expected: 'auto' or 'cpu'"),
        ({"choices": {"x": {}}}, r"The choices belong to another model\. Got: x\."),
        ({"choices": {"": {"train backward float32": "triton"}}}, r"`choices` has no such form"),
        ({"choices": ["cpu"]}, r"`choices` has no such form"),
    ],
)
def test_bad_input_is_named(arguments: dict[str, object], message: str) -> None:
    with pytest.raises(UsageError, match=message):
        accelerate(**{"model": nn.Conv2d(6, 6, 3, groups=6), **arguments})  # type: ignore[arg-type]


def test_scripted_and_compiled_models_are_refused() -> None:
    traced = torch.jit.trace(nn.ReLU(), torch.ones(1))
    with pytest.raises(
        UsageError, match=r"A scripted model cannot be changed\. Accelerate the module it was made of\."
    ):
        accelerate(traced)
    with pytest.raises(UsageError, match=r"A compiled model cannot be changed\. Accelerate first"):
        accelerate(torch.compile(nn.ReLU()))  # type: ignore[arg-type]
