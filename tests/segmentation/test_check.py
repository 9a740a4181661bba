"""The check of pictures with masks: one report on both, the same from any number of processes."""

import json
import multiprocessing
import shutil
from concurrent.futures import ProcessPoolExecutor
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from separable.data import check_processes
from separable.segmentation.check import check_pairs
from separable.segmentation.pairs import read_pairs
from tests.data.killer import install
from tests.data.made import encode
from tests.segmentation.made import write_pairs
from tests.segmentation.test_folders import write_coco


def test_one_report_on_pictures_and_masks(tmp_path: Path) -> None:
    for part in ("train", "val"):
        write_pairs(tmp_path / part, 6, size=(70, 80))
    for k in range(1, 6):  # the first stays a picture of training, and its mask one without 1
        (tmp_path / f"val/images/{k:03d}.jpg").write_bytes(
            encode(np.random.default_rng(k).integers(0, 255, (70, 80, 3), dtype=np.uint8), "PNG")
        )
    (tmp_path / "classes.yaml").write_text("classes: [{name: sky, value: 0}, {name: cat, value: 1}]")
    blank = np.zeros((70, 80), np.uint8)
    blank[:35] = 255
    (tmp_path / "train/masks/000.png").write_bytes(encode(blank, "PNG"))
    (tmp_path / "train/images/left.jpg").write_bytes(b"nothing")
    report = check_pairs(read_pairs(tmp_path))
    found = {problem.kind: problem for problem in report.found}
    assert found["leak"].findings[0].path == "val/images/000.jpg"
    assert found["picture without a mask"].findings[0].path == "train/images/left.jpg"
    assert found["misnamed"].what == "5 files are of another format than the name says."
    assert report.root == tmp_path
    assert [(one.name, one.train, one.val) for one in report.classes] == [("sky", 6, 6), ("cat", 5, 6)]
    masks = [np.asarray(Image.open(tmp_path / f"train/masks/{k:03d}.png")) for k in range(6)]
    assert [one.pixels for one in report.classes] == [sum(int((mask == k).sum()) for mask in masks) for k in (0, 1)]
    share = 35 * 80 / (12 * 70 * 80)
    assert (
        f"{100 * share:.1f} % of the masks' pixels are ignored (255 by default, as nobody wrote `ignore:`): they teach "
        "nothing, and do not count." in report.notes
    )
    text = report.to_text()
    assert "6 pictures to train on, 6 to validate on, 2 classes." in text
    assert "class     train       val  of the pixels" in text
    report.write(tmp_path / "out")
    stored = json.loads((tmp_path / "out/check.json").read_text())
    assert stored["pictures"] == {"train": 6, "val": 6}
    assert set(stored["classes"][0]) == {"name", "train", "val", "pixels"}
    assert stored["sides"]["commonest"] == "80x70"


@pytest.mark.parametrize("kind", ["masks", "coco"])
def test_processes_find_the_same(tmp_path: Path, kind: str) -> None:
    if kind == "masks":
        write_pairs(tmp_path, 22)
        (tmp_path / "images/007.jpg").write_bytes(b"damaged")
        (tmp_path / "masks/009.png").write_bytes(b"damaged")
    else:
        write_coco(tmp_path / "annotations.json", tmp_path / "images", 18)
        (tmp_path / "images/07.jpg").write_bytes(b"damaged")
    data, told = read_pairs(tmp_path), []
    here = check_pairs(data)
    there = check_pairs(data, workers=2, progress=lambda *count: told.append(count))
    assert there.to_json() == here.to_json()
    assert {finding.path for problem in here.problems for finding in problem.findings} >= {
        "images/007.jpg" if kind == "masks" else "07.jpg"
    }
    assert told[0][0] == 16, "a share at a time"
    assert here.classes[0].train == len(data.train) - sum(
        path in data.train.paths for path in ("007.jpg", "009.jpg", "07.jpg")
    )


def test_a_picture_that_kills_its_process_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def pool(workers: int) -> ProcessPoolExecutor:
        return ProcessPoolExecutor(workers, multiprocessing.get_context("spawn"), initializer=kill_in_pairs)

    monkeypatch.setattr(check_processes, "_pool", pool)
    monkeypatch.setattr(check_processes, "_SHARE", 3)
    write_pairs(tmp_path, 5)
    shutil.copy(tmp_path / "images/002.jpg", tmp_path / "images/killer.png")
    shutil.copy(tmp_path / "masks/002.png", tmp_path / "masks/killer.png")
    report = check_pairs(read_pairs(tmp_path), workers=1)
    unreadable = next(problem for problem in report.problems if problem.kind == "unreadable")
    assert [(one.path, one.detail) for one in unreadable.findings] == [("images/killer.png", "crashes the decoder")]


def kill_in_pairs() -> None:
    from separable.data import check_scan
    from separable.segmentation import check

    install()
    check.scan_picture = check_scan.scan_picture
