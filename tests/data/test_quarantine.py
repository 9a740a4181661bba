"""The quarantine: one line a picture, kept over restarts, whole at any moment."""

import csv
from pathlib import Path

import pytest

from separable.data import quarantine as quarantine_module
from separable.data.quarantine import BadPicture, Quarantine
from separable.errors import OutputError, TooManyBadPicturesError


def rows(path: Path) -> list[dict[str, str]]:
    with path.open(newline="", encoding="utf-8", errors="surrogateescape") as handle:
        return list(csv.DictReader(handle))


def test_each_picture_once_and_kept_over_a_restart(tmp_path: Path) -> None:
    path = tmp_path / "quarantine.csv"
    quarantine = Quarantine(path)
    assert not path.exists()
    assert quarantine.add(BadPicture("a/1.jpg", "truncated JPEG", 4))
    assert not quarantine.add(BadPicture("a/1.jpg", "another", 4))
    first = rows(path)
    assert [(row["path"], row["cause"]) for row in first] == [("a/1.jpg", "truncated JPEG")]
    again = Quarantine(path)
    assert again.add(BadPicture('b/"odd", \udce9\n.png', "not a picture"))
    assert len(again) == 2
    assert again.causes == {"a/1.jpg": "truncated JPEG", 'b/"odd", \udce9\n.png': "not a picture"}
    assert rows(path)[0] == first[0], "when it was first seen does not change"
    assert list(Quarantine(path).causes) == list(again.causes)


def test_a_batch_is_written_once(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    writes = []
    real = quarantine_module.write_atomically
    monkeypatch.setattr(quarantine_module, "write_atomically", lambda *a: (writes.append(a), real(*a)))
    quarantine = Quarantine(tmp_path / "quarantine.csv")
    many = [BadPicture(f"{number % 40}.jpg", "empty file") for number in range(50)]
    assert quarantine.add(*many) == 40
    assert quarantine.add(*many) == 0
    assert len(writes) == 1
    assert len(rows(tmp_path / "quarantine.csv")) == 40


def test_mended_pictures_are_forgotten(tmp_path: Path) -> None:
    path = tmp_path / "quarantine.csv"
    quarantine = Quarantine(path)
    quarantine.add(BadPicture("a.jpg", "empty file"), BadPicture("b.jpg", "empty file"))
    assert quarantine.forget(lambda name: name == "a.jpg") == 1
    assert list(Quarantine(path).causes) == ["b.jpg"]
    assert quarantine.forget(lambda _: False) == 0


@pytest.mark.parametrize(
    "content",
    [
        b'path,cause,first_seen\n"' + b"x" * 200_000,
        b"path,cause,first_seen\na.jpg,empty\n",
        b"\x89PNG\r\n\x1a\n\x00\x00",
        b'path,cause,first_seen\n"a.jpg,empty file,now\n',
    ],
    ids=["a huge field", "a short row", "another file", "an open quote"],
)
def test_a_damaged_file_is_begun_anew(content: bytes, tmp_path: Path) -> None:
    path = tmp_path / "quarantine.csv"
    path.write_bytes(content)
    warnings: list[str] = []
    quarantine = Quarantine(path, warn=warnings.append)
    assert len(quarantine) == 0
    assert len(warnings) == 1
    assert f"{path} is damaged (" in warnings[0]
    assert warnings[0].endswith("and is begun anew.")
    quarantine.add(BadPicture("b.jpg", "empty file"))
    assert list(Quarantine(path).causes) == ["b.jpg"]


def test_something_in_the_way_is_named(tmp_path: Path) -> None:
    (tmp_path / "quarantine.csv").mkdir()
    with pytest.raises(OutputError, match=r"Cannot read .*quarantine\.csv.*Remove it: it is written anew"):
        Quarantine(tmp_path / "quarantine.csv")


def test_too_many(tmp_path: Path) -> None:
    quarantine = Quarantine(tmp_path / "quarantine.csv")
    for number in range(5):
        quarantine.add(BadPicture(f"{number}.jpg", "empty file"))
    quarantine.check(100, 0.05)
    with pytest.raises(TooManyBadPicturesError) as caught:
        quarantine.check(99, 0.05)
    assert str(caught.value) == (
        "Too many pictures cannot be read. Got: 5 of 99, the first: 0.jpg (empty file). "
        "Expected: at most 5.0% of them. "
        f"Look at {tmp_path}/quarantine.csv, mend or remove those files, or allow more with --max-bad."
    )


def test_a_place_that_cannot_be_written(tmp_path: Path) -> None:
    with pytest.raises(OutputError, match="Cannot write"):
        Quarantine(tmp_path / "absent" / "quarantine.csv").add(BadPicture("a", "b"))
