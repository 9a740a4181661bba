"""The catalogue tells the truth about every network, to the last digit, counted on the meta device."""

import pytest
import torch
from torch import nn

from separable.analysis import profile
from separable.errors import ModelOptionError
from separable.models import build_model, list_models, model_spec
from tests.models.small import NETWORKS, SMALL, VARIANTS, each_network

every_name = pytest.mark.parametrize("name", list_models())


def test_every_network_is_tested() -> None:
    assert set(SMALL) == set(list_models("classify")), "add the new network's small options to tests/models/small.py"
    assert {case.split("-")[0] for case in VARIANTS} <= set(NETWORKS)
    assert list_models() == sorted(list_models()) == sorted([*list_models("classify"), *list_models("segment")])


@every_name
def test_the_catalogue_tells_the_truth(name: str) -> None:
    spec = model_spec(name)
    with torch.device("meta"):
        model = build_model(name)
    assert (model.name, spec.name) == (name, name)
    assert set(model.options) == set(spec.options)
    assert model.num_classes == spec.num_classes
    assert spec.num_classes == 1000 or spec.task == "segment"
    assert model.task == spec.task
    assert model.input_contract == spec.input
    assert model.input_contract.min_size == spec.min_size
    assert min(spec.input.size) >= spec.min_size
    height, width = spec.input.size
    counted = profile(model, (1, 3, height, width))
    assert sum(parameter.numel() for parameter in model.parameters()) == counted.parameters == spec.parameters
    assert counted.macs == spec.macs
    assert spec.paper.startswith(("arXiv:", "keras.io/examples/"))


@every_name
def test_taps_are_blocks_of_the_chain(name: str) -> None:
    with torch.device("meta"):
        model = build_model(name)
    blocks = [tap.block for tap in model.taps]
    places = [model.chain.index(block) for block in blocks]
    assert places == sorted(set(places))
    assert places[-1] == len(model.chain) - 1, "the last tap is the last map"
    children = {child for child, _ in model.named_children()}
    assert set(model.chain) == children - {"head", *model.aux_names.values()}


@each_network
def test_unknown_options_are_refused_with_the_legal_ones(case: str) -> None:
    options = ", ".join(model_spec(case).options)
    with pytest.raises(ModelOptionError, match=rf"^{case} has no option colour, depth\. Expected: one of {options}\.$"):
        build_model(case, depth=3, colour="blue")


@each_network
@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"num_classes": -1}, "num_classes. Got: -1. Expected: an integer of at least 0"),
        ({"in_channels": 0}, "in_channels. Got: 0. Expected: an integer of at least 1"),
        ({"width": 0.0}, "width. Got: 0.0. Expected: a number above 0"),
        ({"width": "0.5"}, "width. Got: '0.5'. Expected: a number above 0"),
        ({"dropout": 1.0}, "dropout. Got: 1.0. Expected: a number from 0 to below 1"),
        ({"features_only": "yes"}, "features_only. Got: 'yes'. Expected: True or False"),
    ],
)
def test_common_options_are_checked(case: str, options: dict[str, object], message: str) -> None:
    with pytest.raises(ModelOptionError, match=f"^Bad model option {message}.$"):
        build_model(case, **options)  # type: ignore[arg-type]


@every_name
def test_every_option_is_checked(name: str) -> None:
    """An object that no option can be is refused by its name, before anything is built."""
    for option in model_spec(name).options:
        with pytest.raises(ModelOptionError, match=f"^Bad model option {option}"):
            build_model(name, **{option: nn.Identity()})
