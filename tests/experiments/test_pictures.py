"""What small scales train on: drawn pictures, told apart by their pixels, and anybody's."""

import csv
import json
import shutil
import subprocess
import sys
import threading
import time
from collections import Counter
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from separable.data.digits import load_digits
from separable.data.folder import read_folder
from separable.data.manifest import read_manifest
from separable.data.random import Key
from separable.data.scenes import SceneSource, draw_scene
from separable.errors import DataFolderError, OutputError, UsageError
from separable.experiments.pictures import Drawing, draw
from separable.experiments.sources import Source, open_source, prepare, tuning_part
from separable.segmentation.digit_scenes import scene_sources
from separable.segmentation.pairs import read_pairs
from tests.cli.conftest import write_pictures
from tests.experiments.tiny import SETUP, tiny

pytest.importorskip("sklearn")


def test_digits(tmp_path: Path) -> None:
    first = draw(Drawing("digits", 32, 40, 20), tmp_path / "digits")
    data = read_folder(tmp_path / "digits")
    assert (len(data.train), len(data.val)) == (40, 20)
    assert data.class_names == tuple("0123456789")
    assert set(Counter(data.train.labels.tolist()).values()) == {4}
    with Image.open(data.train.root / data.train.paths[0]) as picture:
        assert picture.size == (32, 32)
    again = draw(Drawing("digits", 32, 40, 20), tmp_path / "again")
    assert first == again == draw(Drawing("digits", 32, 40, 20), tmp_path / "digits")


_SLOWLY = """
import sys, time
from pathlib import Path
from separable.experiments.pictures import Drawing, draw
home = Path(sys.argv[1])
def wait(done, total):
    (home / "drawing").touch()
    while not (home / "go on").exists():
        time.sleep(0.02)
print(draw(Drawing("digits", 32, 10, 10), home / "pictures" / "digits", wait))
"""


def test_two_processes_draw_them_once(tmp_path: Path) -> None:
    """The second waits, and takes what the first has drawn; one that dies is not waited for."""
    command = [sys.executable, "-c", _SLOWLY, str(tmp_path)]
    dead = subprocess.Popen(command, stdout=subprocess.PIPE, text=True)
    _wait_for(tmp_path / "drawing")
    dead.kill()
    dead.communicate()
    (tmp_path / "drawing").unlink()
    process = subprocess.Popen(command, stdout=subprocess.PIPE, text=True)
    _wait_for(tmp_path / "drawing")
    drawn: list[int] = []
    found: list[str] = []

    def second() -> None:
        drawing = Drawing("digits", 32, 10, 10)
        found.append(draw(drawing, tmp_path / "pictures" / "digits", lambda done, total: drawn.append(done)))

    thread = threading.Thread(target=second)
    thread.start()
    thread.join(0.5)
    assert thread.is_alive()
    (tmp_path / "go on").touch()
    said, _ = process.communicate()
    thread.join()
    assert process.returncode == 0
    assert found == [said.strip()]
    assert drawn == []


def _wait_for(path: Path) -> None:
    until = time.monotonic() + 120
    while not path.exists():
        assert time.monotonic() < until
        time.sleep(0.02)


def test_drawn_pictures_vary_in_shape_alone(tmp_path: Path) -> None:
    """Colours and bright backgrounds kept narrow networks at chance for half of their steps."""
    for kind in ("digits", "mirrored"):
        draw(Drawing(kind, 40, 40, 20), tmp_path / kind)
        paths = sorted((tmp_path / kind).glob("train/*/*.png"))
        pixels = np.stack([np.asarray(Image.open(path), np.float64) for path in paths])
        assert np.abs(pixels - pixels.mean(axis=-1, keepdims=True)).mean() < 6  # but for the grain
        darkest, lightest = np.percentile(pixels.mean(axis=-1), (50, 99), axis=(1, 2))
        assert (lightest - darkest > 120).all()


def test_every_second_digit_of_a_kind_is_mirrored(tmp_path: Path) -> None:
    """Held-out pictures, too: a mirrored digit is as much of its class as the digit."""
    drawing = Drawing("mirrored", 40, 40, 40)
    assert draw(drawing, tmp_path / "mirrored") == draw(drawing, tmp_path / "again")
    source = scene_sources(10)["val"]
    for sample in (3, 13, 23):
        kind = SceneSource(source.digits[source.labels == 3], source.labels[source.labels == 3], source.photographs)
        plain = draw_scene(kind, Key(0, 1, sample), drawing.style).picture
        found = np.asarray(Image.open(tmp_path / f"mirrored/val/3/{sample:05d}.png"))
        np.testing.assert_array_equal(found, plain[:, ::-1] if sample == 13 else plain)


def test_tags(tmp_path: Path) -> None:
    draw(Drawing("tags", 48, 300, 20), tmp_path / "tags")
    data = read_manifest(tmp_path / "tags")
    assert (len(data.train), len(data.val)) == (300, 20)
    assert set(np.diff(data.train.offsets)) == {1, 2, 3}
    common, rare = data.train.counts()[:3].sum(), data.train.counts()[-3:].sum()
    assert common > 1.3 * rare


