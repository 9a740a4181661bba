"""MAP@100 against its definition written out in plain Python, and against scikit-learn where the two coincide."""

import math
import tracemalloc
from fractions import Fraction
from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from sklearn import metrics as oracle

from separable.analysis.average_precision import AveragePrecision, MeanAveragePrecision, top_classes
from separable.errors import UsageError
from tests.tolerances import SAME_FORMULA_FLOAT64

SEEDS = st.integers(0, 2**32 - 1)
QUICK = settings(max_examples=80, deadline=None)


def ranked(scores: list[float], most: int) -> list[int]:
    return sorted(range(len(scores)), key=lambda c: (-scores[c], c))[:most]


def by_definition(scores: list[float], shown: set[int], weights: list[int], most: int) -> Fraction | None:
    """AP_w as the module's text has it, exactly; None where it is not defined."""
    best = sum(sorted((weights[c] for c in shown), reverse=True)[:most])
    if best == 0:
        return None
    order, total = ranked(scores, most), Fraction(0)
    for k, c in enumerate(order, 1):
        passed = sum(weights[j] for j in order[:k])
        if c in shown and passed:
            precision = Fraction(sum(weights[j] for j in order[:k] if j in shown), passed)
            total += weights[c] * precision
    return total / best


def csr(targets: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    return np.nonzero(targets)[1], np.concatenate([[0], np.cumsum(targets.sum(1))])


def score(scores: Any, targets: np.ndarray, weights: Any = None, most: int = 100) -> AveragePrecision:
    metric = MeanAveragePrecision(targets.shape[1], most=most)
    metric.add(scores, *csr(targets))
    return metric.result(weights)


def assert_is(ours: np.ndarray, expected: list[Fraction | None]) -> None:
    assert np.array_equal(np.isnan(ours), [one is None for one in expected])
    numbers = [float(one) for one in expected if one is not None]
    np.testing.assert_allclose(ours[~np.isnan(ours)], numbers, rtol=0, atol=SAME_FORMULA_FLOAT64)


@QUICK
@given(seed=SEEDS, n=st.integers(0, 6), classes=st.integers(1, 14), most=st.integers(1, 16), density=st.floats(0, 1))
def test_both_are_their_definition(seed: int, n: int, classes: int, most: int, density: float) -> None:
    rng = np.random.default_rng(seed)
    scores = rng.integers(-3, 4, (n, classes)) / 2  # ties are the rule
    targets = rng.random((n, classes)) < density
    weights = rng.integers(0, 4, classes)
    found = score(scores, targets, weights, most)
    shown = [set(np.flatnonzero(row).tolist()) for row in targets]
    rows = list(zip(scores.tolist(), shown, strict=True))
    plain = [by_definition(one, classes_shown, [1] * classes, most) for one, classes_shown in rows]
    weighted = [by_definition(one, classes_shown, weights.tolist(), most) for one, classes_shown in rows]
    assert_is(found.pictures, plain)
    assert_is(found.weighted_pictures, weighted)
    for mean, each in ((found.mean, plain), (found.weighted_mean, weighted)):
        defined = [one for one in each if one is not None]
        expected = float(sum(defined) / len(defined)) if defined else math.nan
        assert mean == pytest.approx(expected, abs=SAME_FORMULA_FLOAT64, nan_ok=True)
    first = [ranked(one, 1)[0] in classes_shown for one, classes_shown in rows if classes_shown]
    assert found.first_right == pytest.approx(sum(first) / len(first) if first else math.nan, nan_ok=True)


@QUICK
@given(seed=SEEDS, classes=st.integers(2, 100))
def test_one_ranking_without_ties_is_scikit_learns(seed: int, classes: int) -> None:
    """Weighted too: a class's weight is what scikit-learn calls that of a sample."""
    rng = np.random.default_rng(seed)
    scores = rng.permutation(classes)[None].astype(float)
    targets = rng.random((1, classes)) < 0.3
    targets[0, rng.integers(classes)] = True
    weights = rng.uniform(0.1, 3, classes)
    found = score(scores, targets, weights)
    plain = oracle.average_precision_score(targets[0], scores[0])
    weighted = oracle.average_precision_score(targets[0], scores[0], sample_weight=weights)
    assert found.mean == pytest.approx(plain, abs=SAME_FORMULA_FLOAT64)
    assert found.weighted_mean == pytest.approx(weighted, abs=SAME_FORMULA_FLOAT64)


def test_an_example_by_hand() -> None:
    """Order c1, c0, c3, c2; shown are c1 and c3: precision 1 at the first place, 2/3 at the third."""
    targets = np.array([[False, True, False, True]])
    found = score(np.array([[0.5, 0.9, 0.1, 0.3]]), targets, [4.0, 2.0, 9.0, 1.0])
    assert found.mean == pytest.approx((1 + 2 / 3) / 2)
    assert found.weighted_mean == pytest.approx((2 * 1 + 1 * 3 / 7) / 3)
    assert found.first_right == 1


def test_more_labels_than_places_can_be_ranked_perfectly() -> None:
    rng = np.random.default_rng(0)
    weights = rng.permutation(150).astype(float)
    targets = np.zeros((2, 150), bool)
    targets[:, rng.permutation(150)[:120]] = True
    # The first by weight among what it shows, the second in an order that has the lightest first.
    scores = np.stack([weights + 1000 * targets[0], -weights + 1000 * targets[1]])
    found = score(scores, targets, weights)
    assert found.pictures.tolist() == [1, 1]
    assert found.weighted_pictures[0] == pytest.approx(1, abs=SAME_FORMULA_FLOAT64)
    light, heavy = np.sort(weights[targets[1]])[:100].sum(), np.sort(weights[targets[1]])[-100:].sum()
    assert found.weighted_pictures[1] == pytest.approx(light / heavy, abs=SAME_FORMULA_FLOAT64)


def test_pictures_without_a_class_do_not_count() -> None:
    targets = np.array([[True, False], [False, False], [False, True]])
    found = score(np.array([[1.0, 0.0]] * 3), targets, [1.0, 0.0])
    np.testing.assert_array_equal(found.pictures, [1, np.nan, 0.5])
    np.testing.assert_array_equal(found.weighted_pictures, [1, np.nan, np.nan])
    assert (found.mean, found.weighted_mean, found.first_right) == (0.75, 1, 0.5)
    empty = MeanAveragePrecision(3).result()
    assert math.isnan(empty.mean)
    assert math.isnan(empty.weighted_mean)


def test_by_default_a_class_weighs_what_it_occurs() -> None:
    rng = np.random.default_rng(1)
    targets, scores = rng.random((40, 9)) < np.linspace(0.05, 0.8, 9), rng.normal(size=(40, 9))
    default, given = score(scores, targets), score(scores, targets, 0.37 * targets.sum(0))
    np.testing.assert_allclose(default.weighted_pictures, given.weighted_pictures, rtol=0, atol=SAME_FORMULA_FLOAT64)
    assert abs(default.weighted_mean - default.mean) > 0.01


@pytest.mark.parametrize("cut", [1, 7, 23])
def test_batches_change_no_bit(cut: int) -> None:
    rng = np.random.default_rng(2)
    scores = rng.integers(0, 60, (23, 300)).astype(np.float32)
    targets = rng.random((23, 300)) < rng.random((23, 1)) * 0.7
    whole, metric = score(scores, targets), MeanAveragePrecision(300)
    for start in range(0, 23, cut):
        metric.add(scores[start : start + cut], *csr(targets[start : start + cut]))
    parts = metric.result()
    np.testing.assert_array_equal(whole.pictures, parts.pictures)
    np.testing.assert_array_equal(whole.weighted_pictures, parts.weighted_pictures)
    assert (whole.mean, whole.weighted_mean) == (parts.mean, parts.weighted_mean)


def test_the_order_of_labels_does_not_matter() -> None:
    scores = np.random.default_rng(5).normal(size=(2, 30))
    results = []
    for indices in ([3, 8, 21, 5, 29], [21, 3, 8, 29, 5]):
        metric = MeanAveragePrecision(30)
        metric.add(scores, indices, [0, 3, 5])
        results.append(metric.result().pictures.tolist())
    assert results[0] == results[1]


@QUICK
@given(seed=SEEDS, n=st.integers(0, 5), classes=st.integers(1, 40), most=st.integers(1, 45), values=st.integers(1, 50))
def test_equal_scores_are_won_by_the_lower_index(seed: int, n: int, classes: int, most: int, values: int) -> None:
    rng = np.random.default_rng(seed)
    pool = np.append(rng.normal(size=values), [-np.inf, np.inf, 0.0, -0.0])
    scores = rng.choice(pool, (n, classes))
    expected = np.array([ranked(row, most) for row in scores.tolist()]).reshape(n, min(most, classes))
    assert top_classes(scores, most).dtype == np.int32
    np.testing.assert_array_equal(top_classes(scores, most), expected)
    np.testing.assert_array_equal(top_classes(np.asfortranarray(scores), most), expected)


@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float16, torch.float32, torch.float64, torch.int64])
def test_any_kind_of_number_is_ranked(dtype: torch.dtype) -> None:
    """In bfloat16 some 5,000 scores have 200 values: the last place is tied in every row."""
    values = torch.randn((30, 5000), generator=torch.Generator().manual_seed(3))
    scores = (8 * values).to(dtype)
    expected = [ranked(row, 100) for row in scores.tolist()]
    np.testing.assert_array_equal(top_classes(scores), expected)
    if dtype != torch.bfloat16:
        np.testing.assert_array_equal(top_classes(scores.numpy()), expected)


