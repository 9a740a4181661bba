from pathlib import Path

import pytest

from separable.errors import OutputError
from separable.training.journal import Journal, read_journal


def step(number: int) -> dict:
    return {"kind": "step", "step": number, "epoch": (number - 1) // 2, "loss": 0.1 + number}


def epoch(number: int) -> dict:
    return {"kind": "epoch", "epoch": number, "step": 2 * number + 2}


def written(path: Path, rows: list[dict]) -> Journal:
    journal = Journal(path)
    for row in rows:
        journal.append(row)
    journal.sync()
    journal.close()
    return journal


def test_lines_after_the_checkpoint_are_dropped(tmp_path: Path) -> None:
    path = tmp_path / "metrics.jsonl"
    rows = [step(1), step(2), epoch(0), step(3), step(4), epoch(1), step(5)]
    journal = written(path, rows)
    assert read_journal(path) == rows
    journal.rewind(4, 1)  # the checkpoint of step 4, taken before its epoch was validated
    assert read_journal(path) == [step(1), step(2), epoch(0), step(3), step(4)]
    journal.append(epoch(1))
    journal.close()
    assert read_journal(path)[-1] == epoch(1)
    journal.rewind(0, 0)
    assert path.read_text() == ""


@pytest.mark.parametrize("torn", ['{"kind":"step","st', '{"kind":"step","step":3,"loss":0.', "17", "\x00\x00"])
def test_a_torn_last_line_is_tolerated(torn: str, tmp_path: Path) -> None:
    path = tmp_path / "metrics.jsonl"
    journal = written(path, [step(1), step(2)])
    with path.open("a") as handle:
        handle.write(torn)
    assert read_journal(path) == [step(1), step(2)]
    journal.rewind(2, 1)
    journal.append(step(3))
    journal.close()
    assert read_journal(path) == [step(1), step(2), step(3)]


def test_floats_come_back_to_the_bit(tmp_path: Path) -> None:
    value = 0.1 + 0.2
    written(tmp_path / "m.jsonl", [{"kind": "step", "step": 1, "loss": value}])
    assert read_journal(tmp_path / "m.jsonl")[0]["loss"] == value


def test_an_unwritable_place_says_how_to_go_on(tmp_path: Path) -> None:
    with pytest.raises(OutputError, match=r"Cannot write.*run the same command with --resume"):
        Journal(tmp_path / "gone" / "metrics.jsonl").append(step(1))
