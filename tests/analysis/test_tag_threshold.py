"""The threshold of the highest F1, against trying every one."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from sklearn.metrics import f1_score, precision_score, recall_score

from separable.analysis.tag_threshold import best_threshold
from separable.errors import UsageError


def test_by_hand() -> None:
    """Given from 0.6 on: 3 of 4 right, 3 of 5 labels, F1 6/9; from 0.3 on 4 of 6 right: 8/11, the best."""
    probabilities = np.array([[0.9, 0.6, 0.3], [0.8, 0.7, 0.3], [0.2, 0.1, 0.05]], np.float32)
    right = np.array([[1, 1, 0], [1, 0, 1], [0, 0, 0]], bool)
    found = best_threshold(probabilities, right, 5)
    assert found is not None
    assert found.threshold == pytest.approx(0.25)
    assert (found.precision, found.recall) == (4 / 6, 4 / 5)
    assert found.f1 == pytest.approx(8 / 11)
    assert found.to_json() == {
        "threshold": found.threshold, "precision": found.precision, "recall": found.recall, "f1": found.f1,
    }  # fmt: skip


SHAPE = (4, 3)


@given(
    arrays(np.float64, SHAPE, elements=st.sampled_from([0.0, 0.1, 0.25, 0.5, 0.75, 1.0])),
    arrays(np.bool_, SHAPE),
    st.integers(0, 3),
)
def test_no_other_threshold_is_better(probabilities: np.ndarray, right: np.ndarray, unseen: int) -> None:
    """`unseen` labels are no answer's: for sklearn they are answers that are never given."""
    found = best_threshold(probabilities, right, int(right.sum()) + unseen)
    if not right.any():
        assert found is None
        return
    assert found is not None
    truth = np.append(right.ravel(), np.ones(unseen, bool))

    def answers(threshold: float) -> np.ndarray:
        return np.append(probabilities.ravel() >= threshold, np.zeros(unseen, bool))

    for score, measure in ((found.precision, precision_score), (found.recall, recall_score), (found.f1, f1_score)):
        assert score == pytest.approx(measure(truth, answers(found.threshold)))
    for other in np.unique(probabilities):
        assert found.f1 >= f1_score(truth, answers(other), zero_division=0.0) - 1e-12


def test_of_equal_ones_the_highest() -> None:
    found = best_threshold(np.array([[0.9, 0.5]]), np.array([[True, False]]), 1)
    assert found is not None
    assert found.threshold == pytest.approx(0.7)
    alone = best_threshold(np.array([[0.4]]), np.array([[True]]), 1)
    assert alone is not None
    assert alone.threshold == pytest.approx(0.2)


def test_nothing_to_choose_by() -> None:
    assert best_threshold(np.zeros((0, 5)), np.zeros((0, 5), bool), 0) is None
    assert best_threshold(np.array([[0.5]]), np.array([[False]]), 3) is None
    assert best_threshold(np.array([[np.nan, 0.5]]), np.array([[False, True]]), 3) is None
    with pytest.raises(UsageError, match=r"^Answers and labels do not fit each other\. Got: .*1 right of \(1, 1\), 0"):
        best_threshold(np.array([[0.5]]), np.array([[True]]), 0)
    with pytest.raises(UsageError, match="do not fit each other"):
        best_threshold(np.zeros((1, 2)), np.zeros((2, 1), bool), 0)
