"""Real weights, real answers: published MobileNets against an independent float64 numpy run, and on photographs."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from separable.data.decode import decode_picture
from separable.data.preprocess import normalise, prepare
from separable.errors import WeightsMismatchError
from separable.models.base import ImageModel
from separable.weights import create_model, load_model, load_weights, save_model, unfold_batch_norm
from tests.tolerances import REAL_WEIGHTS_EMBEDDING, REAL_WEIGHTS_PROBABILITY

pytestmark = pytest.mark.shared

CORAL = [(0.25, 128), (0.5, 160)]
CATS = {"tabby, tabby cat", "tiger cat", "Egyptian cat"}
ANIMALS = {  # the photographs' own captions; `dog_segmentation` is samoyed_36 of the Oxford-IIIT pets
    "cat.bmp": CATS,
    "cat_720p.jpg": CATS,
    "resized_cat.bmp": CATS,
    "parrot.jpg": {"macaw"},
    "bird.bmp": {"chickadee"},
    "dog_segmentation.bmp": {"Samoyed, Samoyede"},
}


def coral(test_data: Path, width: float, size: int) -> ImageModel:
    path = test_data / "weights" / "coral" / f"mobilenet_v1_{width}_{size}_dequant_float32.npz"
    return create_model("mobilenet_v1", 1001, path, width=width).eval()


def reference(test_data: Path, name: str) -> Any:
    return np.load(test_data / "reference" / f"{name}.npz", allow_pickle=False)


def as_input(images: Any, model: ImageModel) -> torch.Tensor:
    return normalise(torch.from_numpy(images).permute(0, 3, 1, 2), model.input_contract)


@pytest.mark.parametrize(("width", "size"), CORAL)
def test_tf_slims_mobilenets(width: float, size: int, test_data: Path, tmp_path: Path) -> None:
    model = coral(test_data, width, size)
    contract = model.input_contract
    assert contract.size == (size, size)
    assert (contract.resize, contract.crop_fraction, contract.filter) == ("shorter", 0.875, "bilinear")
    expected = reference(test_data, f"mobilenet_v1_{width}_{size}")
    x = as_input(expected["images_uint8"], model)
    assert float((x - (torch.from_numpy(expected["images_uint8"]).permute(0, 3, 1, 2) / 128.0 - 1)).abs().max()) < 1e-6
    save_model(model, tmp_path)
    for net in (model, load_model(tmp_path)):  # the contract travels, and so does the function
        with torch.no_grad():
            features = net.forward_features(x)
            probabilities = net.forward_head(features).softmax(1).numpy()
            embedding = net.forward_head(features, pre_logits=True).numpy()
        assert np.abs(probabilities - expected["probs1001"]).max() < REAL_WEIGHTS_PROBABILITY
        assert np.abs(embedding - expected["embedding"]).max() < REAL_WEIGHTS_EMBEDDING
        assert net.input_contract == contract


def test_mlperf_tinys_mobilenet(test_data: Path) -> None:
    """ReLU in place of ReLU6, biases before the batch normalisation, pixels in [0, 1]."""
    path = test_data / "weights" / "mlperf_tiny_vww" / "vww_96.h5"
    with pytest.raises(WeightsMismatchError, match=r'another activation\. Got: relu\. .*with activation="relu"'):
        create_model("mobilenet_v1", 2, path, width=0.25)
    model = create_model("mobilenet_v1", 2, width=0.25, activation="relu").eval()
    report = load_weights(model, path)
    assert report.format == "mlperf-tiny h5"
    assert model.input_contract.size == (96, 96)
    assert model.input_contract.class_names == ("non_person", "person")
    expected = reference(test_data, "vww_mobilenet_0.25_96")
    with torch.no_grad():
        probabilities = model(as_input(expected["images_uint8"], model)).softmax(1).numpy()
    assert np.abs(probabilities - expected["probs"]).max() < REAL_WEIGHTS_PROBABILITY


def test_it_names_the_animals(test_data: Path) -> None:
    model = coral(test_data, 0.5, 160)
    names = (test_data / "weights" / "coral" / "imagenet_labels.txt").read_text().splitlines()
    found = {}
    for picture in ANIMALS:
        pixels = prepare(decode_picture(test_data / "coral_images" / picture), model.input_contract)
        with torch.no_grad():
            found[picture] = names[int(model(normalise(pixels[None], model.input_contract)).argmax())]
    assert {picture: name for picture, name in found.items() if name not in ANIMALS[picture]} == {}


def test_unfolded_it_still_knows_and_can_be_trained(test_data: Path) -> None:
    model = coral(test_data, 0.25, 128)
    expected = reference(test_data, "mobilenet_v1_0.25_128")
    x = as_input(expected["images_uint8"], model)
    assert unfold_batch_norm(model, [x[:3], x[3:]]) == 27
    with torch.no_grad():
        assert np.abs(model(x).softmax(1).numpy() - expected["probs1001"]).max() < REAL_WEIGHTS_PROBABILITY
        model.head.dropout.p = 0.0  # type: ignore[union-attr] - this model has a head
        training = model.train()(x).softmax(1).numpy()
        folded = coral(test_data, 0.25, 128).train()(x).softmax(1).numpy()
    assert np.abs(training - expected["probs1001"]).max() < REAL_WEIGHTS_PROBABILITY
    assert np.abs(folded - expected["probs1001"]).max() > 0.1  # what training would have started from
