"""What a mask means and holds belongs to a run: a resume finds out, and so do the run's own figures."""

import json
import shutil
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

from separable.cli.measuring import measuring_for
from separable.errors import CheckpointError
from separable.segmentation.pairs import read_pairs
from separable.segmentation.same_masks import masks_changed
from separable.segmentation.task import SegmentTask
from separable.training.loop import train
from separable.training.own_set import changed_since
from tests.segmentation.trainable import segment_config, write_training_pairs
from tests.training.recorded import Recorder

SWAPPED = "classes: [{name: ground, value: 0}, {name: red, value: 2}, {name: blue, value: 1}]\nignore: [255]\n"


@pytest.fixture(scope="module")
def begun(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """`data` and a `run` that was stopped after its first step."""
    base = tmp_path_factory.mktemp("same")
    root = write_training_pairs(base / "data", train=10, val=3)
    threads, said = torch.get_num_threads(), Recorder(stop_after=1)
    assert train(_config(base), read_pairs(root), task=SegmentTask(), display=said, stop=said.stop).interrupted
    torch.set_num_threads(threads)
    return base


@pytest.fixture
def place(begun: Path, tmp_path: Path) -> Iterator[Path]:
    threads = torch.get_num_threads()
    shutil.copytree(begun, tmp_path / "copy")
    yield tmp_path / "copy"
    torch.set_num_threads(threads)


def _config(base: Path):  # type: ignore[no-untyped-def]
    config = segment_config(base / "run", base / "data", epochs=1)
    recipe = replace(config.recipe, class_weights="none")
    return replace(config, recipe=recipe, data=replace(config.data, max_bad=0.9))


def _resume(base: Path) -> None:
    train(_config(base), read_pairs(base / "data"), task=SegmentTask(), resume=True)


def _relabel(mask: Path) -> None:
    stored = np.array(Image.open(mask))
    Image.fromarray(np.where(stored == 1, 2, np.where(stored == 2, 1, stored)).astype(np.uint8)).save(mask)


def test_other_meanings_of_the_values_are_another_training(place: Path) -> None:
    (place / "data/classes.yaml").write_text(SWAPPED)
    with pytest.raises(CheckpointError, match=r"training pictures\.values\.1: 'red', not 'blue'"):
        _resume(place)


@pytest.mark.parametrize("part", ["train", "val"])
def test_other_contents_of_a_mask_are_another_training(place: Path, part: str) -> None:
    _relabel(place / f"data/{part}/masks/{'05' if part == 'train' else '01'}.png")
    named = "train/images/05.jpg" if part == "train" else "val/images/01.jpg"
    with pytest.raises(CheckpointError, match=rf"began with other masks\. Got: others by now for {named}\."):
        _resume(place)


def test_a_faulty_mask_may_be_mended_and_one_that_breaks_is_set_aside(place: Path) -> None:
    good = place / "data/train/masks/04.png"
    shutil.copy(good, place / "data/train/masks/01.png")
    good.write_bytes(b"broken since")
    _resume(place)
    kept = json.loads((place / "run/masks.json").read_text())["train"]
    assert kept["images/01.jpg" if "images/01.jpg" in kept else "01.jpg"]
    assert "train/images/04.png" in (place / "run/quarantine.csv").read_text()


def _swapped(base: Path) -> None:
    (base / "data/classes.yaml").write_text(SWAPPED)


def _relabelled(base: Path) -> None:
    for mask in (base / "data/val/masks").iterdir():
        _relabel(mask)


@pytest.mark.parametrize(
    ("change", "said"),
    [
        (
            _swapped,
            "the same pictures, but values in masks mean other classes: 1 red then, blue now, 2 blue then, red now",
        ),
        (_relabelled, "the same pictures, but other masks of 00.png, 01.jpg, 02.png"),
        (lambda base: (base / "data/val/masks/02.png").write_bytes(b"no picture"), None),
        (lambda base: _relabel(base / "data/train/masks/05.png"), None),
    ],
)
def test_a_run_s_own_figures_are_of_its_own_masks(
    place: Path, change: Callable[[Path], None], said: str | None
) -> None:
    measuring = measuring_for("segment", "none")
    assert measuring.changed(place / "run", read_pairs(place / "data").val) is None
    change(place)
    assert measuring.changed(place / "run", read_pairs(place / "data").val) == said


def test_ignored_values_are_part_of_what_a_mask_means(place: Path) -> None:
    text = (place / "data/classes.yaml").read_text()
    (place / "data/classes.yaml").write_text(text.replace("255", "255, 7"))
    val = read_pairs(place / "data").val
    assert changed_since(place / "run", val, val.paths) == (
        "the same pictures, but values in masks mean other classes: 7 nothing then, ignored now"
    )


def test_without_its_checkpoints_a_run_still_knows_its_masks(place: Path) -> None:
    shutil.rmtree(place / "run/checkpoints")
    val = read_pairs(place / "data").val
    assert masks_changed(place / "run", "val", val) == ()
    _relabel(place / "data/val/masks/01.png")
    assert masks_changed(place / "run", "val", read_pairs(place / "data").val) == ("01.jpg",)
    (place / "run/masks.json").write_text("[]")
    assert masks_changed(place / "run", "val", val) == ()


def test_outlines_are_compared_picture_by_picture(tmp_path: Path) -> None:
    def written(right: int) -> Path:
        images, notes = [], []
        for number in (1, 2):
            Image.new("RGB", (20, 16)).save(tmp_path / f"{number}.png")
            images.append({"id": number, "file_name": f"{number}.png", "height": 16, "width": 20})
            outline = [[2, 2, right if number == 2 else 9, 2, 9, 9, 2, 9]]
            notes.append({"id": number, "image_id": number, "category_id": 4, "segmentation": outline, "iscrowd": 0})
        document = {"images": images, "annotations": notes, "categories": [{"id": 4, "name": "cat"}]}
        (tmp_path / "instances.json").write_text(json.dumps(document))
        return tmp_path / "instances.json"

    before, after = (
        {**one.train.mask_digests, **one.val.mask_digests} for one in (read_pairs(written(9)), read_pairs(written(12)))
    )
    assert [path for path in sorted(before) if before[path] != after[path]] == ["2.png"]
    assert all(before.values())
