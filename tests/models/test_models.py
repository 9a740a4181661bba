"""What only some networks have: options that leave parts out, auxiliary heads in their place; and names and options."""

from typing import Any

import pytest
import torch

from separable.blocks import XceptionDown, XceptionMiddle
from separable.errors import ModelOptionError, UnknownModelError
from separable.models import build_model, list_models, model_spec
from tests.models.small import make


def test_the_auxiliary_head_reads_the_last_17x17_grid() -> None:
    model, seen = make("inception_v3-gamma").train(), {}
    model.get_submodule("mixed7").register_forward_hook(lambda _m, _i, out: seen.update(grid=out))
    model.get_submodule("aux_head").register_forward_pre_hook(lambda _m, inputs: seen.update(read=inputs[0]))
    model(torch.randn(2, 3, 80, 80))
    assert seen["read"] is seen["grid"]


def test_without_residuals_no_shortcut_is_left() -> None:
    blocks = list(make("xception", residual=False).children())
    assert all(block.shortcut is None for block in blocks if isinstance(block, XceptionDown))
    assert [block.residual for block in blocks if isinstance(block, XceptionMiddle)] == [False]


def test_unknown_names_and_options_are_helped_on() -> None:
    with pytest.raises(UnknownModelError, match=r"There is no model 'exception'.*Perhaps you meant xception\."):
        build_model("exception")
    with pytest.raises(UnknownModelError, match=rf"Expected: one of {', '.join(list_models())}\."):
        model_spec("resnext50")
    with pytest.raises(
        ModelOptionError, match=r"mobilenet_v1 has no option residual\. Expected: one of activation, dropout"
    ):
        build_model("mobilenet_v1", residual=False)


@pytest.mark.parametrize(
    ("name", "options", "message"),
    [
        ("xception", {"intermediate_activation": "gelu"}, "intermediate_activation. Got: 'gelu'"),
        ("xception", {"stem_stride": 3}, "stem_stride. Got: 3. Expected: 1 or 2"),
        ("xception", {"middle_blocks": -1}, "middle_blocks. Got: -1. Expected: an integer of at least 0"),
        ("xception", {"width": float("inf")}, "width. Got: inf. Expected: a number above 0"),
        ("inception_v3", {"dropout": "x"}, "dropout. Got: 'x'. Expected: a number from 0 to below 1"),
        ("xception", {"dropout": float("nan")}, "dropout. Got: nan. Expected: a number from 0 to below 1"),
        ("xception", {"fc_layers": 2}, "fc_layers. Got: 2. Expected: a list of integers of at least 1"),
        ("xception", {"fc_layers": [8, 0]}, r"fc_layers. Got: \[8, 0\]. Expected: a list of integers of at least 1"),
        ("xception", {"residual": "foo"}, "residual. Got: 'foo'. Expected: True or False"),
        ("inception_v3", {"gamma": 1}, "gamma. Got: 1. Expected: True or False"),
        ("inception_v3", {"aux_head": "no"}, "aux_head. Got: 'no'. Expected: True or False"),
        ("mobilenet_v1", {"activation": ["relu"]}, r"activation. Got: \['relu'\]. Expected: 'relu6' or 'relu'"),
        ("xception", {"in_channels": "3"}, "in_channels. Got: '3'. Expected: an integer of at least 1"),
        ("xception", {"middle_blocks": "a"}, "middle_blocks. Got: 'a'. Expected: an integer of at least 0"),
    ],
)
def test_bad_option_values_are_named(name: str, options: dict[str, Any], message: str) -> None:
    with pytest.raises(ModelOptionError, match=f"Bad model option {message}"):
        build_model(name, **options)
