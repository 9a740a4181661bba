"""What a user types becomes pictures, in a fixed order and without a list in memory."""

import os
from pathlib import Path

import pytest

from separable.errors import DataFolderError
from separable.runtime.sources import expand


def fill(root: Path, *names: str) -> None:
    for name in names:
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        (root / name).touch()


def test_folders_are_walked_by_name(tmp_path: Path) -> None:
    fill(tmp_path, "b/2.JPG", "b/10.png", "a/z/1.webp", "c.gif", "notes.txt", ".hidden/x.png", "b/.thumb.jpg")
    found = [os.path.relpath(path, tmp_path) for path in expand([str(tmp_path)])]
    assert found == ["a/z/1.webp", "b/10.png", "b/2.JPG", "c.gif"]


def test_globs_are_expanded_here_when_the_shell_did_not(tmp_path: Path) -> None:
    fill(tmp_path, "x/1.png", "x/deep/2.png", "x/notes.txt", "odd[1].png")
    for pattern in ("x/**", "x/**/*.png", "x*", "[x]"):
        assert [Path(path).name for path in expand([f"{tmp_path}/{pattern}"])] == ["1.png", "2.png"], pattern
    assert [Path(path).name for path in expand([f"{tmp_path}/odd[1].png"])] == ["odd[1].png"], "a name, not a pattern"


def test_named_files_are_passed_on_whatever_they_are(tmp_path: Path) -> None:
    assert list(expand(["missing.png", "notes.txt"])) == ["missing.png", "notes.txt"]


def test_a_list_is_read_line_by_line() -> None:
    read = []

    def lines() -> object:
        for name in ("a b.png\n", "\n", "c.png\r\n", "d.png"):
            read.append(name)
            yield name

    stream = expand(["first.png", "-"], lines())  # type: ignore[arg-type]
    assert next(stream) == "first.png"
    assert read == []
    assert list(stream) == ["a b.png", "c.png", "d.png"]


@pytest.mark.parametrize("argument", ["{root}", "{root}/*.png", "-"])
def test_nothing_found_is_said(tmp_path: Path, argument: str) -> None:
    fill(tmp_path, "notes.txt")
    with pytest.raises(DataFolderError, match=r"no picture|No picture"):
        list(expand([argument.format(root=tmp_path)], []))
