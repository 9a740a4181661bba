"""Counting pixels of classes, and what weights follow."""

import io
from pathlib import Path

import numpy as np
import pytest

from separable.errors import UsageError
from separable.segmentation.balance import class_pixels, median_frequency_weights
from separable.segmentation.coding import MaskCoding
from separable.segmentation.pair_set import PairSet
from separable.segmentation.pairs import read_pairs
from separable.segmentation.task import SegmentTask
from separable.training.display import PlainDisplay
from separable.training.evaluate import EvaluationStopped
from separable.training.loop import train
from tests.segmentation.made import blobs, write_pairs
from tests.segmentation.trainable import segment_config
from tests.training.recorded import Recorder


def test_pixels_of_all_usable_pairs(tmp_path: Path) -> None:
    write_pairs(tmp_path, 6, classes=3)
    (tmp_path / "masks/001.png").write_bytes(b"")
    train = read_pairs(tmp_path, coding=MaskCoding.indices(list("abcd"))).train
    used = [int(Path(path).stem) for path in train.paths if path != "001.jpg"]
    expected = sum(np.bincount(blobs(24, 30, 3, seed=k).ravel(), minlength=4) for k in used)
    assert class_pixels(train).tolist() == expected.tolist()


def test_weights_make_classes_equal() -> None:
    weights = median_frequency_weights([100, 10, 1000])
    assert weights == (1.0, 10.0, 0.1)
    assert median_frequency_weights([5, 0]) == (1.0, 0.0)
    with pytest.raises(UsageError, match="need labelled pixels"):
        median_frequency_weights([0, 0])


def count_until(monkeypatch: pytest.MonkeyPatch, said: Recorder, last: int) -> list[int]:
    """Ask to stop while the mask `last` is read, the first is 1; gives the masks that were read."""
    seen, opened = list[int](), PairSet.open

    def watched(self: PairSet, sample: int, **options: int) -> object:
        seen.append(sample)
        if len(seen) == last:
            said.stop.request()
        return opened(self, sample, **options)  # type: ignore[arg-type]

    monkeypatch.setattr(PairSet, "open", watched)
    return seen


def test_a_stop_ends_the_counting_within_a_mask(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Nothing of the run is there then, and it begins anew with and without --resume."""
    data = read_pairs(write_pairs(tmp_path / "data", 8), coding=MaskCoding.indices(["a", "b"]))
    config, said = segment_config(tmp_path / "run", tmp_path / "data", epochs=1), Recorder()
    with monkeypatch.context() as patch:
        seen = count_until(patch, said, 3)
        result = train(config, data, task=SegmentTask(), display=said, stop=said.stop)
    assert seen == [0, 1, 2]
    assert (result.interrupted, result.steps, result.metrics) == (True, 0, {})
    said_last = f"Stopped before the first step: there is nothing of the training in {tmp_path / 'run'} yet."
    assert said.notes[-2:] == [said_last, "closed"]
    assert {path.name for path in (tmp_path / "run").iterdir()} <= {".lock"}
    again = Recorder(stop_after=1)
    assert train(config, data, task=SegmentTask(), resume=True, display=again, stop=again.stop).steps == 1
    assert again.counts == [("masks counted", done, len(data.train)) for done in range(1, len(data.train) + 1)]


def test_a_wish_that_is_older_than_the_counting_reads_nothing(tmp_path: Path) -> None:
    train_set = read_pairs(write_pairs(tmp_path, 4)).train
    with pytest.raises(EvaluationStopped):
        class_pixels(train_set, progress=lambda *_: pytest.fail("a mask was read"), should_stop=lambda: True)


def test_the_counting_is_said_in_a_log_now_and_then() -> None:
    stream, moments = io.StringIO(), iter([0.0, 4.0, 11.0, 12.0])
    display = PlainDisplay(stream, interval=10.0, clock=lambda: next(moments))
    for done in (1, 1200, 1300):
        display.counted("masks counted", done, 1300)
    assert stream.getvalue() == "1,200 of 1,300 masks counted\n"
