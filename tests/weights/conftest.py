"""A small network with weights worth recognising, and a check that a refused file leaves no trace."""

from collections.abc import Callable
from pathlib import Path

import pytest
import torch

from separable.errors import SeparableError
from separable.models.base import ImageModel
from separable.models.build import build_model
from separable.weights import load_weights

Refuses = Callable[..., None]


def make_net(num_classes: int = 10, seed: int = 1) -> ImageModel:
    """MobileNet 0.25 with random weights, statistics included."""
    torch.manual_seed(seed)
    model = build_model("mobilenet_v1", num_classes, width=0.25)
    with torch.no_grad():
        for name, value in model.state_dict().items():
            if ".bn." in name and value.is_floating_point():
                value.uniform_(0.5, 1.5)
    return model.eval()


@pytest.fixture
def net() -> ImageModel:
    return make_net()


@pytest.fixture
def refuses() -> Refuses:
    """`refuses(path, error, message)`: loading raises exactly that, and the model keeps every bit and its contract."""

    def check(path: Path, error: type[SeparableError], message: str, model: ImageModel | None = None) -> None:
        model = model or make_net(seed=2)
        before = {name: value.clone() for name, value in model.state_dict().items()}
        contract = model.input_contract
        with pytest.raises(error, match=message):
            load_weights(model, path)
        assert all(torch.equal(value, before[name]) for name, value in model.state_dict().items())
        assert model.input_contract == contract

    return check
