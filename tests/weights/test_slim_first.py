"""TF-slim's Inception V1 and V2: logits, names, layouts, and what their files say of the network."""

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from torch import Tensor

from separable.models.base import ImageModel
from separable.models.build import build_model
from separable.weights import load_weights
from separable.weights.ports.find import identify
from separable.weights.ports.read import port_tensors
from separable.weights.ports.slim import SLIM_PORTS
from tests.parity.torch_net import distance, pictures, spread
from tests.tolerances import PORT_PARITY
from tests.weights import slim_first
from tests.weights.slim_layers import Slim

NETS: dict[str, tuple[str, Callable[[Slim, Tensor], Tensor], dict[str, bool]]] = {
    "inception_v1": (
        "InceptionV1",
        slim_first.inception_v1,
        {"batch_norm": True, "gamma": False, "five_by_five": False},
    ),
    "bn_inception": (
        "InceptionV2",
        slim_first.inception_v2,
        {"separable_stem": True, "gamma": False, "stem_batch_norm": False},
    ),
}
WIDTH = 0.25
SIZES = [(96, 128), (97, 63)]


@pytest.fixture(scope="module", params=NETS)
def case(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> tuple[str, Slim, ImageModel]:
    name = request.param
    root, run, options = NETS[name]
    slim = Slim(root, WIDTH, classes=21)
    with torch.no_grad():
        run(slim, pictures(96, 96, 4, seed=1))
    path: Path = tmp_path_factory.mktemp("slim") / f"{name}.npz"
    slim.save(str(path))
    model = build_model(name, 21, width=WIDTH, **options).eval()
    report = load_weights(model, path)
    assert report.missing == report.unexpected == ()
    return name, slim, model


def both(case: tuple[str, Slim, ImageModel], size: tuple[int, int]) -> tuple[Tensor, Tensor]:
    name, slim, model = case
    x = pictures(*size)
    with torch.no_grad():
        return model(x), NETS[name][1](slim, x)


@pytest.mark.parametrize("size", SIZES)
def test_slims_logits(size: tuple[int, int], case: tuple[str, Slim, ImageModel]) -> None:
    got, expected = both(case, size)
    assert spread(expected) > 100 * PORT_PARITY
    assert distance(got, expected) < PORT_PARITY


@pytest.mark.parametrize("change", [{"batch_norm_eps": 1e-5}, {"padding": "symmetric"}, {"counts_padding": True}])
def test_other_numerics_would_be_seen(change: dict[str, object], case: tuple[str, Slim, ImageModel]) -> None:
    name, _, model = case
    if name == "inception_v1" and "counts_padding" in change:
        return  # it averages nothing but the last map
    kept = model.input_contract
    model.adopt(replace(kept, **change))  # type: ignore[arg-type] - one field at a time
    got, expected = both(case, (96, 128))
    model.adopt(kept)
    assert distance(got, expected) > 10 * PORT_PARITY


def test_the_file_tells_the_network_and_is_written_back(case: tuple[str, Slim, ImageModel]) -> None:
    name, slim, model = case
    port = next(port for port in SLIM_PORTS if name in port.models)
    written = port_tensors(port, model)
    assert written.keys() == slim.variables.keys()
    assert all(np.array_equal(value.numpy(), slim.variables[key]) for key, value in written.items())
    found = identify({key: torch.from_numpy(value) for key, value in slim.variables.items()})
    assert found is not None
    assert (found.model, found.num_classes, found.differences) == (name, 21, 0)
    assert found.options.items() >= {**NETS[name][2], "width": WIDTH}.items()
    contract = model.input_contract
    assert (contract.size, contract.padding, contract.batch_norm_eps) == ((224, 224), "tf_same", 1e-3)
