"""Outlines of predicted masks, as COCO's annotations and as GeoJSON: they are the masks."""

import json
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from separable.cli import predict_files
from separable.segmentation.coco import read_coco
from tests.cli.conftest import Cli
from tests.cli.masks import indices, write_pictures
from tests.runtime.made import NAMES, mask_run


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return mask_run(tmp_path_factory.mktemp("masks") / "run")


@pytest.fixture
def pictures(tmp_path: Path) -> Path:
    return write_pictures(tmp_path / "pictures")


def crossings(rings: list[list[list[float]]], size: tuple[int, int]) -> np.ndarray:
    """Even-odd at pixel centres, counting the edges left of each: nothing of the package's own."""
    inside = np.zeros(size, bool)
    x, y = np.arange(size[1]) + 0.5, np.arange(size[0]) + 0.5
    for ring in rings:
        for (ax, ay), (bx, by) in pairwise(ring):
            assert ax == bx or ay == by, "pixel edges"
            inside ^= ((y > min(ay, by)) & (y < max(ay, by)))[:, None] & (x > ax)
    return inside


def unrolled(segmentation: Any, size: tuple[int, int]) -> np.ndarray:
    if isinstance(segmentation, list):
        flat = segmentation[0]
        ring = [[flat[k], flat[k + 1]] for k in range(0, len(flat), 2)]
        return crossings([[*ring, ring[0]]], size)
    counts, number, shift = [], 0, 0  # the COCO API's string, after its own C code
    for character in segmentation["counts"]:
        value = ord(character) - 48
        number |= (value & 31) << shift
        shift += 5
        if not value & 32:
            number -= (1 << shift) if value & 16 else 0
            counts.append(number + (counts[-2] if len(counts) > 2 else 0))
            number = shift = 0
    flags = np.concatenate([np.full(count, place % 2 == 1) for place, count in enumerate(counts)])
    return flags.reshape(size[::-1]).T


def test_outlines_are_the_masks(cli: Cli, run: Path, pictures: Path) -> None:
    arguments = ("predict", run, pictures, "--tile", "16", "--out", "masks", "--outlines")
    assert "outlines in o.geojson" in cli(*arguments, "o.geojson").err
    assert cli(*arguments, "new/o.json").code == 0
    shapes = json.loads(Path("o.geojson").read_text())
    coco = json.loads(Path("new/o.json").read_text())
    assert [one["file_name"] for one in coco["images"]] == ["a.jpg", "a.png", "sub/a.bmp"]
    assert coco["categories"] == [{"id": 1, "name": "cat"}, {"id": 2, "name": "dog"}]
    assert len({one["id"] for one in coco["annotations"]}) == len(coco["annotations"]) > 3
    assert any(isinstance(one["segmentation"], dict) for one in coco["annotations"]), "with a hole"
    for image, name in zip(coco["images"], ("a.jpg.png", "a.png.png", "sub/a.png"), strict=True):
        mask = indices(Path("masks", name))
        size = (image["height"], image["width"])
        assert mask.shape == size
        drawn, painted = np.zeros(size, int), np.zeros(size, int)
        for one in coco["annotations"]:
            if one["image_id"] == image["id"]:
                drawn += one["category_id"] * unrolled(one["segmentation"], size)
        for one in shapes["features"]:
            if one["properties"]["picture"] == image["file_name"]:
                part = crossings(one["geometry"]["coordinates"], size)
                assert part.sum() == one["properties"]["pixels"]
                assert one["properties"]["class"] == NAMES[one["properties"]["index"]]
                painted += one["properties"]["index"] * part
        assert np.array_equal(drawn, mask)
        assert np.array_equal(painted, mask)
    pairs, _ = read_coco("new/o.json", pictures)
    assert pairs.class_names == NAMES


def test_outlines_that_cannot_be(cli: Cli, run: Path, pictures: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(predict_files, "_MOST_PIXELS", 40 * 52 - 1)
    monkeypatch.setattr(predict_files, "_MOST_EDGES", 0)
    lines = cli("predict", run, pictures, "--out", "masks", "--outlines", "o.json").out.splitlines()
    assert "error: too ragged for outlines: " in lines[0]
    assert lines[1].endswith("error: too large for outlines: 52x40 pixels; leave --outlines out")
    assert json.loads(Path("o.json").read_text())["annotations"] == []
    cli("predict", run, pictures, "--out", "plain", "--overlay", "shown")
    told = json.loads(
        cli("predict", run, pictures, "--out", "masks", "--overlay", "over", "--outlines", "o.json", "--json").out
    )["answers"]
    assert all("for outlines" in one["error"] and Path(one["mask"]).is_file() for one in told if one["size"])
    assert sum(bool(one["size"]) for one in told) == 3, "masks and overlays are there all the same"
    for one, other in (("masks", "plain"), ("over", "shown")):
        found, wanted = (sorted(path for path in Path(name).rglob("*.png")) for name in (one, other))
        assert [path.read_bytes() for path in found] == [path.read_bytes() for path in wanted] != []
    alone = json.loads(cli("predict", run, pictures, "--outlines", "o.json", "--json").out)["answers"]
    assert [bool(one["shares"]) for one in alone].count(True) == 2, "nothing but outlines: too large is not predicted"


def test_a_reader_that_goes_away_is_no_trouble_of_the_file(tmp_path: Path) -> None:
    with pytest.raises(BrokenPipeError), predict_files.outline_file(tmp_path / "o.json", NAMES):
        raise BrokenPipeError
    assert list(tmp_path.iterdir()) == []