def test_scenes(tmp_path: Path) -> None:
    draw(Drawing("scenes", 64, 6, 4), tmp_path / "scenes")
    data = read_pairs(tmp_path / "scenes")
    assert (len(data.train), len(data.val), len(data.class_names)) == (6, 4, 6)
    picture, mask = data.train.read(0)
    assert picture.shape == (64, 64, 3)
    assert mask.max() > 0


@pytest.mark.parametrize("side", [32, 40])
def test_every_scan_fits(side: int, monkeypatch: pytest.MonkeyPatch) -> None:
    """The largest of every tenth scan, turned and sheared as far as it goes, is on the picture."""
    images, labels = load_digits()
    photograph = np.full((200, 200, 3), 90, np.uint8)
    style = Drawing("digits", side, 2, 2).style
    for turn in (0.0, 1 - 1e-9):
        for shear in (0.0, 1 - 1e-9):
            monkeypatch.setattr(
                "separable.data.scenes.uniforms",
                lambda key, purpose, count, extreme=(1 - 1e-9, turn, shear): [*extreme, *[0.5] * count][:count],
            )
            for scan, label in zip(images[::10], labels[::10], strict=True):
                source = SceneSource(scan[None], np.array([label]), (photograph,))
                assert draw_scene(source, Key(0, 0, 0), style).digits == (0,)


def test_a_changed_picture_is_found_out(tmp_path: Path) -> None:
    drawing = Drawing("digits", 32, 20, 20)
    draw(drawing, tmp_path / "digits")
    path = next((tmp_path / "digits").glob("train/*/*.png"))
    with Image.open(path) as picture:
        pixels = np.asarray(picture).copy()
    pixels[3, 4, 0] ^= 1
    Image.fromarray(pixels).save(path)
    with pytest.raises(OutputError, match="does not hold the 20 and 20 pictures drawn for this"):
        draw(drawing, tmp_path / "digits")
    with pytest.raises(OutputError, match="does not hold the 40 and 20 pictures"):
        draw(Drawing("digits", 32, 40, 20), tmp_path / "digits")
    with pytest.raises(UsageError, match="cannot be drawn"):
        draw(Drawing("cats", 32, 20, 20), tmp_path / "cats")


@pytest.fixture
def colours(tmp_path: Path) -> Path:
    for name, hue in (("blue", 0.6), ("red", 0.0)):
        for part, count in (("train", 10), ("val", 5)):
            write_pictures(tmp_path / "colours" / part / name, count, hue, side=32)
    return tmp_path / "colours"


def source_of(folder: Path, home: Path, **changes: Any) -> Source:
    return prepare(tiny(**changes), SETUP, home, folder)


def test_somebody_s_pictures(colours: Path, tmp_path: Path) -> None:
    source = source_of(colours, tmp_path)
    assert (source.train, source.held_out, source.class_names) == (20, 10, ("blue", "red"))
    assert not source.drawn
    shutil.copytree(colours, tmp_path / "copied")
    assert source_of(tmp_path / "copied", tmp_path).fingerprint == source.fingerprint
    assert len(open_source(source).train) == 20


@pytest.mark.parametrize("change", ["another picture", "another label", "other bytes"])
def test_changed_pictures_are_other_pictures(colours: Path, tmp_path: Path, change: str) -> None:
    source = source_of(colours, tmp_path)
    path = colours / "train/red/3.png"
    if change == "another picture":
        shutil.copy(path, colours / "train/red/100.png")
    elif change == "another label":
        path.rename(colours / "train/blue/300.png")
    else:
        path.write_bytes(path.read_bytes()[:-1] + b"!")
    assert source_of(colours, tmp_path).fingerprint != source.fingerprint
    with pytest.raises(DataFolderError, match="have changed since the comparison began"):
        open_source(source)


def test_weights_of_classes_belong_to_the_pictures(tmp_path: Path) -> None:
    draw(Drawing("tags", 32, 20, 20), tmp_path / "tags")
    before = source_of(tmp_path / "tags", tmp_path, task="tag").fingerprint
    with (tmp_path / "tags/class_weights.csv").open("w", newline="") as handle:
        csv.writer(handle).writerows([("name", "weight"), *((str(one), 1 + one) for one in range(10))])
    assert source_of(tmp_path / "tags", tmp_path, task="tag").fingerprint != before


@pytest.mark.parametrize("task", ["classify", "tag", "segment"])
def test_learning_rates_are_tried_without_the_held_out_pictures(tmp_path: Path, task: Any) -> None:
    kind = {"classify": "digits", "tag": "tags", "segment": "scenes"}[task]
    draw(Drawing(kind, 32, 60, 20), tmp_path / kind)
    data = open_source(source_of(tmp_path / kind, tmp_path, task=task))
    part = tuning_part(data)
    assert (len(part.train), len(part.val)) == ((50, 10) if task == "classify" else (48, 12))
    assert {*part.train.paths, *part.val.paths} == set(data.train.paths)
    assert not {*part.train.paths} & {*part.val.paths}
    assert part.val.root == data.train.root


def test_credit_is_given(tmp_path: Path) -> None:
    draw(Drawing("digits", 32, 20, 20), tmp_path / "digits")
    assert "Creative Commons" in (tmp_path / "digits/CREDIT.txt").read_text()
    assert json.loads((tmp_path / "digits/drawn.json").read_text())["version"] == 2
