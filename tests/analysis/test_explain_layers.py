"""Which layers are explained, what is refused and in which words, and every network of the catalogue."""

from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image
from torch import Tensor, nn

from separable.analysis.explain import (
    default_layer,
    feature_layers,
    feature_maps,
    finer_layer,
    first_filters,
    grad_cam,
    integrated_gradients,
    is_passed_round,
    telling_layers,
)
from separable.data.decode import decode_picture
from separable.data.preprocess import normalise, prepare
from separable.errors import UsageError
from separable.models import build_model, list_models
from separable.weights import create_model
from tests.analysis.explained import CATALOGUE, Awkward, catalogue, pictures
from tests.models.small import SMALL


def awkward() -> tuple[Awkward, Tensor]:
    torch.manual_seed(2)
    model = Awkward().double()
    x = 1.5 * pictures(3, 16)
    model(x.clone())
    return model, x


@pytest.mark.parametrize("name", CATALOGUE)
def test_the_last_block_of_a_catalogue_network_is_the_default(name: str) -> None:
    model, x = catalogue(name)
    layer = default_layer(model, feature_layers(model, x))
    assert layer.name == model.chain[-1]  # type: ignore[index]
    maps = feature_maps(model, x)
    assert maps.shape == (2, layer.channels, layer.height, layer.width)
    with torch.no_grad():
        assert torch.equal(maps, model.eval().forward_features(x))  # type: ignore[operator]


def test_elsewhere_it_is_the_last_map_with_more_than_one_position() -> None:
    model, x = awkward()
    layers = feature_layers(model, x)
    assert [layer.name for layer in layers] == ["scale", "conv1", "bn1", "conv2", "conv3", "relu", "pool", "drop"][:7]
    assert str(default_layer(model, layers)) == "relu (8 maps of 8x8)"
    assert default_layer(model, feature_layers(model, x[:, :, :1, :1])).name == "pool"  # nothing has more than one
    assert [layer.name for layer in telling_layers(model, layers, layers[3])] == ["scale", "conv2", "relu"]


def test_a_finer_layer_is_named_where_the_last_has_one_position() -> None:
    model = build_model("mobilenet_v1", 3, width=0.125)
    layers = feature_layers(model, torch.zeros(1, 3, 32, 32))
    layer = default_layer(model, layers)
    assert (layer.name, layer.positions) == ("block13", 1)
    assert str(finer_layer(model, layers, layer)) == "block5 (32 maps of 4x4)"
    assert finer_layer(model, layers[:1], layers[0]) is None


def refused(said: str, call: Any, *arguments: Any, **options: Any) -> None:
    with pytest.raises(UsageError) as caught:
        call(*arguments, **options)
    assert str(caught.value) == said


def test_what_is_asked_wrongly_is_said() -> None:
    model, x = awkward()
    refused(
        "This network has no layer 'conv_3'. Expected: a layer with feature maps, such as bn1, conv2, conv3, relu or "
        "pool. Perhaps you meant conv3, conv2 or conv1.",
        grad_cam, model, x, 0, "conv_3",
    )  # fmt: skip
    refused(
        "The layer fc puts out no feature map, or is not run by itself. Expected: a layer whose output is a tensor "
        "(N, C, H, W). Take one near it: scale, conv3 or conv2.",
        feature_maps, model, x, "fc",
    )  # fmt: skip
    refused("There is no such class. Got: 4. Expected: 0 to 3.", grad_cam, model, x, 4)
    refused("There is no such class. Got: [0, 1, -1]. Expected: 0 to 3.", integrated_gradients, model, x, [0, 1, -1])
    refused(
        "`target` does not fit the pictures. Got: shape (2,) for 3 pictures. Expected: one class number, or one for "
        "each picture.",
        grad_cam, model, x, [0, 1],
    )  # fmt: skip
    refused("`target` is no class number. Got: 1.5. Expected: integers.", grad_cam, model, x, 1.5)
    refused("A path needs a step. Got: 0 steps. Expected: 1 or more.", integrated_gradients, model, x, 0, steps=0)
    refused(
        "The baseline does not fit the pictures. Got: shape (5,). Expected: a number, or a tensor that broadcasts to "
        "(3, 3, 16, 16).",
        integrated_gradients, model, x, 0, torch.zeros(5),
    )  # fmt: skip
    refused(
        "There is nothing to explain. Got: torch.float64 (3, 16, 16). Expected: floating-point pictures (N, C, H, W).",
        grad_cam, model, x[0],
    )  # fmt: skip
    refused(
        "There is nothing to explain. Got: torch.uint8 (3, 3, 16, 16). Expected: floating-point pictures (N, C, H, W).",
        integrated_gradients, model, x.to(torch.uint8),
    )  # fmt: skip


class _Wrapped(nn.Module):
    """Something else than logits, in the shape that `kind` says."""

    def __init__(self, kind: str) -> None:
        super().__init__()
        self.inner, self.kind = Awkward(), kind

    def forward(self, x: Tensor) -> Any:
        logits = self.inner(x)
        given = {"tuple": (logits, x), "nested": [(logits, 1)], "mapping": {"aux": x, "logits": logits}, "map": x}
        return {**given, "detached": logits.detach(), "none": None, "text": "cat"}[self.kind]


@pytest.mark.parametrize("kind", ["tuple", "nested", "mapping"])
def test_logits_are_found_in_what_a_forward_returns(kind: str) -> None:
    torch.manual_seed(5)
    model, x = _Wrapped(kind).double(), pictures(1, 16)
    assert torch.equal(grad_cam(model, x, 2), grad_cam(model.inner, x, 2))


