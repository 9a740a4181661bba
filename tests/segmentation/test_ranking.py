"""Which epoch is the better one, and which pictures are the worst."""

import pytest

from separable.segmentation import evaluate
from separable.segmentation.pairs import read_pairs
from separable.segmentation.task import SegmentTask
from tests.segmentation.made import write_pairs


def test_of_equal_overlaps_the_lower_loss_is_better() -> None:
    rank = SegmentTask().rank
    assert rank({"val_miou": 0.5, "val_loss": 1.0}) > rank({"val_miou": 0.5, "val_loss": 2.0})
    assert rank({"val_miou": 0.6, "val_loss": 2.0}) > rank({"val_miou": 0.5, "val_loss": 1.0})
    assert rank({"val_miou": 0.5, "val_loss": 9.0}) > rank({"val_miou": 0.5, "val_loss": None})


def test_the_worst_pictures_are_those_of_the_lowest_overlap(tmp_path, monkeypatch: pytest.MonkeyPatch) -> None:  # type: ignore[no-untyped-def]
    offered = []
    monkeypatch.setattr(evaluate.KeptMasks, "offer", lambda self, sample, path, score, *masks: offered.append(score))
    pairs = read_pairs(write_pairs(tmp_path, 5)).train
    tally = evaluate._Tally(pairs, None, keep=True)
    _, truth = pairs.read(0)
    tally.add(0, truth, truth * 0, 1.0)
    accuracy = float((truth == 0).mean())
    assert offered == [(pytest.approx(accuracy / 2), pytest.approx(accuracy))]
