"""Where a training begins: from scratch, from a file of another task, from folded weights; suspects after it."""

import csv
from dataclasses import replace
from pathlib import Path

import pytest
import torch
from torch import nn

from separable.data.folder import FolderData, read_folder
from separable.data.loader import LoaderConfig
from separable.errors import InputSizeError, WeightsMismatchError
from separable.models import build_model
from separable.training.config import MachineConfig, ModelConfig, RegularisationConfig, TrainConfig
from separable.training.evaluate import evaluate
from separable.training.loop import train
from separable.training.recipes import RECIPES
from separable.training.start import starting_model
from separable.weights import create_model, save_model
from tests.tolerances import UNFOLDED_FEATURES
from tests.training.killable import small_config, write_pictures

LOADER = LoaderConfig(batch_size=8)


def test_from_scratch_is_keyed_by_the_seed_alone(data: FolderData, tmp_path: Path) -> None:
    config = small_config(tmp_path, data.train.root.parent)
    weights = []
    for seed in (0, 0, 1):
        torch.rand(7)  # whatever was drawn before does not matter
        model, sentence = starting_model(replace(config, seed=seed), data.train, LOADER)
        weights.append(model.get_parameter("block2.sepconv1.pointwise.weight"))
    assert sentence == "Starting xception from scratch."
    assert torch.equal(weights[0], weights[1])
    assert not torch.equal(weights[0], weights[2])


def test_the_recipes_dropout_reaches_the_network(data: FolderData, tmp_path: Path) -> None:
    config = small_config(tmp_path, data.train.root.parent)
    assert starting_model(config, data.train, LOADER)[0].options["dropout"] == 0.3
    users = replace(config, model=replace(config.model, options={**config.model.options, "dropout": 0.1}))
    assert starting_model(users, data.train, LOADER)[0].options["dropout"] == 0.1


def test_weights_of_another_task_keep_the_body_and_get_a_new_head(data: FolderData, tmp_path: Path) -> None:
    torch.manual_seed(8)
    options = {"width": 0.125, "stem_stride": 1, "middle_blocks": 1}
    other = build_model("xception", 7, **options)
    for module in other.modules():
        if isinstance(module, nn.BatchNorm2d):
            module.running_mean.normal_()
    save_model(other, tmp_path / "other")
    config = small_config(tmp_path / "run", data.train.root.parent)
    config = replace(config, model=replace(config.model, weights=str(tmp_path / "other")))
    model, sentence = starting_model(config, data.train, LOADER)
    assert sentence == f"Starting xception from {tmp_path / 'other'}."
    theirs, ours = other.state_dict(), model.state_dict()
    assert {name for name in ours if not torch.equal(ours[name], theirs[name])} == {
        "head.classifier.weight",
        "head.classifier.bias",
    }
    assert ours["head.classifier.weight"].shape[0] == 3
    assert model.input_contract.class_names == data.class_names
    assert model.input_contract.size == (32, 32)


def test_weights_of_another_network_are_refused(data: FolderData, tmp_path: Path) -> None:
    save_model(build_model("mobilenet_v1", 3, width=0.25), tmp_path / "other")
    config = small_config(tmp_path / "run", data.train.root.parent)
    with pytest.raises(WeightsMismatchError):
        train(replace(config, model=replace(config.model, weights=str(tmp_path / "other"))), data)
    assert not (tmp_path / "run" / "checkpoints").exists()
    assert not (tmp_path / "run" / "config.yaml").exists(), "the folder is free for a corrected command"


def test_pictures_too_small_are_refused_before_anything_is_written(data: FolderData, tmp_path: Path) -> None:
    config = small_config(tmp_path / "run", data.train.root.parent)
    config = replace(config, model=replace(config.model, options={}, image_size=(64, 80)))
    with pytest.raises(InputSizeError, match=r"Pictures of 64x80 are too small for xception\. Expected: sides of 71"):
        train(config, data)
    assert not (tmp_path / "run" / "config.yaml").exists()


