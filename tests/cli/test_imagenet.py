"""The verbs on ImageNet as it is distributed, made small."""

import json
import shutil
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image

from separable.models import build_model
from separable.weights import load_model, save_model
from tests.cli.conftest import QUICK, Cli
from tests.data.test_imagenet import BLACKLIST, IDS, NAMES, kaggle, official


def document(text: str) -> Any:
    return json.loads(text)


def fill(root: Path) -> Path:
    """A picture for every empty file that is called one."""
    random = np.random.default_rng(0)
    for path in sorted(root.rglob("*.JPEG")):
        Image.fromarray(random.integers(0, 256, (40, 44, 3), np.uint8)).save(path, "JPEG")
    return root


@pytest.fixture(scope="module")
def imagenet(tmp_path_factory: pytest.TempPathFactory) -> Path:
    root = fill(official(tmp_path_factory.mktemp("data")))
    (root / BLACKLIST).write_text("2\n")
    return root


@pytest.fixture
def nameless(tmp_path: Path) -> Path:
    """As published weights are: classes in the order of the WordNet ids, without names."""
    torch.manual_seed(0)
    save_model(build_model("xception", 3, width=0.0625, middle_blocks=0, stem_stride=1), tmp_path / "model")
    return tmp_path / "model"


def test_published_weights_are_evaluated_on_validation_pictures_alone(
    cli: Cli, imagenet: Path, nameless: Path, tmp_path: Path
) -> None:
    root = Path(shutil.copytree(imagenet, tmp_path / "imagenet"))
    shutil.rmtree(root / "train")
    for more in ((), ("--crops", "10")):
        outcome = cli("evaluate", nameless, root, "--out", tmp_path / "out", *more, "--json")
        assert outcome.code == 0, outcome.err
        assert f"1 validation picture left out, as the papers do, by {BLACKLIST}." in outcome.err
        told = document(outcome.out)
        assert (told["n"], told["class_names"]) == (5, list(NAMES))
        assert [row["support"] for row in told["per_class"]] == [1, 2, 2]
    rows = (tmp_path / "out" / "predictions.csv").read_text().splitlines()
    assert rows[1].startswith('ILSVRC2012_val_00000001.JPEG,"n01443537, goldfish",')
    refused = cli("evaluate", nameless, root, "--part", "train", "--out", tmp_path / "out")
    assert f"{root} holds no pictures to train on\n  got       --part train" in refused.err
    assert refused.code == 1


def test_a_network_of_another_number_of_classes(cli: Cli, imagenet: Path, tmp_path: Path) -> None:
    save_model(build_model("xception", 4, width=0.0625, middle_blocks=0, stem_stride=1), tmp_path / "four")
    outcome = cli("evaluate", tmp_path / "four", imagenet, "--out", tmp_path / "out")
    assert outcome.code == 2
    assert "The network has other classes than the pictures\n  got       4 outputs for 3 classes" in outcome.err


def test_train_check_and_evaluate(cli: Cli, imagenet: Path, tmp_path: Path) -> None:
    note = "1 validation picture left out, as the papers do, by ILSVRC2014_clsloc_validation_blacklist.txt."
    trained = cli("train", imagenet, "--run", "runs/small", *QUICK, "--no-check")
    assert trained.code == 0, trained.err
    assert note in trained.out
    assert load_model(tmp_path / "runs/small/model").input_contract.class_names == NAMES
    told = document(cli("evaluate", "runs/small", "--json").out)
    assert (told["n"], told["out"]) == (5, "runs/small")
    checked = cli("check", imagenet).out
    assert "9 pictures to train on, 5 to validate on, 3 classes." in checked
    assert note in checked
    # Folders by WordNet id, such as ImageNet-V2's, are the same classes.
    for wnid in IDS[:2]:
        shutil.copytree(imagenet / "train" / wnid, tmp_path / "v2" / wnid)
    assert document(cli("evaluate", "runs/small", "v2", "--json").out)["n"] == 6


@pytest.mark.parametrize("named", ["", "ILSVRC", "ILSVRC/Data/CLS-LOC"])
def test_kaggles_folder_is_taken_for_classes(cli: Cli, nameless: Path, tmp_path: Path, named: str) -> None:
    fill(kaggle(tmp_path / "kaggle"))
    outcome = cli("evaluate", nameless, tmp_path / "kaggle" / named, "--out", "out", "--json")
    assert outcome.code == 0, outcome.err
    assert document(outcome.out)["n"] == 6
    assert cli("check", tmp_path / "kaggle" / named).code == 0
    dry = cli("train", tmp_path / "kaggle" / named, *QUICK, "--dry-run")
    assert "ImageNet, labelled by LOC_val_solution.csv: 9 training and 6 validation pictures" in dry.out, dry.err
