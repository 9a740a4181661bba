"""The tables of arXiv:1704.04861 to the digits printed, each figure computed from the network that the options build.

Multiply-adds are those of convolutions and of the dense layer, in millions; parameters include batch normalisation's
gamma and beta. What cannot be had by rounding, the tests of tables 2, 4 and 7 name.
"""

from collections import Counter
from typing import Any

import pytest
import torch
from torch import nn

from separable.analysis.profile import Profile, profile
from separable.errors import ModelOptionError
from separable.models import ImageModel, build_model


def made(**options: Any) -> ImageModel:
    with torch.device("meta"):
        return build_model("mobilenet_v1", **options)


def cost(**options: Any) -> Profile:
    model = made(**options)
    return profile(model, (1, 3, *model.input_contract.size))


def millions(count: int, digits: int = 0) -> float:
    return round(count / 1e6, digits)


def test_table_1() -> None:
    """Each row's output is the next row's input size."""
    shapes = {layer.name: layer.output_shape[1:] for layer in cost().layers}
    rows = ((32, 112), (64, 112), (128, 56), (128, 56), (256, 28), (256, 28), (512, 14))
    rows += ((512, 14),) * 5 + ((1024, 7),) * 2
    names = ["conv1.conv", *(f"block{number}.pointwise.conv" for number in range(1, 14))]
    assert [shapes[name] for name in names] == [(channels, side, side) for channels, side in rows]
    strides = [module.stride[0] for name, module in made().named_modules() if "depthwise.conv" in name]
    assert strides == [1, 2, 1, 2, 1, 2, 1, 1, 1, 1, 1, 2, 1], "table 1 prints s2 for the last, whose sizes say s1"


def kind(name: str) -> str:
    if "pointwise" in name:
        return "1x1"
    return "depthwise" if "depthwise" in name else {"conv1": "3x3"}.get(name.split(".")[0], "dense")


def test_table_2() -> None:
    """Shares per kind of layer.

    The 1.19 % of multiply-adds that table 2 prints for the first convolution are 1.91 %, two digits exchanged: so
    printed, its column adds up to 99.3 %. That of parameters leaves out batch normalisation and the dense layer's bias.
    """
    macs, parameters = Counter[str](), Counter[str]()
    for layer in cost().layers:
        macs[kind(layer.name)] += layer.macs
    for name, value in made().named_parameters():
        parameters[kind(name)] += value.numel() if value.dim() > 1 else 0
    share = {name: round(100 * count / macs.total(), 2) for name, count in macs.items()}
    assert share == {"1x1": 94.86, "depthwise": 3.06, "3x3": 1.91, "dense": 0.18}
    share = {name: round(100 * count / parameters.total(), 2) for name, count in parameters.items()}
    assert share == {"1x1": 74.59, "depthwise": 1.06, "3x3": 0.02, "dense": 24.33}
    assert parameters.total() == 4_209_088


@pytest.mark.parametrize(
    ("row", "width", "side", "macs", "parameters"),
    [
        ("convolution", 1.0, 14, 462.0, 2.36),
        ("depthwise separable", 1.0, 14, 52.3, 0.27),
        ("alpha = 0.75", 0.75, 14, 29.6, 0.15),
        ("rho = 0.714", 0.75, 10, 15.1, 0.15),
    ],
)
def test_table_3(row: str, width: float, side: int, macs: float, parameters: float) -> None:
    """One layer of 512 to 512 channels on a 14x14 map, one saving on top of the other."""
    unit = made(width=width, separable=row != "convolution").get_submodule("block7")
    found = profile(unit, (1, int(512 * width), side, side))
    assert millions(found.macs, 0 if macs > 100 else 1) == macs
    weights = sum(value.numel() for name, value in unit.named_parameters() if ".conv.weight" in f".{name}")
    assert millions(weights, 2) == parameters


def test_table_4() -> None:
    """Full convolutions against depthwise separable ones.

    The 4866 M printed are 4867.3 M computed; without the dense layer's 1.0 M they are 4866.3 M.
    """
    full = cost(separable=False)
    assert millions(full.macs, 1) == 4867.3
    assert millions(full.macs - 1024 * 1000) == 4866
    assert millions(full.parameters, 1) == 29.3
    assert (millions(cost().macs), millions(cost().parameters, 1)) == (569, 4.2)


@pytest.mark.parametrize(
    ("options", "macs", "parameters"), [({"width": 0.75}, 325, 2.6), ({"shallow": True}, 307, 2.9)]
)
def test_table_5(options: dict[str, Any], macs: int, parameters: float) -> None:
    """Narrow against shallow."""
    found = cost(**options)
    assert (millions(found.macs), millions(found.parameters, 1)) == (macs, parameters)


@pytest.mark.parametrize(
    ("width", "macs", "parameters"), [(1.0, 569, 4.2), (0.75, 325, 2.6), (0.5, 149, 1.3), (0.25, 41, 0.5)]
)
def test_table_6(width: float, macs: int, parameters: float) -> None:
    found = cost(width=width)
    assert (millions(found.macs), millions(found.parameters, 1)) == (macs, parameters)


@pytest.mark.parametrize(("side", "macs"), [(224, 569), (192, 418), (160, 290), (128, 186)])
def test_table_7(side: int, macs: int) -> None:
    """The 290 M printed for 160 pixels are 290.7 M computed, cut off rather than rounded; all others are rounded."""
    found = cost(resolution=side)
    assert millions(found.macs) == macs + (side == 160)
    assert found.macs // 10**6 == 290 or side != 160
    assert millions(found.parameters, 1) == 4.2


def test_the_forms_run_and_keep_their_names() -> None:
    """What a form leaves out leaves no gap in the others' names, so weights can be carried from one to another."""
    whole, shallow = (made(width=0.25, shallow=flag).state_dict() for flag in (False, True))
    assert set(shallow) < set(whole)
    assert {name.split(".")[0] for name in set(whole) - set(shallow)} == {f"block{number}" for number in range(7, 12)}
    for options in ({"separable": False}, {"shallow": True}, {"separable": False, "shallow": True, "resolution": 100}):
        model = build_model("mobilenet_v1", 4, width=0.1, **options).eval()
        with torch.no_grad():
            logits = model(torch.rand(1, 3, *model.input_contract.size))
            maps = build_model("mobilenet_v1", width=0.1, features_only=True, **options).eval()(
                torch.rand(1, 3, 64, 96)
            )
        assert isinstance(logits, torch.Tensor)
        assert logits.shape == (1, 4)
        assert [m.shape[-2:] for m in maps] == [(32, 48), (16, 24), (8, 12), (4, 6), (2, 3)]
        assert any(isinstance(m, nn.Conv2d) and m.groups > 1 for m in model.modules()) == options.get("separable", True)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"resolution": 16}, "resolution. Got: 16. Expected: an integer of at least 32"),
        ({"resolution": 0.714}, "resolution. Got: 0.714. Expected: an integer"),
        ({"shallow": "yes"}, "shallow. Got: 'yes'. Expected: True or False"),
        ({"separable": 0}, "separable. Got: 0. Expected: True or False"),
    ],
)
def test_bad_values_are_named(options: dict[str, Any], message: str) -> None:
    with pytest.raises(ModelOptionError, match=f"Bad model option {message}"):
        made(**options)
