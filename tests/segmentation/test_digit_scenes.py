"""The demo's folder of scenes: complete or not there, the same bytes every time, read like anybody's."""

from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from separable.data.random import Key
from separable.data.scenes import SCENES, draw_scene
from separable.errors import MissingExtraError, OutputError
from separable.segmentation import digit_scenes
from separable.segmentation.digit_scenes import CLASSES, scene_sources, write_digit_scenes
from separable.segmentation.pairs import read_pairs
from separable.segmentation.palette import class_colours


@pytest.fixture(scope="module")
def scenes(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_digit_scenes(tmp_path_factory.mktemp("demo") / "scenes", train=8, val=3)


def contents(folder: Path) -> dict[str, bytes]:
    return {path.relative_to(folder).as_posix(): path.read_bytes() for path in folder.rglob("*") if path.is_file()}


def test_the_folder_is_read_like_anybodys(scenes: Path) -> None:
    data = read_pairs(scenes)
    assert (len(data.train), len(data.val), data.class_names, data.notes) == (8, 3, CLASSES, ())
    for part, pairs in enumerate((data.train, data.val)):
        source = scene_sources()["train" if part == 0 else "val"]
        for number in range(len(pairs)):
            picture, mask = pairs.read(number)
            scene = draw_scene(source, Key(0, part, number))
            np.testing.assert_array_equal(picture, scene.picture)
            np.testing.assert_array_equal(mask, scene.mask)


def test_masks_show_their_classes_in_any_viewer(scenes: Path) -> None:
    with Image.open(scenes / "train" / "masks" / "0000.png") as opened:
        assert (opened.mode, opened.size) == ("P", (SCENES.side, SCENES.side))
        stored, shown = np.asarray(opened), np.asarray(opened.convert("RGB"))
    np.testing.assert_array_equal(shown, np.array(class_colours(len(CLASSES)), np.uint8)[stored])


def test_two_folders_have_the_same_bytes_however_many_scenes(scenes: Path, tmp_path: Path) -> None:
    fewer = contents(write_digit_scenes(tmp_path / "fewer", train=5, val=2))
    more = contents(scenes)
    assert len(more) == 2 * (8 + 3) + 2
    assert fewer.items() <= more.items()
    other = contents(write_digit_scenes(tmp_path / "other", train=5, val=2, seed=1))
    assert not {name for name in other if name.endswith(".png") and "images" in name and other[name] == more[name]}


def test_training_and_held_out_scenes_share_nothing() -> None:
    sources = scene_sources()
    train, val = ({scan.tobytes() for scan in sources[part].digits} for part in ("train", "val"))
    assert len(train) > 600
    assert len(val) > 150
    assert not train & val
    for source in sources.values():
        assert {*source.labels} == {0, 1, 2, 3, 4}
    for one, other in zip(sources["train"].photographs, sources["val"].photographs, strict=True):
        assert one.shape[1] + other.shape[1] == 640
        columns = {one[:, column].tobytes() for column in range(one.shape[1])}
        assert not columns & {other[:, column].tobytes() for column in range(other.shape[1])}


def test_scenes_are_written_once_and_nothing_is_overwritten(scenes: Path, tmp_path: Path) -> None:
    before = {path: path.stat().st_mtime_ns for path in scenes.rglob("*")}
    assert write_digit_scenes(scenes, train=8, val=3) == scenes
    assert {path: path.stat().st_mtime_ns for path in scenes.rglob("*")} == before
    with pytest.raises(OutputError, match="does not hold the 9 and 3 scenes of the demo"):
        write_digit_scenes(scenes, train=9, val=3)
    (tmp_path / "mine").mkdir()
    (tmp_path / "mine" / "thesis.txt").write_text("years of work")
    with pytest.raises(OutputError, match="Move it away"):
        write_digit_scenes(tmp_path / "mine", train=1, val=1)
    (tmp_path / "file").touch()
    with pytest.raises(OutputError, match="Cannot write"):
        write_digit_scenes(tmp_path / "file" / "scenes", train=1, val=1)
    assert sorted(path.name for path in tmp_path.rglob("*")) == ["file", "mine", "thesis.txt"]


def test_what_is_stopped_leaves_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def stop(*_: object) -> str:
        raise KeyboardInterrupt

    monkeypatch.setattr(digit_scenes, "classes_text", stop)
    with pytest.raises(KeyboardInterrupt):
        write_digit_scenes(tmp_path / "scenes", train=1, val=1)
    assert not list(tmp_path.iterdir())


def test_a_missing_extra_names_its_command(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(__import__("sys").modules, "sklearn.datasets", None)
    with pytest.raises(MissingExtraError, match=r'pip install "separable\[demo\]"'):
        write_digit_scenes(tmp_path / "scenes", train=1, val=1)
    assert not list(tmp_path.iterdir())
