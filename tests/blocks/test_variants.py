"""What notes on the papers build in place of the printed modules is reachable by options, and counted."""

from collections.abc import Callable
from typing import Any

import pytest
import torch
from torch import nn

from separable.blocks import (
    ExpandedConv,
    FactorisedConv,
    GridReduction,
    InceptionA,
    InceptionB,
    InceptionC,
    InceptionD,
    InceptionE,
    NaiveInception,
)
from separable.blocks.inception_bn import BNInception
from separable.blocks.inception_v1 import ReducedInception
from separable.errors import ModelOptionError

MODULES: dict[str, Callable[..., nn.Module]] = {
    "InceptionA": lambda **options: InceptionA(24, 32, width=0.25, **options),
    "InceptionB": lambda **options: InceptionB(24, width=0.25, **options),
    "InceptionC": lambda **options: InceptionC(24, 128, width=0.25, **options),
    "InceptionD": lambda **options: InceptionD(24, width=0.25, **options),
    "InceptionE": lambda **options: InceptionE(24, width=0.25, **options),
    "BNInception": lambda **options: BNInception(24, (16, 16, 16, 16, 16, 16), **options),
    "ReducedInception": lambda **options: ReducedInception(24, (16, 16, 16, 16, 16, 16), **options),
    "NaiveInception": lambda **options: NaiveInception(24, 16, 17, 18, **options),
    "FactorisedConv": lambda **options: FactorisedConv(24, 16, 5, "3x3", **options),
    "ExpandedConv": lambda **options: ExpandedConv(24, 16, **options),
    "GridReduction": lambda **options: GridReduction(24, 48, **options),
}
POOLED = [name for name in MODULES if name.startswith(("Inception", "BN", "Reduced"))]
each = pytest.mark.parametrize("name", MODULES)


def parameters(module: nn.Module) -> int:
    return sum(parameter.numel() for parameter in module.parameters())


def convolutions(module: nn.Module) -> list[nn.Conv2d]:
    return [layer for layer in module.modules() if isinstance(layer, nn.Conv2d)]


@each
def test_relu6_with_bias(name: str) -> None:
    """Every convolution gets a bias and every ReLU becomes ReLU6; normalisation stays unless it is left out."""
    plain, variant = MODULES[name](), MODULES[name](activation="relu6", bias=True)
    channels = sum(conv.out_channels for conv in convolutions(plain))
    assert parameters(variant) == parameters(plain) + channels
    activations = {type(layer) for layer in variant.modules() if isinstance(layer, nn.ReLU | nn.ReLU6)}
    assert activations == {nn.ReLU6}
    bare = MODULES[name](batch_norm=False, bias=True)
    assert parameters(bare) == sum(conv.weight.numel() for conv in convolutions(plain)) + channels
    assert not [layer for layer in bare.modules() if isinstance(layer, nn.BatchNorm2d)]


@pytest.mark.parametrize("name", POOLED)
def test_either_pool(name: str) -> None:
    modules: dict[str, Any] = {kind: MODULES[name](pool=kind).eval() for kind in ("max", "average")}
    modules["max"].load_state_dict(modules["average"].state_dict())
    x = torch.randn(1, 24, 9, 9)
    a, b = modules["max"](x), modules["average"](x)
    assert a.shape == b.shape
    assert (a != b).any()
    with pytest.raises(ModelOptionError, match=r"pool\. Got: 'median'\. Expected: 'average' or 'max'"):
        MODULES[name](pool="median")


def test_the_sizes_that_notes_count() -> None:
    """n = 3 in the modules of the 17x17 grid, where the paper has 7: less by 4 / 7 of the 1xn and nx1."""
    seven, three = InceptionC(768, 192), InceptionC(768, 192, n=3)
    factorised = sum(conv.weight.numel() for conv in convolutions(seven) if conv.kernel_size != (1, 1))
    assert parameters(seven) - parameters(three) == factorised * 4 // 7
    with pytest.raises(ModelOptionError, match=r"Bad model option n\. Got: 4"):
        InceptionC(768, 192, n=4)


@each
def test_unknown_activations_are_named(name: str) -> None:
    with pytest.raises(ModelOptionError, match=r"activation\. Got: 'swish'"):
        MODULES[name](activation="swish")
