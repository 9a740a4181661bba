"""The quarantine: one line a picture, kept over restarts, whole at any moment."""

import csv
from pathlib import Path

import pytest

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
