"""Scores of pixels against scikit-learn, and of boundaries against all distances written out."""

import json
import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as arrays
from sklearn import metrics as oracle

from separable.analysis.metrics import mean_of_defined
from separable.errors import UsageError
from separable.segmentation.boundary import boundaries, widened
from separable.segmentation.labels import IGNORE
from separable.segmentation.scores import PixelCounts
from tests.segmentation.made import blobs
from tests.tolerances import SAME_FORMULA_FLOAT64

CLASSES = 4
QUICK = settings(max_examples=60, deadline=None)


def pictures(seed: int, count: int = 5) -> list[tuple[np.ndarray, np.ndarray]]:
    """(truth, prediction) pairs of different sizes, with pixels that do not count."""
    rng = np.random.default_rng(seed)
    found = []
    for k in range(count):
        size = (int(rng.integers(4, 30)), int(rng.integers(4, 30)))
        truth = blobs(*size, 3, seed=100 * seed + k)
        predicted = np.where(rng.random(size) < 0.2, rng.integers(0, CLASSES, size), truth).astype(np.int16)
        found.append((np.where(rng.random(size) < 0.1, np.int16(IGNORE), truth), predicted))
    return found


def counted(pairs: list[tuple[np.ndarray, np.ndarray]], tolerance: float | None = 1.0) -> PixelCounts:
    counts = PixelCounts(CLASSES, tolerance)
    for truth, predicted in pairs:
        counts.add(truth, predicted)
    return counts


@pytest.mark.parametrize("seed", range(4))
def test_against_scikit_learn_over_the_whole_set(seed: int) -> None:
    pairs = pictures(seed)
    scores = counted(pairs).scores()
    truth = np.concatenate([t[t != IGNORE] for t, _ in pairs])
    guess = np.concatenate([p[t != IGNORE] for t, p in pairs])
    labels = np.arange(CLASSES)
    options = {"labels": labels, "average": None, "zero_division": np.nan}
    iou = oracle.jaccard_score(truth, guess, labels=labels, average=None, zero_division=0)
    iou[~np.isin(labels, truth) & ~np.isin(labels, guess)] = np.nan
    for ours, theirs in (
        (scores.iou, iou),
        (scores.dice, oracle.f1_score(truth, guess, **options)),
        (scores.precision, oracle.precision_score(truth, guess, **options)),
        (scores.recall, oracle.recall_score(truth, guess, **options)),
        ([scores.pixel_accuracy], [oracle.accuracy_score(truth, guess)]),
        ([scores.mean_iou], [np.nanmean(iou)]),
    ):
        assert np.allclose(ours, theirs, rtol=0, atol=SAME_FORMULA_FLOAT64, equal_nan=True)
    assert scores.pixels.tolist() == np.bincount(truth, minlength=CLASSES).tolist()


def test_batches_and_order_do_not_matter_and_a_mean_of_pictures_is_something_else() -> None:
    pairs = pictures(0, 8)
    whole = counted(pairs).scores()
    halves = counted(pairs[5:]), counted(pairs[:5])
    halves[0].merge(halves[1])
    merged = halves[0].scores()
    for name in ("iou", "dice", "boundary_f1", "pixels"):
        assert np.array_equal(getattr(whole, name), getattr(merged, name), equal_nan=True)
    mean = mean_of_defined([counted([pair]).scores().mean_iou for pair in pairs])
    assert abs(mean - whole.mean_iou) > 1e-3


def test_conventions() -> None:
    truth = np.zeros((4, 4), np.int16)
    scores = counted([(truth, truth)]).scores()
    assert scores.iou[0] == scores.dice[0] == scores.pixel_accuracy == 1
    assert np.isnan(scores.iou[1:]).all()
    assert scores.mean_iou == 1
    assert np.isnan(scores.boundary_f1).all(), "nothing has a boundary"
    ones = truth + 1
    assert counted([(truth, ones)]).scores().iou[:2].tolist() == [0, 0]
    nothing = counted([(np.full((3, 3), IGNORE), np.zeros((3, 3), int))]).scores()
    assert np.isnan(nothing.pixel_accuracy)
    assert np.isnan(nothing.mean_iou)
    rows = json.loads(json.dumps(scores.rows(("a", "b", "c", "d")), allow_nan=False))
    assert rows[0] == {
        "name": "a", "iou": 1.0, "dice": 1.0, "precision": 1.0, "recall": 1.0, "boundary_f1": None, "pixels": 16
    }  # fmt: skip
    with pytest.raises(UsageError, match="Class names"):
        scores.rows(("a",))


