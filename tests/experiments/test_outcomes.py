"""Figures of single pictures, against a definition written out."""

import json
from pathlib import Path

import numpy as np
import pytest

from separable.experiments.cells import cell_of
from separable.experiments.outcomes import Outcome, measured, read_outcome, trained
from separable.experiments.timing import time_arms
from separable.training.codec import to_plain
from separable.training.evaluate import Evaluation
from tests.experiments.test_cells import ARM, SETUP, SOURCE


def evaluation() -> Evaluation:
    generator = np.random.default_rng(5)
    rows = generator.dirichlet(np.ones(7), 40).astype(np.float32)
    rows[3, 2] = rows[3, 5]  # a tie goes to the first
    labels = generator.integers(0, 7, 40)
    labels[3] = 5
    loss = float(-np.log(rows[np.arange(40), labels].astype(np.float64)).mean())
    return Evaluation("val", tuple("abcdefg"), rows, labels, tuple(map(str, range(40))), loss)


def test_classes() -> None:
    answer = evaluation()
    found = measured(answer)
    for k, name in ((1, "top1"), (5, "top5")):
        right = [
            int(label) in sorted(range(7), key=lambda one, row=row: (-row[one], one))[:k]
            for row, label in zip(answer.probabilities, answer.labels, strict=True)
        ]
        assert found.pictures[name] == tuple(map(int, right))
        assert np.mean(found.pictures[name]) == pytest.approx(found.measures[name])
        assert found.measures[f"{name}_error"] == pytest.approx(1 - found.measures[name])
    assert np.mean(found.pictures["loss"]) == pytest.approx(found.measures["loss"], abs=1e-6)


def test_a_training(tmp_path: Path) -> None:
    rows = [
        {"kind": "step", "step": 1},
        {"kind": "epoch", "epoch": 0, "train_loss": 2.0, "val_top1": 0.5, "val_loss": 1.5, "seconds": 3.0},
        {"kind": "epoch", "epoch": 1, "train_loss": None, "val_top1": 0.6, "val_loss": 1.4, "seconds": 4.0},
    ]
    (tmp_path / "metrics.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    found = trained(evaluation(), tmp_path, "classify", (1, 0, 0, 1))
    assert found.curve == {"epoch": (1, 2), "top1": (0.5, 0.6), "loss": (1.5, 1.4), "train_loss": (2.0, None)}
    assert found.seconds == 7.0
    assert found.measures["early_top1"] == 0.5
    found.write(tmp_path / "outcome.json")
    assert read_outcome(tmp_path / "outcome.json") == found


@pytest.mark.parametrize("text", ["", "{", "[]", '{"measures": {"top1": "much"}}', '{"something": 1}'])
def test_a_damaged_outcome_is_none(tmp_path: Path, text: str) -> None:
    (tmp_path / "outcome.json").write_text(text)
    assert read_outcome(tmp_path / "outcome.json") is None
    assert read_outcome(tmp_path / "missing.json") is None


def test_a_failure_is_kept(tmp_path: Path) -> None:
    Outcome(failed="It diverged: at once.").write(tmp_path / "outcome.json")
    found = read_outcome(tmp_path / "outcome.json")
    assert found is not None
    assert found.failed == "It diverged: at once."


@pytest.mark.slow
def test_timing() -> None:
    """Two networks by turns in one process, and memory in one of its own each."""
    cells = {"one": to_plain(cell_of(SETUP, ARM, SOURCE, 0)), "two": to_plain(cell_of(SETUP, ARM, SOURCE, 1))}
    found = time_arms(cells, ("a", "b"), ("steps_per_second", "milliseconds", "memory"), smoke=True)
    assert {name: {one: len(values) for one, values in rounds.items()} for name, rounds in found.items()} == {
        name: {"steps_per_second": 2, "milliseconds": 2, "memory": 2} for name in cells
    }
    assert all(value > 0 for rounds in found.values() for values in rounds.values() for value in values)
