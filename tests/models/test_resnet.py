"""Table 1 of arXiv:1512.03385, and what Keras' and torchvision's readings of it differ in."""

from typing import Any

import pytest
import torch
from torch import nn

from separable.analysis.profile import profile
from separable.errors import ModelOptionError
from separable.models import ImageModel, ResNet, build_model, model_spec

REPEATS = {50: (3, 4, 6, 3), 101: (3, 4, 23, 3), 152: (3, 8, 36, 3)}


def made(depth: int = 50, **options: Any) -> ImageModel:
    with torch.device("meta"):
        return build_model(f"resnet{depth}", **options)


@pytest.mark.parametrize("depth", REPEATS)
def test_table_1(depth: int) -> None:
    model = made(depth)
    maps = model.forward_pyramid(torch.empty(1, 3, 224, 224, device="meta"))
    assert [tuple(m.shape[1:]) for m in maps] == [
        *((64, 112, 112), (256, 56, 56), (512, 28, 28), (1024, 14, 14), (2048, 7, 7))
    ]
    stages = [sum(name.startswith(f"conv{stage}_") for name in model.chain) for stage in (2, 3, 4, 5)]
    assert tuple(stages) == REPEATS[depth]
    layers = [m for name, m in model.named_modules() if isinstance(m, nn.Conv2d | nn.Linear) and "shortcut" not in name]
    assert len(layers) == depth, "the depth counts convolutions and the dense layer, and no projections"


@pytest.mark.parametrize(("depth", "printed", "computed"), [(50, 3.8, 3.86), (101, 7.6, 7.57), (152, 11.3, 11.28)])
def test_multiply_adds_of_table_1(depth: int, printed: float, computed: float) -> None:
    """In billions. The 3.8 printed for 50 layers is 3.86 cut off; the others are rounded."""
    macs = profile(made(depth), (1, 3, 224, 224)).macs
    assert macs == model_spec(f"resnet{depth}").macs
    assert round(macs / 1e9, 2) == computed
    assert printed in (round(computed, 1), int(10 * computed) / 10)


@pytest.mark.parametrize(
    ("depth", "without", "with_bias", "in_keras"),
    [
        (50, 25_557_032, 25_583_592, 25_636_712),
        (101, 44_549_160, 44_601_832, 44_707_176),
        (152, 60_192_808, 60_268_520, 60_419_944),
    ],
)
def test_parameters(depth: int, without: int, with_bias: int, in_keras: int) -> None:
    """torchvision's `num_params`, and Keras' trainable and total ones, whose convolutions have biases."""
    assert sum(p.numel() for p in made(depth).parameters()) == without == model_spec(f"resnet{depth}").parameters
    model = made(depth, bias=True)
    assert sum(p.numel() for p in model.parameters()) == with_bias
    statistics = sum(value.numel() for name, value in model.state_dict().items() if "running_" in name)
    assert with_bias + statistics == in_keras


def strides(model: ImageModel) -> set[str]:
    """The layers inside a unit that halve the side, strided 1x1 convolutions by what they sample."""
    found = set()
    for name, module in model.named_modules():
        stride = max(getattr(module, "sampling", 1), module.conv.stride[0] if hasattr(module, "sampling") else 1)
        if "_block" in name and stride == 2:
            found.add(name)
    return found


def test_where_a_stage_strides() -> None:
    assert strides(made()) == {f"conv{stage}_block1.{part}" for stage in (3, 4, 5) for part in ("conv1", "shortcut")}
    later = made(stride_on="3x3")
    assert strides(later) == {f"conv{stage}_block1.{part}" for stage in (3, 4, 5) for part in ("conv2", "shortcut")}
    assert round(profile(later, (1, 3, 224, 224)).macs / 1e9, 3) == 4.089, "torchvision's _ops"
    assert later.state_dict().keys() == made().state_dict().keys(), "so a file does not show it"


def test_the_options_of_small_ones() -> None:
    model = build_model("resnet101", 3, width=0.125, repeats=[1, 2, 1, 1], dropout=0.2).eval()
    assert model.chain[2:] == ("conv2_block1", "conv3_block1", "conv3_block2", "conv4_block1", "conv5_block1")
    assert [tap.channels for tap in model.taps] == [8, 32, 64, 128, 256]
    assert model.options["repeats"] == (1, 2, 1, 1)
    assert "depth" not in model.options
    with torch.no_grad():
        logits = model(torch.randn(2, 3, 32, 45))
    assert isinstance(logits, torch.Tensor)
    assert logits.shape == (2, 3)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"stride_on": "5x5"}, "stride_on. Got: '5x5'. Expected: '1x1' or '3x3'"),
        ({"bias": 1}, "bias. Got: 1. Expected: True or False"),
        ({"repeats": [1, 2]}, r"repeats. Got: \[1, 2\]. Expected: 4"),
        ({"repeats": 3}, "repeats. Got: 3. Expected: "),
        ({"repeats": [0, 1, 1, 1]}, r"repeats. Got: \[0, 1, 1, 1\]. Expected: "),
    ],
)
def test_bad_values_are_named(options: dict[str, Any], message: str) -> None:
    with pytest.raises(ModelOptionError, match=f"Bad model option {message}"):
        made(**options)


def test_only_published_depths() -> None:
    with pytest.raises(ModelOptionError, match=r"depth\. Got: 34\. Expected: 50 or 101 or 152"):
        ResNet(depth=34)