def test_what_cannot_be_counted() -> None:
    counts = PixelCounts(2)
    zeros = np.zeros((3, 3), int)
    with pytest.raises(UsageError, match=r"differ in size\. Got: .*\. Expected: two masks of one \(height, width\)"):
        counts.add(zeros, zeros[1:])
    with pytest.raises(UsageError, match="outside the classes"):
        counts.add(zeros, zeros + 2)
    with pytest.raises(UsageError, match=r"outside the classes\. Got: -1 to -1"):
        counts.add(zeros, zeros - 1)
    with pytest.raises(UsageError, match="a table of class indices"):
        counts.add(zeros, zeros + 0.5)
    with pytest.raises(UsageError, match="tolerance"):
        PixelCounts(2, -1)
    assert np.isnan(PixelCounts(2, None).scores().boundary_f1).all()


def edge_pixels(mask: np.ndarray, label: int) -> np.ndarray:
    found = []
    for y, x in zip(*np.nonzero(mask == label), strict=True):
        for near_y, near_x in ((y - 1, x), (y + 1, x), (y, x - 1), (y, x + 1)):
            inside = 0 <= near_y < mask.shape[0] and 0 <= near_x < mask.shape[1]
            if inside and mask[near_y, near_x] not in (label, IGNORE):
                found.append((y, x))
                break
    return np.array(found).reshape(-1, 2)


def plain_boundary_f1(pairs: list[tuple[np.ndarray, np.ndarray]], label: int, tolerance: float) -> float:
    counts = np.zeros(4)
    for truth, predicted in pairs:
        predicted = np.where(truth == IGNORE, IGNORE, predicted)
        true, guessed = edge_pixels(truth, label), edge_pixels(predicted, label)
        distance = np.sqrt(((true[:, None] - guessed) ** 2).sum(-1))
        near = distance <= tolerance
        counts += len(true), near.any(1).sum(), len(guessed), near.any(0).sum()
    if not counts[0] and not counts[2]:
        return math.nan
    if not counts[1]:
        return 0.0
    recall, precision = counts[1] / counts[0], counts[3] / counts[2]
    return 2 * precision * recall / (precision + recall)


@pytest.mark.parametrize("tolerance", [0.0, 1.0, 1.5, 2.0, 3.2, 50.0])
@pytest.mark.parametrize("seed", range(2))
def test_boundaries_against_all_distances(seed: int, tolerance: float) -> None:
    pairs = pictures(seed, 3)
    ours = counted(pairs, tolerance).scores().boundary_f1
    theirs = [plain_boundary_f1(pairs, label, tolerance) for label in range(CLASSES)]
    assert np.allclose(ours, theirs, rtol=0, atol=SAME_FORMULA_FLOAT64, equal_nan=True)


@QUICK
@given(
    arrays.arrays(bool, st.tuples(st.integers(1, 9), st.integers(1, 9))),
    st.sampled_from([0.0, 0.9, 1.0, 1.42, 2.0, 2.9, 5.0, 30.0]),
)
def test_widening_is_a_disc(bits: np.ndarray, distance: float) -> None:
    places = np.argwhere(bits)
    y, x = np.indices(bits.shape)
    squared = (y[..., None] - places[:, 0]) ** 2 + (x[..., None] - places[:, 1]) ** 2
    assert np.array_equal(widened(bits, distance), (squared <= distance**2).any(-1))


def test_a_shift_by_a_pixel_is_forgiven_by_a_tolerance_of_one() -> None:
    truth = np.zeros((20, 20), np.int16)
    truth[5:15, 5:15] = 1
    shifted = np.roll(truth, 1, axis=1)
    exact, forgiving = (counted([(truth, shifted)], t).scores() for t in (0.0, 1.0))
    assert exact.boundary_f1[1] < 0.6
    assert forgiving.boundary_f1[1] == 1
    assert boundaries(truth)[4:6, 8].tolist() == [True, True]
    assert boundaries(truth).sum() == 36 + 40