def test_what_is_no_classifier_is_refused() -> None:
    x = pictures(1, 16)
    for kind, got in (("map", "a tensor of shape (1, 3, 16, 16)"), ("none", "NoneType"), ("text", "str")):
        refused(
            f"This network gives no logits to explain. Got: {got}. Expected: a classifier: logits (N, classes).",
            grad_cam, _Wrapped(kind).double(), x, 0, "inner.conv3",
        )  # fmt: skip
    refused(
        "The network's answer does not depend on the layer inner.conv3. Expected: a layer on the way to the logits. "
        "Take another layer, or leave it out for the last feature map.",
        grad_cam, _Wrapped("detached").double(), x, 0, "inner.conv3",
    )  # fmt: skip
    refused(
        "The network's answer cannot be differentiated by its picture. Expected: a network without a break in its "
        "gradients.",
        integrated_gradients, _Wrapped("detached").double(), x, 0,
    )  # fmt: skip
    refused(
        "No layer of this network puts out feature maps. Expected: a tensor (N, C, H, W) somewhere, "
        "whose sides are the picture's made smaller.",
        grad_cam, nn.Sequential(nn.Flatten(), nn.Linear(768, 2)).double(), x,
    )  # fmt: skip
    refused(
        "This network has no convolution whose filters could be shown. Expected: an nn.Conv2d.",
        first_filters, nn.Linear(2, 2),
    )  # fmt: skip


def test_first_filters_are_the_first_convolutions_that_see_more_than_a_pixel() -> None:
    model = nn.Sequential(nn.Conv2d(3, 4, 1), nn.Conv2d(4, 5, (1, 7)), nn.Conv2d(5, 6, 3))
    assert torch.equal(first_filters(model), model[1].weight)
    assert first_filters(build_model("xception", 2, width=0.0625, middle_blocks=0)).shape == (8, 3, 3, 3)
    assert first_filters(nn.Conv2d(3, 4, 1)).shape == (4, 3, 1, 1)


class _Aliased(nn.Module):
    """`same` puts out the very tensor that is overwritten afterwards."""

    def __init__(self) -> None:
        super().__init__()
        self.conv, self.same = nn.Conv2d(3, 4, 3), nn.Identity()

    def forward(self, x: Tensor) -> Tensor:
        y = self.conv(x)
        kept = self.same(y)
        y.mul_(0.0)
        return kept.mean((2, 3)) + y.mean((2, 3))


def test_a_map_is_kept_though_its_memory_is_used_again() -> None:
    model, x = _Aliased().double(), pictures(1, 8)
    torch.testing.assert_close(feature_maps(model, x, "same"), model.conv(x).detach())
    expected = torch.relu(model.conv(x)[:, 1].detach() / 36)
    torch.testing.assert_close(grad_cam(model, x, 1, "same"), expected)


@pytest.mark.parametrize("name", list_models("classify"))
def test_every_network_of_the_catalogue_is_explained(name: str) -> None:
    torch.manual_seed(0)
    model = build_model(name, 3, **SMALL[name])
    side = max(model.input_contract.min_size, 64)
    x = pictures(1, side).float()
    layers = feature_layers(model, x)
    layer = default_layer(model, layers)
    assert layer.name == model.chain[-1]
    assert grad_cam(model, x).shape == (1, layer.height, layer.width)
    assert bool(grad_cam(model, x).isfinite().all())
    assert not is_passed_round(model, x, layer)
    found = integrated_gradients(model, x, steps=1)
    assert float(found.values.abs().max()) > 0
    assert bool(found.values.isfinite().all())
    assert layer in telling_layers(model, layers, layer)
    finer = finer_layer(model, layers, layer)
    assert finer is not None
    assert finer.positions > layer.positions
    assert first_filters(model).shape[2] > 1


@pytest.mark.shared
def test_the_dog_lights_up(test_data: Path) -> None:
    """Real weights, a real photograph, and a mask that people drew: 0 is the dog, 1 what is not, 2 its border."""
    path = test_data / "weights" / "coral" / "mobilenet_v1_0.5_160_dequant_float32.npz"
    model = create_model("mobilenet_v1", 1001, path, width=0.5)
    contract = replace(model.input_contract, resize="squash")
    folder = test_data / "coral_images"
    x = normalise(prepare(decode_picture(folder / "dog_segmentation.bmp"), contract)[None], contract)
    black = normalise(torch.zeros(1, 3, 160, 160, dtype=torch.uint8), contract)
    with Image.open(folder / "dog_segmentation_mask.bmp") as picture:
        drawn = torch.from_numpy(np.array(picture.resize((160, 160), Image.Resampling.NEAREST)))
    dog, rest = drawn == 0, drawn == 1
    assert int(dog.sum()) > 5000 < int(rest.sum())
    found = integrated_gradients(model, x, None, black)
    assert found.target.tolist() == [259], "a Samoyed"
    assert float(found.share) <= 0.05
    sizes = found.values[0].sum(0).abs()
    assert float(sizes[dog].mean()) > 3 * float(sizes[rest].mean())
    cam = nn.functional.interpolate(grad_cam(model, x)[None], (160, 160), mode="bilinear")[0, 0]
    assert float(cam[dog].mean()) > 1.05 * float(cam[rest].mean())
