"""Counting pixels of classes, and what weights follow."""

from pathlib import Path

import numpy as np
import pytest

from separable.errors import UsageError
from separable.segmentation.balance import class_pixels, median_frequency_weights
from separable.segmentation.coding import MaskCoding
from separable.segmentation.pairs import read_pairs
from tests.segmentation.made import blobs, write_pairs


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