@pytest.mark.shared
def test_folded_weights_get_statistics_and_keep_their_answers(test_data: Path, data: FolderData) -> None:
    source = test_data / "weights" / "mobilenet_v1_0.25_128.npz"
    if not source.exists():
        source = next((test_data / "weights").rglob("*0.25_128*.npz"))
    config = TrainConfig(
        run="unused",
        recipe=replace(RECIPES["finetune"], regularisation=RegularisationConfig()),
        model=ModelConfig("mobilenet_v1", {"width": 0.25}, str(source), image_size=(128, 128)),
    )
    model, sentence = starting_model(config, data.train, LOADER)
    assert "statistics measured on the training pictures" in sentence
    norms = [module for module in model.modules() if isinstance(module, nn.BatchNorm2d)]
    assert all(norm.running_mean.abs().max() > 0 for norm in norms)
    # Without the head, which is a new one, the evaluated network is the published one.
    published = create_model("mobilenet_v1", 3, weights=str(source), width=0.25)
    published.input_contract = model.input_contract
    published.head.load_state_dict(model.head.state_dict())
    before, after = (evaluate(net, data.val, LOADER, with_features=True) for net in (published, model))
    scale = abs(before.features).max()
    assert abs(before.features - after.features).max() / scale < UNFOLDED_FEATURES
    # In training mode the network now starts near the evaluated one; folded, it would be another function.
    x = torch.randn(16, 3, 128, 128).clamp(-1, 1)
    distance = {}
    for name, net in (("folded", published), ("unfolded", model)):
        with torch.no_grad():
            quiet = net.eval().forward_head(net.forward_features(x), pre_logits=True)
            loud = net.train().forward_head(net.forward_features(x), pre_logits=True)
        distance[name] = ((loud - quiet).norm() / quiet.norm()).item()
    assert distance["unfolded"] < distance["folded"]
    keep = replace(config, recipe=replace(config.recipe, regularisation=RegularisationConfig(unfold_batch_norm=False)))
    left, _ = starting_model(keep, data.train, LOADER)
    assert not next(m for m in left.modules() if isinstance(m, nn.BatchNorm2d)).running_mean.any()


def test_a_network_saved_before_its_training_is_not_taken_for_folded(data: FolderData, tmp_path: Path) -> None:
    """Inception V3 has no gamma, so that unfolding it would even be refused."""
    save_model(build_model("inception_v3", 3, width=0.1), tmp_path / "fresh")
    config = small_config(tmp_path / "run", data.train.root.parent)
    config = replace(config, model=ModelConfig("inception_v3", {"width": 0.1}, str(tmp_path / "fresh"), (75, 75)))
    assert config.recipe.regularisation.unfold_batch_norm
    model, sentence = starting_model(config, data.train, LOADER)
    assert sentence == f"Starting inception_v3 from {tmp_path / 'fresh'}."
    assert all((m.running_var == 1).all() for m in model.modules() if isinstance(m, nn.BatchNorm2d))


def test_wrong_labels_are_listed_most_likely_first(tmp_path: Path) -> None:
    root = write_pictures(tmp_path / "data")
    swapped = {"train/dark/3.jpg", "train/light/4.png"}
    a, b = (root / name for name in sorted(swapped))
    a.rename(root / "train" / "light" / "from_dark.jpg")
    b.rename(root / "train" / "dark" / "from_light.png")
    config = small_config(tmp_path / "run", root, epochs=2, threads=1)
    train(replace(config, machine=MachineConfig()), read_folder(root))
    with (tmp_path / "run" / "suspects.csv").open(newline="") as handle:
        rows = list(csv.DictReader(handle))
    assert {row["path"] for row in rows[:2]} == {"train/light/from_dark.jpg", "train/dark/from_light.png"}
    assert {(row["label"], row["suggested"]) for row in rows[:2]} == {("light", "dark"), ("dark", "light")}
    # What comes out can be fed back.
    corrected = read_folder(root, labels_csv=tmp_path / "run" / "suspects.csv")
    assert len(corrected.train) == 48
