"""What only some networks have: options that leave parts out, auxiliary heads in their place; and names and options."""

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from separable.blocks import XceptionDown, XceptionMiddle
from separable.errors import ModelOptionError, UnknownModelError
from separable.models import SqueezeNet, build_model, list_models, model_spec
from separable.weights import create_model
from separable.weights.save import load_model, save_model
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


@pytest.mark.parametrize("name", [None, 5, ["xception"], {}])
@pytest.mark.parametrize("function", [create_model, model_spec, build_model])
def test_a_name_that_is_no_text_is_unknown(function: Any, name: Any) -> None:
    with pytest.raises(UnknownModelError, match=r"A model's name is a text. Got: .*. Expected: one of alexnet"):
        function(name)


@pytest.mark.parametrize(
    ("name", "options", "kept"),
    [
        ("inception_v3", {"stem": 79, "width": 0.1}, {"stem": "79"}),
        ("inception_v3", {"stem": np.int64(151), "width": 0.1}, {"stem": "151"}),
        ("squeezenet", {"version": 1.1}, {"version": "1.1"}),
        ("squeezenet", {"version": 1.0}, {"version": "1.0"}),
    ],
)
def test_a_number_written_as_text_may_be_given_as_a_number(
    name: str, options: dict[str, Any], kept: dict[str, str]
) -> None:
    with torch.device("meta"):
        model, as_text = build_model(name, 2, **options), build_model(name, 2, **{**options, **kept})
    assert {key: model.options[key] for key in kept} == kept
    assert model.options == as_text.options
    assert str(model) == str(as_text)


def test_a_number_that_is_no_choice_is_still_refused() -> None:
    with pytest.raises(ModelOptionError, match=r"version. Got: '1.2'. Expected: '1.0' or '1.1'"):
        SqueezeNet(version=1.2)  # type: ignore[arg-type]
    with pytest.raises(ModelOptionError, match=r"stem. Got: True. Expected: '299'"):
        build_model("inception_v3", stem=True)


def test_numpys_and_torchs_numbers_are_kept_as_pythons(tmp_path: Path) -> None:
    given = {"in_channels": torch.tensor(1), "width": np.float64(0.125), "middle_blocks": np.int32(0)}
    model = build_model("xception", np.arange(5).max() + 1, residual=np.bool_(False), fc_layers=np.array([4]), **given)
    kept = {"in_channels": 1, "width": 0.125, "middle_blocks": 0, "residual": False}
    assert {key: model.options[key] for key in kept} == kept
    assert {type(model.options[key]) for key in kept} == {int, float, bool}
    assert type(model.num_classes) is int
    json.dumps(model.options)
    model.reset_classifier(np.int64(3))
    assert type(model.num_classes) is int
    save_model(model, tmp_path)
    assert load_model(tmp_path).options == model.options | {"fc_layers": (4,)}
    with pytest.raises(ModelOptionError, match=r"num_classes. Got: True"):
        build_model("xception", np.bool_(True))
