"""The networks that the papers' tables compare, on pictures of 32 to 64 pixels: grids that leave something to learn."""

from collections.abc import Iterator
from typing import Any

import pytest
import torch
from torch import nn

from separable.errors import ModelOptionError
from separable.models import ImageModel, build_model

NETWORKS: dict[str, tuple[dict[str, Any], dict[int, tuple[int, ...]]]] = {
    "xception": ({"stem_stride": 1, "width": 0.1, "middle_blocks": 1}, {32: (14, 7, 4, 2), 48: (22, 11, 6, 3)}),
    "inception_v3": ({"stem": "79", "width": 0.1}, {32: (24, 11, 5, 2), 48: (40, 19, 9, 4), 64: (56, 27, 13, 6)}),
    "inception_v2": ({"stem": "79", "width": 0.1}, {32: (24, 11, 5, 2), 48: (40, 19, 9, 4), 64: (56, 27, 13, 6)}),
    "mobilenet_v1": ({"stem_stride": 1, "width": 0.25}, {32: (32, 16, 8, 4, 2), 48: (48, 24, 12, 6, 3)}),
    "resnet50": ({"stem_stride": 1, "width": 0.125}, {32: (32, 16, 8, 4, 2), 48: (48, 24, 12, 6, 3)}),
    "resnet152": (
        {"stem_stride": 1, "width": 0.125, "repeats": [1, 1, 2, 1]},
        {32: (32, 16, 8, 4, 2), 64: (64, 32, 16, 8, 4)},
    ),
    "vgg16": ({"width": 0.1, "dropout": 0.0}, {32: (32, 16, 8, 4, 2), 48: (48, 24, 12, 6, 3)}),
}
"""Options, and by the pictures' side those of the last maps before each is reduced; the last is never one pixel."""


@pytest.mark.parametrize("name", NETWORKS)
def test_the_grids(name: str) -> None:
    options, expected = NETWORKS[name]
    with torch.device("meta"):
        model = build_model(name, 4, **options)
        for side, grids in expected.items():
            maps = model.eval().forward_pyramid(torch.zeros(1, 3, side, side))
            found = [
                m.shape[2] for m in maps[: -1 if name == "vgg16" else None]
            ]  # its last tap is behind its last pool
            assert tuple(found[-len(grids) :]) == grids
            strides = [tap.stride for tap in model.taps]
            assert all(abs(side / stride - m.shape[2]) <= 8 for stride, m in zip(strides, maps, strict=True))


slowly = pytest.mark.slow
STEPS = {"vgg16": 24}
"""Without batch normalisation it is slow to leave chance."""


@pytest.mark.parametrize("side", [32, pytest.param(48, marks=slowly), pytest.param(64, marks=slowly)])
@pytest.mark.parametrize("name", NETWORKS)
def test_every_one_learns_a_few_pictures_by_heart(name: str, side: int, one_thread: None) -> None:
    torch.manual_seed(0)
    model = build_model(name, 4, **NETWORKS[name][0])
    losses = trained(model, torch.rand(8, 3, side, side), STEPS.get(name, 8))
    assert min(losses[-3:]) < 0.6 * losses[0]


@pytest.fixture
def one_thread() -> Iterator[None]:
    """Networks as small as these are no faster with more, and far slower where the machine is busy."""
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)


def trained(model: ImageModel, x: torch.Tensor, steps: int) -> list[float]:
    """The losses on `x` in so many steps of Adam."""
    labels = torch.arange(len(x)) % 4
    optimiser = torch.optim.Adam(model.train().parameters(), lr=1e-3)
    losses = []
    for _ in range(steps):
        loss = nn.functional.cross_entropy(model(x), labels)
        optimiser.zero_grad()
        loss.backward()
        optimiser.step()
        losses.append(loss.item())
    return losses


@pytest.mark.parametrize("name", ["mobilenet_v1", "resnet50", "resnet152"])
def test_a_stem_without_a_stride_is_the_same_weights_on_maps_twice_as_large(name: str) -> None:
    with torch.device("meta"):
        plain, small = build_model(name), build_model(name, stem_stride=1)
    assert {name: value.shape for name, value in plain.state_dict().items()} == {
        name: value.shape for name, value in small.state_dict().items()
    }
    assert [2 * tap.stride for tap in small.taps] == [tap.stride for tap in plain.taps]
    assert (plain.input_contract.min_size, small.input_contract.min_size) == (32, 16)
    x = torch.zeros(1, 3, 64, 64, device="meta")
    shapes = [[m.shape[2] for m in model.eval().forward_pyramid(x)] for model in (plain, small)]
    assert [2 * side for side in shapes[0]] == shapes[1]
    with pytest.raises(ModelOptionError, match=r"stem_stride\. Got: 4\. Expected: 1 or 2"):
        build_model(name, stem_stride=4)


def test_a_small_mobilenet_can_be_meant_for_small_pictures() -> None:
    model = build_model("mobilenet_v1", 2, width=0.1, stem_stride=1, resolution=24)
    assert model.input_contract.size == (24, 24)
    with pytest.raises(ModelOptionError, match=r"resolution\. Got: 24\. Expected: an integer of at least 32"):
        build_model("mobilenet_v1", 2, resolution=24)
