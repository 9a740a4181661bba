"""Every network can be saved, copied, pickled, and built again from what it says of itself."""

import copy
import json
import pickle

import torch

from separable.models import build_model
from tests.models.small import each_case, each_network, logits, make, pictures


@each_case
def test_rebuilds_from_its_options_and_state(case: str) -> None:
    model = make(case)
    options = json.loads(json.dumps(model.options))
    twin = build_model(model.name, model.num_classes, **options)
    twin.load_state_dict(model.state_dict(), strict=True)
    x = pictures(model, 1)
    assert torch.equal(logits(twin, x), logits(model, x))
    assert twin.options == model.options
    assert twin.input_contract == model.input_contract


@each_case
def test_seed_decides_the_initial_weights(case: str) -> None:
    first, second = make(case).state_dict(), make(case).state_dict()
    assert all(torch.equal(first[name], second[name]) for name in first)
    torch.manual_seed(1)
    model = make(case)
    other = build_model(model.name, 5, **model.options).state_dict()
    random = [name for name, value in first.items() if value.dim() > 1]
    assert not [name for name in random if torch.equal(first[name], other[name])]


@each_case
def test_copies_and_pickles(case: str) -> None:
    model = make(case)
    x = pictures(model, 1)
    expected = logits(model, x)
    twin = copy.deepcopy(model)
    assert torch.equal(logits(pickle.loads(pickle.dumps(model)), x), expected)
    with torch.no_grad():
        next(model.parameters()).zero_()
    assert torch.equal(logits(twin, x), expected), "a copy shares nothing"


@each_network
def test_starts_with_signals_that_neither_die_nor_explode(case: str) -> None:
    """In training mode, as a first step sees them: logits of two pictures differ, and none is huge."""
    model = make(case).train()
    with torch.no_grad():
        out = model(pictures(model, 4))
    assert out.isfinite().all()
    assert out.std() > 1e-6
    assert out.abs().max() < 1e3
