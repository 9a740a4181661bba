"""`train`, `check` and `evaluate` on pictures with masks, as a user has them."""

import csv
import json
import shutil
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from separable.cli import main
from separable.data.loader import LoaderConfig
from separable.segmentation.evaluate import evaluate_masks
from separable.segmentation.pairs import read_pairs
from separable.training.config import TrainConfig
from separable.weights import load_model
from tests.cli.conftest import Cli
from tests.segmentation.made import write_pairs
from tests.segmentation.test_folders import write_coco

NARROW = ("--width", "0.25", "--option", "depth=2", "--image-size", "32", "--weights", "none")
QUICK = (*NARROW, "--batch", "6", "--epochs", "2", "--workers", "0", "--precision", "fp32")


@pytest.fixture(scope="session")
def masked(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_pairs(tmp_path_factory.mktemp("data") / "blobs", 16, size=(40, 36))


@pytest.fixture(scope="session")
def segmented(masked: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A finished run; tests that change it copy it first."""
    run = tmp_path_factory.mktemp("segmented") / "run"
    with pytest.raises(SystemExit) as exited:
        main(["train", str(masked), "--run", str(run), *QUICK, "--class-weights", "balanced"])
    assert exited.value.code == 0
    return run


def document(text: str) -> Any:
    return json.loads(text)


def test_one_command_from_masks_to_a_report(cli: Cli, masked: Path) -> None:
    said = cli("train", masked, *QUICK)
    assert said.code == 0, said.err
    assert "16 pictures with masks of 2 classes (0, 1): 13 to train on, 3 held out.\n" in said.out
    assert "Read in the masks: 0 is 0, 1 is 1." in said.out
    assert "Recipe segment; everything goes to runs/blobs." in said.out
    assert "mean IoU" in said.err, "the epochs' lines"
    run = Path("runs/blobs")
    stored = document((run / "evaluation.json").read_text())
    assert f": mean IoU {100 * stored['miou']:.1f} % on the 3 held-out pictures, " in said.out
    assert f"{100 * stored['pixel_accuracy']:.1f} % of their pixels right.\n" in said.out
    assert "  look at it    runs/blobs/report.html\n" in said.out
    assert "  use it        separable predict runs/blobs PICTURES...\n" in said.out
    assert "IoU" in (run / "report.html").read_text()
    assert document((run / "check.json").read_text())["classes"][0]["name"] == "0"
    config = TrainConfig.from_yaml(run / "config.yaml")
    assert (config.task, config.model.name, config.recipe.name, config.batch_size) == (
        "segment",
        "unet_xception",
        "segment",
        6,
    )
    again = cli("train", masked, *QUICK, "--resume", "--json")
    assert again.code == 0, again.err
    assert "after step 4 of 4" in again.err
    assert document(again.out)["metrics"]["val_miou"] == stored["miou"]


def test_options_reach_the_configuration(cli: Cli, masked: Path) -> None:
    loss = "cross_entropy + 0.5 dice"
    options = ("--loss", loss, "--class-weights", "balanced", "--val-fraction", "0.5")
    told = document(cli("train", masked, *QUICK, *options, "--dry-run", "--json").out)
    recipe = told["config"]["recipe"]
    assert (recipe["loss"], recipe["class_weights"]) == (loss, "balanced")
    assert told["config"]["data"]["val_fraction"] == 0.5
    assert told["config"]["task"] == "segment"
    assert told["estimate"]["input_size"] == [32, 32]


def test_weights_of_an_earlier_run(cli: Cli, masked: Path, segmented: Path) -> None:
    weights = segmented / "model" / "model.safetensors"
    arguments = [word if word != "none" else str(weights) for word in QUICK]
    said = cli("train", masked, *arguments, "--run", "second", "--epochs", "1", "--no-check")
    assert said.code == 0, said.err
    assert f"Starting unet_xception from {weights}." in said.err


def test_a_network_with_an_encoder_starts_from_its_published_weights(
    cli: Cli, masked: Path, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    from separable import download

    asked = []

    def fetch(url: str, sha256: str, **_: object) -> Path:
        asked.append(url.rsplit("/", 1)[-1])
        return tmp_path

    monkeypatch.setattr(download, "fetch", fetch)
    from separable.cli.settings import Wishes, configure
    from separable.cli.starting import starting_weights

    wishes = Wishes("unet", {"encoder": "xception", "dropout": 0.1}, task="segment", device="cpu", precision="fp32")
    assert starting_weights(wishes, None) == ("keras", None)
    assert len(asked) == 1
    data = read_pairs(masked)
    config = configure(wishes, Path("r"), masked, data, "keras", None)
    assert (config.model.weights, config.model.encoder_weights) == (None, "keras")
    again, why = starting_weights(wishes, config)
    assert (configure(wishes, Path("r"), masked, data, again, config), why) == (config, None), "a resume is the same"
    for found in ("keras", None):
        own = replace(wishes, settings={"model.encoder_weights": "enc.safetensors"})
        first = configure(own, Path("r"), masked, data, found, None)
        assert (first.model.weights, first.model.encoder_weights) == (None, "enc.safetensors")
        assert configure(own, Path("r"), masked, data, starting_weights(own, first)[0], first) == first
    narrow = Wishes("unet", {"encoder": "xception", "width": 0.5}, task="segment")
    assert starting_weights(narrow, None) == (
        None,
        "No weights are published for xception, the encoder of unet, with these options.",
    )
    assert starting_weights(Wishes("unet_xception", task="segment"), None) == (
        None,
        "No weights are published for unet_xception.",
    )


def test_coco_from_end_to_end(cli: Cli, tmp_path: Path) -> None:
    source = write_coco(tmp_path / "set/annotations.json", tmp_path / "set/images", 8)
    said = cli("train", source, *QUICK, "--epochs", "1")
    assert said.code == 0, said.err
    assert "8 pictures with masks of 2 classes (background, cat): 6 to train on, 2 held out.\n" in said.out
    assert Path("runs/set/report.html").exists()
    assert "2 pictures: mean IoU" in cli("evaluate", "runs/set").out


def test_check_tells_of_both_sides(cli: Cli, tmp_path: Path) -> None:
    data = write_pairs(tmp_path / "spoilt", 6)
    (data / "images/000.jpg").write_bytes(b"")
    Image.new("L", (9, 9)).save(data / "masks/001.png")
    Image.new("L", (30, 24), 77).save(data / "masks/002.png")
    (data / "masks/003.png").unlink()
    (data / "classes.yaml").write_text("classes: [{name: sky, value: 0}, {name: cat, value: 1}]")
    said = cli("check", data)
    assert said.code == 1
    for words in (
        "ERROR  1 picture of 5 cannot be read (20 %).",
        "ERROR  2 pairs of 5 (40 %) cannot be used for their masks.",
        "images/001.jpg (its mask 001.png: 9x9 pixels, the picture has 30x24)",
        "images/002.jpg (its mask 002.png: values that no class has: 77, in 720 pixels)",
        "WARNING  1 file: picture without a mask.",
        "Training on these pictures would mislead: ",
        "Written to runs/checks/spoilt: check.json, check.csv.",
    ):
        assert words in said.out, words
    assert document(cli("check", data, "--json", "--workers", "2").out)["misleading"] is True


def test_train_looks_at_every_pair_first(cli: Cli, tmp_path: Path) -> None:
    data = write_pairs(tmp_path / "askew", 12, size=(40, 36))
    Image.new("L", (9, 9)).save(data / "masks/001.png")
    (data / "classes.yaml").write_text("classes: [{name: sky, value: 0}, {name: cat, value: 1}]")
    mask = np.array(Image.open(data / "masks/002.png"))
    mask[:20] = 255
    Image.fromarray(mask).save(data / "masks/002.png")
    said = cli("train", data, *QUICK, "--epochs", "1", "--batch", "5", "--max-bad", "0.2")
    assert said.code == 0, said.err
    assert "4.5 % of the masks' pixels are ignored (255 by default, as nobody wrote `ignore:`): they teach" in said.out
    assert "error: 1 pair of 12 (8.3 %) cannot be used for its mask.\n" in said.out
    assert f"Training on this may mislead; see `separable check {data}`.\n" in said.out
    assert "its mask 001.png: 9x9 pixels" in Path("runs/askew/quarantine.csv").read_text()


def test_evaluate_renews_its_own_figures_and_protects_them(cli: Cli, masked: Path, segmented: Path) -> None:
    shutil.copytree(segmented, "run")
    before = document(Path("run/evaluation.json").read_text())
    Path("run/evaluation.json").unlink()
    said = cli("evaluate", "run")
    assert said.code == 0, said.err
    assert "Written to run: evaluation.json, pictures.csv." in said.out
    after = document(Path("run/evaluation.json").read_text())
    assert after == before, "the same figures to the bit, the loss with its class weights among them"
    with open("run/pictures.csv", newline="") as handle:
        assert len(list(csv.DictReader(handle))) == 3
    first = said.out.splitlines()[2].split("\t")
    assert first[:2] == ["0", f"{100 * after['per_class'][0]['iou']:.1f} %"]
    flipped = cli("evaluate", "run", "--flips", "horizontal", "--json")
    assert "stay as they are" in flipped.err
    assert document(flipped.out)["out"] == "run/evaluations/val-flips-horizontal"
    assert document(Path("run/evaluation.json").read_text()) == before
    model, pairs = load_model("run/model"), read_pairs(masked).val
    expected = evaluate_masks(model, pairs, LoaderConfig(32), flips=("none", "horizontal"))
    assert document(flipped.out)["confusion"] == expected.counts.confusion.tolist()
    assert expected.counts.confusion.tolist() != before["confusion"]


def test_evaluate_on_changed_and_on_other_pictures(cli: Cli, masked: Path, segmented: Path, tmp_path: Path) -> None:
    moved, run = tmp_path / "moved", tmp_path / "run"
    shutil.copytree(masked, moved)
    shutil.copytree(segmented, run)
    config = (run / "config.yaml").read_text().replace(str(masked), str(moved))
    (run / "config.yaml").write_text(config)
    held_out = read_pairs(moved).val
    (moved / "images" / held_out.paths[0]).unlink()
    said = cli("evaluate", run)
    assert said.code == 0, said.err
    assert "These are not the pictures that the run was measured on (3 pictures as then, but other files" in said.out
    assert f"Written to {run}/evaluations/val-changed: " in said.out
    everything = document(cli("evaluate", run, "--part", "all", "--json").out)
    assert everything["n"] == 15
    assert (run / "evaluations/all/pictures.csv").exists()
    other = write_pairs(tmp_path / "other", 4, size=(40, 36))
    elsewhere = document(cli("evaluate", run, other, "--json").out)
    assert (elsewhere["n"], elsewhere["set"], elsewhere["out"]) == (4, "other", f"{run}/evaluations/other")
    (other / "classes.yaml").write_text("classes: [{name: '1', value: 0}, {name: '0', value: 1}]")
    swapped = document(cli("evaluate", run, other, "--json").out)
    assert np.array_equal(np.array(swapped["confusion"]), np.array(elsewhere["confusion"])[::-1]), "by name"
    (other / "classes.yaml").write_text("classes: [{name: dog, value: 0}, {name: '0', value: 1}]")
    refused = cli("evaluate", run, other)
    assert refused.code == 1
    assert "has classes that the model does not know\n  got       dog\n  expected  some of 0, 1\n" in refused.err
    shutil.rmtree(moved)
    assert "are not where they were" in cli("evaluate", run).err
    assert "Say where with --out" in cli("evaluate", run / "model", masked).err
    assert cli("evaluate", run / "model", masked, "--out", "found").code == 0
