"""Xception at other points of the spectrum: what the kernels cannot stand in for is left alone, and right."""

import copy
from typing import Any

import pytest
import torch
from torch import nn

from separable.blocks import XceptionDown, XceptionMiddle
from separable.blocks.accelerate import accelerate
from separable.blocks.accelerate.swapped import swapped_modules
from tests.blocks.accelerate.helpers import distances, outcome, picture, shaken, small_xception
from tests.tolerances import ACCELERATED_FP32, LAYOUT_FP32

pytestmark = pytest.mark.usefixtures("kernels")

each_point = pytest.mark.parametrize(
    "options",
    [
        {"segments": 8},
        {"segments": 5, "intermediate_activation": "relu"},
        {"segments": 8, "order": "pointwise_first"},
        {"order": "pointwise_first"},
        {"segments": 1},
    ],
)


@each_point
def test_blocks_compute_the_same_with_all_gradients(options: dict[str, Any]) -> None:
    x = picture(3, 24, 9, 8)
    for plain in (XceptionMiddle(24, **options), XceptionDown(24, 24, 40, **options)):
        exact = shaken(plain)
        fast, report = accelerate(copy.deepcopy(exact), implementation="cpu", channels_last=True)
        assert {one.why for one in report.left if "fused" in one.what} == {"its segments, or their order"}
        truth = outcome(copy.deepcopy(exact).double(), x.double())
        assert max(distances(outcome(fast, x), truth)) < ACCELERATED_FP32


@each_point
def test_the_network_is_the_same(options: dict[str, Any]) -> None:
    model = shaken(small_xception(stem_stride=1, **options)).eval()
    fast, _ = accelerate(model, implementation="cpu", channels_last=True)
    assert list(fast.state_dict()) == list(model.state_dict())
    x = picture(2, 3, 32, 32)
    with torch.no_grad():
        torch.testing.assert_close(fast(x), model(x), rtol=0, atol=LAYOUT_FP32 * model(x).abs().max().item())


def test_what_is_left_and_what_is_not() -> None:
    """Grouped convolutions stay torch's; depthwise ones are the kernels', in whichever order."""
    segmented, _ = accelerate(small_xception(segments=2), implementation="cpu")
    first, _ = accelerate(small_xception(order="pointwise_first"), implementation="cpu")
    groups = {name: module.groups for name, module in segmented.named_modules() if isinstance(module, nn.Conv2d)}
    assert not [name for name in swapped_modules(segmented) if groups.get(name, 1) > 1]
    assert len([name for name in swapped_modules(first) if name.endswith("spatial.parts.0")]) == 13
