"""Metrics against scikit-learn, and the conventions that scikit-learn leaves open."""

import warnings

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sklearn import metrics as oracle

from separable.analysis.metrics import (
    average_precision,
    confusion_matrix,
    mean_average_precision,
    mean_of_defined,
    per_class,
    top_k_accuracy,
)
from separable.errors import UsageError
from tests.tolerances import SAME_FORMULA_FLOAT64

SEEDS = st.integers(0, 2**32 - 1)
QUICK = settings(max_examples=60, deadline=None)


def tied_scores(rng: np.random.Generator, shape: tuple[int, int]) -> np.ndarray:
    """Scores from five values only, so that ties are the rule."""
    return rng.integers(0, 5, shape) / 4


def quiet_sklearn(function, *arguments, **options):
    """scikit-learn warns where a class is absent, which is the very case under test."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        return function(*arguments, **options)


@QUICK
@given(seed=SEEDS, n=st.integers(1, 40), classes=st.integers(3, 8), k=st.integers(1, 9))
def test_top_k_agrees_with_scikit_learn(seed: int, n: int, classes: int, k: int) -> None:
    rng = np.random.default_rng(seed)
    scores, labels = tied_scores(rng, (n, classes)), rng.integers(0, classes, n)
    # scikit-learn lets the higher index win a tie; mirrored classes make its rule ours.
    expected = quiet_sklearn(
        oracle.top_k_accuracy_score, classes - 1 - labels, scores[:, ::-1], k=k, labels=np.arange(classes)
    )
    assert top_k_accuracy(scores, labels, k) == pytest.approx(expected, abs=SAME_FORMULA_FLOAT64)


def test_top_1_is_argmax_when_scores_tie() -> None:
    scores = np.zeros((3, 4), np.float32)
    assert top_k_accuracy(scores, [0, 1, 3]) == pytest.approx(1 / 3)


def test_nan_is_never_right() -> None:
    nan = float("nan")
    scores = [[nan, 1.0, 0.0], [0.0, nan, 1.0], [nan, nan, nan]]
    assert top_k_accuracy(scores, [0, 2, 1], k=1) == 0
    assert top_k_accuracy(scores, [0, 2, 1], k=2) == pytest.approx(1 / 3)  # 1.0 is second to the NaN
    assert top_k_accuracy(scores, [0, 1, 1], k=9) == 0


def test_an_empty_set_has_no_accuracy() -> None:
    assert np.isnan(top_k_accuracy(np.zeros((0, 3)), []))
    assert confusion_matrix([], [], 2).tolist() == [[0, 0], [0, 0]]
    scores = per_class([], [], 2)
    assert np.isnan([scores.precision, scores.recall, scores.f1]).all()
    assert scores.support.tolist() == [0, 0]
    assert np.isnan(mean_average_precision(np.zeros((0, 2)), np.zeros((0, 2))))


@QUICK
@given(seed=SEEDS, n=st.integers(1, 30), classes=st.integers(1, 6))
def test_per_class_and_confusion_agree_with_scikit_learn(seed: int, n: int, classes: int) -> None:
    rng = np.random.default_rng(seed)
    labels, predicted = rng.integers(0, classes, n), rng.integers(0, classes, n)
    every = np.arange(classes)
    expected = quiet_sklearn(oracle.confusion_matrix, labels, predicted, labels=every)
    assert np.array_equal(confusion_matrix(labels, predicted, classes), expected)
    ours = per_class(labels, predicted, classes)
    precision, recall, f1, support = quiet_sklearn(
        oracle.precision_recall_fscore_support, labels, predicted, labels=every, zero_division=np.nan
    )
    assert np.array_equal(ours.support, support)
    for got, want in ((ours.precision, precision), (ours.recall, recall), (ours.f1, f1)):
        np.testing.assert_allclose(got, want, atol=SAME_FORMULA_FLOAT64, rtol=0)


def test_absent_and_never_predicted_classes_are_nan_and_left_out_of_the_mean() -> None:
    scores = per_class([0, 0, 1], [0, 3, 3], 5)
    assert scores.rows(["a", "b", "c", "d", "e"]) == [
        {"name": "a", "precision": 1.0, "recall": 0.5, "f1": pytest.approx(2 / 3), "support": 2},
        {"name": "b", "precision": None, "recall": 0.0, "f1": 0.0, "support": 1},
        {"name": "c", "precision": None, "recall": None, "f1": None, "support": 0},
        {"name": "d", "precision": 0.0, "recall": None, "f1": 0.0, "support": 0},
        {"name": "e", "precision": None, "recall": None, "f1": None, "support": 0},
    ]
    assert mean_of_defined(scores.recall) == pytest.approx(0.25)
    assert np.isnan(mean_of_defined([np.nan]))


@QUICK
@given(seed=SEEDS, n=st.integers(1, 30), classes=st.integers(1, 5), density=st.floats(0.05, 1))
def test_average_precision_agrees_with_scikit_learn(seed: int, n: int, classes: int, density: float) -> None:
    rng = np.random.default_rng(seed)
    scores, targets = tied_scores(rng, (n, classes)), rng.random((n, classes)) < density
    ours = average_precision(scores, targets)
    present = targets.any(axis=0)
    assert np.array_equal(np.isnan(ours), ~present)
    for c in np.flatnonzero(present):
        expected = oracle.average_precision_score(targets[:, c], scores[:, c])
        assert ours[c] == pytest.approx(expected, abs=SAME_FORMULA_FLOAT64)
    if present.any():
        expected = oracle.average_precision_score(targets[:, present], scores[:, present], average="macro")
        assert mean_average_precision(scores, targets) == pytest.approx(expected, abs=SAME_FORMULA_FLOAT64)


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: top_k_accuracy([[1.0, 2.0]], [2]), "A label is outside the classes. Got: 2 to 2. Expected: 0 to 1."),
        (lambda: top_k_accuracy([[1.0, 2.0]], [0, 1]), "Scores and labels differ in number. Got: 1 and 2."),
        (lambda: top_k_accuracy([1.0, 2.0], [0]), "Scores have to be a table. Got: shape (2,)."),
        (lambda: top_k_accuracy([[1.0]], [0], 0), "top-k accuracy needs a positive k. Got: 0. Expected: 1 or more."),
        (lambda: top_k_accuracy([[1.0]], [0.0]), "A label is a class index. Got: float64 values. Expected: integers."),
        (lambda: confusion_matrix([0, 1], [0], 2), "Labels and predictions differ in number. Got: 2 and 1."),
        (lambda: confusion_matrix([0], [-1], 2), "A predicted class is outside the classes. Got: -1 to -1."),
        (lambda: confusion_matrix([[0]], [0], 2), "Every picture has one label. Got: shape (1, 1)."),
        (lambda: per_class([0], [0], 1).rows(["a", "b"]), "Class names and scores do not match. Got: 2. Expected: 1."),
        (lambda: average_precision([[1.0]], [1]), "have to be two tables of the same shape. Got: (1, 1) and (1,)."),
        (lambda: average_precision([[np.nan]], [[1]]), "cannot rank scores that are NaN. Got: 1 of them."),
    ],
)
def test_wrong_input_is_named(call, message: str) -> None:
    with pytest.raises(UsageError) as raised:
        call()
    assert message in str(raised.value)
