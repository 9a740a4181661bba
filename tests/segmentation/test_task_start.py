"""Before the first step on masks: what is estimated, what an encoder starts from, what is refused."""

import re
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch

from separable.data.augment_config import AugmentConfig
from separable.errors import UsageError
from separable.models import build_model
from separable.segmentation.pairs import PairsData, read_pairs
from separable.segmentation.task import SegmentTask
from separable.training.classification import task_for
from separable.training.config import ModelConfig, TrainConfig
from separable.training.estimate import estimate
from separable.training.loop import train
from separable.training.recipes import RECIPES
from separable.training.start import starting_model
from separable.weights import save_model
from tests.segmentation.steps import FROZEN, LOADER, config_with, recipe_with
from tests.segmentation.trainable import segment_config, write_training_pairs
from tests.tolerances import UNFOLDED_FEATURES


@pytest.fixture(scope="module")
def root(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_training_pairs(tmp_path_factory.mktemp("pairs") / "data")


@pytest.fixture(scope="module")
def data(root: Path) -> PairsData:
    return read_pairs(root)


def test_what_is_estimated(root: Path, data: PairsData, tmp_path: Path) -> None:
    config = segment_config(tmp_path / "run", root)
    found = estimate(config, data, SegmentTask())
    assert found.parameters == sum(p.numel() for p in build_model("unet_xception", 3, width=0.25, depth=1).parameters())
    assert (found.input_size, found.batch_size, found.steps_per_epoch, found.epochs) == ((30, 36), 5, 3, 4)
    assert found.fits
    assert found.seconds > 0
    assert not (tmp_path / "run").exists()
    larger = replace(config, model=replace(config.model, image_size=(120, 144)), batch_size=10)
    assert estimate(larger, data, SegmentTask()).memory > found.memory


@pytest.mark.parametrize("name", ["unet", "deeplab"])
def test_the_encoder_starts_from_a_classifiers_weights(name: str, data: PairsData, tmp_path: Path) -> None:
    torch.manual_seed(8)
    trained = build_model("mobilenet_v1", 10, width=0.25)
    trained.input_contract = replace(trained.input_contract, mean=(0.1, 0.2, 0.3))
    save_model(trained, tmp_path / "classifier")
    options = {"encoder": "mobilenet_v1", "width": 0.25}
    network = ModelConfig(name, options, None, (64, 64), encoder_weights=str(tmp_path / "classifier"))
    config = config_with(model=network)
    model, sentence = starting_model(config, data.train, LOADER)
    assert sentence == f"Starting {name} from scratch, its encoder from {tmp_path / 'classifier'}."
    theirs = {name: value for name, value in trained.state_dict().items() if not name.startswith("head.")}
    ours = model.encoder.state_dict()
    assert all(torch.equal(ours[key], value) for key, value in theirs.items() if key in ours)
    assert len(ours) == len(theirs)
    assert (model.input_contract.mean, model.input_contract.size) == ((0.1, 0.2, 0.3), (64, 64))
    save_model(model, tmp_path / "whole")
    again = replace(config, model=replace(network, encoder_weights=None, weights=str(tmp_path / "whole")))
    model, sentence = starting_model(again, data.train, LOADER)
    assert sentence == f"Starting {name} from {tmp_path / 'whole'}."


@pytest.mark.shared
def test_a_folded_encoder_gets_statistics_and_keeps_its_maps(test_data: Path, data: PairsData) -> None:
    source = next((test_data / "weights").rglob("*0.25_128*.npz"))
    options = {"encoder": "mobilenet_v1", "width": 0.25}
    config = config_with(model=ModelConfig("unet", options, None, (64, 64), encoder_weights=str(source)))
    rules = replace(FROZEN, unfold_batch_norm=False)
    unfolded, sentence = starting_model(config, data.train, LOADER)
    folded, plain = starting_model(replace(config, recipe=recipe_with(rules)), data.train, LOADER)
    assert sentence.endswith("statistics measured on the training pictures.")
    assert "folded" not in plain
    x = torch.randn(2, 3, 64, 64, generator=torch.Generator().manual_seed(0))
    with torch.no_grad():
        before, after = (model.eval().encoder(x)[-1] for model in (folded, unfolded))
    assert (before - after).abs().max() / before.abs().max() < UNFOLDED_FEATURES
    norms = [module for module in unfolded.encoder.modules() if isinstance(module, torch.nn.BatchNorm2d)]
    assert all(norm.running_mean.abs().max() > 0 for norm in norms)
    fresh = [module for module in unfolded.up1.modules() if isinstance(module, torch.nn.BatchNorm2d)]
    assert fresh
    assert not any(norm.running_mean.any() for norm in fresh)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"model": ModelConfig("xception")}, "networks that answer for every pixel. Got: xception, which"),
        ({"recipe": recipe_with(augment=AugmentConfig(mixup=0.2))}, "with masks cannot be mixed. Got: mixup"),
        ({"recipe": RECIPES["small"]}, "Labels of pixels are not smoothed. Got: label_smoothing=0.1 of recipe small"),
        ({"recipe": replace(RECIPES["segment"], loss="hinge")}, "Cannot read this loss. Got: 'hinge'"),
        ({"task": "classify"}, "The task is not the configuration's. Got: segment. Expected: task: classify"),
    ],
)  # fmt: skip
def test_what_has_no_meaning_is_refused_before_anything_is_written(
    change: dict[str, Any], message: str, root: Path, data: PairsData, tmp_path: Path
) -> None:
    config = replace(segment_config(tmp_path / "run", root), **change)
    for refused in (lambda: train(config, data, task=SegmentTask()), lambda: estimate(config, data, SegmentTask())):
        with pytest.raises(UsageError, match=re.escape(message)):
            refused()
    assert not (tmp_path / "run").exists()


def test_one_class_is_refused() -> None:
    with pytest.raises(UsageError, match="Masks of one class leave nothing to learn"):
        SegmentTask().objective(config_with(), 1, {})


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"task": "segment"}, "The task is not the configuration's. Got: classify. Expected: task: segment"),
        ({"model": ModelConfig("unet_xception")}, "Training is for networks that classify pictures. Got: unet_"),
        ({"recipe": RECIPES["segment"]}, "A training that classifies has no loss. Got: recipe segment"),
    ],
)  # fmt: skip
def test_classification_refuses_what_is_for_masks(change: dict[str, Any], message: str) -> None:
    config = replace(TrainConfig(run="unused", recipe=RECIPES["small"]), **change)
    with pytest.raises(UsageError, match=re.escape(message)):
        task_for(config, None)