def test_little_is_kept_of_many_classes() -> None:
    metric, scores = MeanAveragePrecision(20_000), np.random.default_rng(4).random((50, 20_000), np.float32)
    indices, offsets = np.tile(np.arange(0, 20_000, 1000), 50), np.arange(51) * 20
    metric.add(scores, indices, offsets)
    tracemalloc.start()
    for _ in range(8):
        metric.add(scores, indices, offsets)
    kept = tracemalloc.get_traced_memory()[0]
    tracemalloc.stop()
    assert kept < 8 * 50 * (100 * 5 + 20 * 4 + 8) * 1.1
    assert len(metric.result().pictures) == 450


def add(scores: Any, indices: Any, offsets: Any) -> Any:
    return lambda: MeanAveragePrecision(2).add(np.asarray(scores, float), indices, offsets)


@pytest.mark.parametrize(
    ("call", "text"),
    [
        (
            add([[0.0, 1.0], [np.nan, 1.0]], [0], [0, 1, 1]),
            "Scores that are NaN cannot be ranked. Got: one or more for 1 of 2 pictures.",
        ),
        (
            lambda: top_classes(np.append(np.zeros((1, 300)), [[np.nan]], axis=1), 5),
            "Scores that are NaN cannot be ranked. Got: one or more for 1 of 1 pictures.",
        ),
        (
            add([[0.0, 1.0]], [0], [0, 1, 1]),
            "Scores and labels do not fit each other. Got: scores (1, 2), labels of 2 pictures. "
            "Expected: (pictures, 2).",
        ),
        (add([[0.0]], [0], [0, 1]), "Got: scores (1, 1), labels of 1 pictures. Expected: (pictures, 2)."),
        (add([[0.0, 1.0]], [2], [0, 1]), "A label is outside the classes. Got: 2 to 2. Expected: 0 to 1."),
        (add([[0.0, 1.0]], [1, 1], [0, 2]), "A picture has a label twice. Expected: each class once."),
        (add([[0.0, 1.0]], [1, 0, 1], [0, 3]), "A picture has a label twice. Expected: each class once."),
        (add([[0.0, 1.0]], [1], [0, 2]), "The offsets do not cut the labels into pictures. Got: 1 labels."),
        (lambda: MeanAveragePrecision(0), "A ranking has classes and places. Got: 0 and 100. Expected: 1 or more."),
        (
            lambda: MeanAveragePrecision(2).result([1.0, -1.0]),
            "The weights of classes have to be numbers, 0 or more each. Got: shape (2,), -1 to 1. Expected: (2,).",
        ),
        (lambda: MeanAveragePrecision(2).result([1.0]), "Got: shape (1,)"),
    ],
)
def test_what_cannot_be_scored_is_named(call: Any, text: str) -> None:
    with pytest.raises(UsageError) as caught:
        call()
    assert text in str(caught.value)
