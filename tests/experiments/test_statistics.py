"""Paired comparisons over seeds and pictures: SciPy, identities, and how often the intervals hold the truth."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import stats

from separable.analysis.distributions import noncentral_t_tail, student_t_quantile
from separable.errors import UsageError
from separable.experiments.statistics import (
    compare_paired,
    compare_seeds,
    compare_unpaired,
    holm,
    mean_interval,
    overlap_scores,
)
from tests.tolerances import EFFECT_INTERVAL, NONCENTRAL_T, SPECIAL_FUNCTION

QUICK = settings(max_examples=40, deadline=None)
SCORES = st.tuples(st.integers(1, 4), st.integers(2, 30), st.integers(0, 2**32 - 1))


def arms(seeds: int, pictures: int, key: int) -> tuple[np.ndarray, np.ndarray]:
    rng = np.random.default_rng(key)
    return rng.random((seeds, pictures)), rng.random((seeds, pictures))


@QUICK
@given(t=st.floats(-5, 15), degrees=st.floats(1, 1e5), shift=st.floats(-5, 15))
def test_noncentral_t(t: float, degrees: float, shift: float) -> None:
    t = t if abs(t) > 1e-100 else 0.0  # of less SciPy's own underflows, which is an error here
    expected = stats.nct.sf(t, degrees, shift)
    if np.isfinite(expected):  # SciPy's own gives NaN here and there
        assert noncentral_t_tail(t, degrees, shift) == pytest.approx(expected, abs=NONCENTRAL_T)


@QUICK
@given(degrees=st.floats(1, 5000), probability=st.floats(0.5, 0.999))
def test_quantile_of_broken_degrees(degrees: float, probability: float) -> None:
    """Satterthwaite's are no whole numbers."""
    expected = stats.t.ppf(probability, degrees)
    assert student_t_quantile(probability, degrees) == pytest.approx(
        expected, rel=SPECIAL_FUNCTION, abs=SPECIAL_FUNCTION
    )


@QUICK
@given(SCORES)
def test_swapped_arms_flip_the_sign(shape: tuple[int, int, int]) -> None:
    left, right = arms(*shape)
    one, other = compare_paired(left, right), compare_paired(right, left)
    assert (other.mean, other.low, other.high) == pytest.approx((-one.mean, -one.high, -one.low), abs=EFFECT_INTERVAL)
    assert one.sure_above() == pytest.approx(other.sure_below(), abs=EFFECT_INTERVAL)
    assert one.sure_above() + one.sure_below() == pytest.approx(1)


@QUICK
@given(SCORES, st.floats(-0.5, 0.5))
def test_what_both_arms_share_cancels(shape: tuple[int, int, int], constant: float) -> None:
    """A constant, hard pictures and unlucky seeds move nothing; a constant on one side moves the interval by it."""
    left, right = arms(*shape)
    shared = constant + np.linspace(0, 1, shape[0])[:, None] * np.linspace(-1, 1, shape[1])
    plain, moved = compare_paired(left, right), compare_paired(left + shared, right + shared)
    shifted = compare_paired(left + constant, right)
    assert (moved.low, moved.high) == pytest.approx((plain.low, plain.high), abs=EFFECT_INTERVAL)
    assert (shifted.low, shifted.high) == pytest.approx(
        (plain.low + constant, plain.high + constant), abs=EFFECT_INTERVAL
    )


@QUICK
@given(SCORES)
def test_order_of_pictures_and_seeds_does_not_matter(shape: tuple[int, int, int]) -> None:
    left, right = arms(*shape)
    rng = np.random.default_rng(shape[2])
    rows, columns = rng.permutation(shape[0]), rng.permutation(shape[1])
    one, other = compare_paired(left, right), compare_paired(left[rows][:, columns], right[rows][:, columns])
    assert (other.low, other.high) == pytest.approx((one.low, one.high), abs=EFFECT_INTERVAL)


@QUICK
@given(SCORES)
def test_never_narrower_than_the_pictures_by_themselves(shape: tuple[int, int, int]) -> None:
    """Seeds that happen to agree say little: two of a kind are often as near as that."""
    left, right = arms(*shape)
    found = compare_paired(left, right)
    alone = stats.ttest_rel(left.mean(0), right.mean(0)).confidence_interval(0.95)
    assert found.low <= alone.low + EFFECT_INTERVAL
    assert found.high >= alone.high - EFFECT_INTERVAL


def test_pictures_that_all_seeds_agree_on_give_the_t_test_of_the_pictures() -> None:
    left, right = arms(1, 50, 3)
    found = compare_paired(np.repeat(left, 4, 0), np.repeat(right, 4, 0))
    expected = stats.ttest_rel(left[0], right[0]).confidence_interval(0.95)
    assert (found.low, found.high) == pytest.approx((expected.low, expected.high))
    assert found.degrees == pytest.approx(49)
    assert (found.seeds, found.pictures) == (4, 50)


def test_seeds_that_make_all_the_difference_give_the_t_test_of_the_seeds() -> None:
    """Pictures that follow the seed's whole shift: the interval of the seeds' means, a hundredth wider for the rest."""
    rng = np.random.default_rng(0)
    shift = np.array([0.1, 0.3, -0.1, 0.2, 0.0])
    left = 0.5 + shift[:, None] + 0.01 * rng.standard_normal((5, 400))
    found = compare_paired(left, np.full((5, 400), 0.5))
    expected = stats.ttest_1samp(left.mean(1) - 0.5, 0).confidence_interval(0.95)
    assert (found.low, found.high) == pytest.approx((expected.low, expected.high), rel=0.01)


def test_mean_squares_by_hand() -> None:
    """Seeds 2, pictures 3. Sums of squares worked out with a pencil: MS_seeds 1/6, MS_pictures 13/6, MS_rest 1/6."""
    difference = np.array([[1.0, 0.0, -1.0], [1.0, 1.0, -1.0]])
    found = compare_paired(difference, np.zeros((2, 3)))
    mean_squares = np.array([1 / 6, 13 / 6, 1 / 6])
    total = mean_squares[0] + mean_squares[1] - mean_squares[2]
    degrees = total**2 / (mean_squares**2 / [1, 2, 2]).sum()
    variance = total / 6
    by_pictures = stats.t.ppf(0.975, 2) * np.sqrt(mean_squares[1] / 6)
    crossed = stats.t.ppf(0.975, degrees) * np.sqrt(variance)
    assert found.mean == pytest.approx(1 / 6)
    assert found.high - found.mean == pytest.approx(max(by_pictures, crossed))


@pytest.mark.parametrize(
    ("seeds", "by_seed", "by_picture", "rest", "least"),
    [
        (3, 0.0, 0.0, 0.3, 0.92),
        (3, 0.03, 0.1, 0.3, 0.90),
        (5, 0.02, 0.2, 0.3, 0.92),
        (2, 0.03, 0.3, 0.1, 0.87),
    ],
)
def test_how_often_the_interval_holds_the_truth(
    seeds: int, by_seed: float, by_picture: float, rest: float, least: float
) -> None:
    """500 repetitions: the share strays by 0.01 (one deviation), so `least` is three below what 1,500 gave. Pure noise
    is the one case where the interval is wider than it had to be.
    """
    rng, inside, repetitions, pictures = np.random.default_rng(1), 0, 500, 150
    for _ in range(repetitions):
        difference = 0.02 + by_seed * rng.standard_normal((seeds, 1)) + by_picture * rng.standard_normal(pictures)
        difference = difference + rest * rng.standard_normal((seeds, pictures))
        found = compare_paired(difference, np.zeros_like(difference))
        inside += found.low <= 0.02 <= found.high
    assert least <= inside / repetitions <= 0.995


def test_false_positives_on_right_and_wrong() -> None:
    """Equal arms: pictures of differing difficulty, each network right by chance of its own. At most 5 % are told
    apart, with three deviations of 500 repetitions (0.029) to spare, and not hardly ever.
    """
    rng, told, repetitions = np.random.default_rng(2), 0, 500
    for _ in range(repetitions):
        easy = rng.beta(4, 1, 200)
        seed_luck = 0.02 * rng.standard_normal((2, 3, 1))
        right = rng.random((2, 3, 200)) < np.clip(easy + seed_luck, 0, 1)
        found = compare_paired(right[0], right[1])
        told += found.low > 0 or found.high < 0
    assert 0.005 < told / repetitions < 0.079


def test_one_seed_is_the_pictures_alone() -> None:
    left, right = arms(1, 80, 5)
    found = compare_paired(left, right)
    expected = stats.ttest_rel(left[0], right[0]).confidence_interval(0.95)
    assert (found.low, found.high, found.seeds) == pytest.approx((expected.low, expected.high, 1))


@pytest.mark.parametrize("value", [-1.0, 0.0, 1.0])
def test_no_variance_is_no_certainty(value: float) -> None:
    """All of 200 pictures alike: others may be up to 1 - 0.025^(1/200) = 1.83 % of all."""
    found = compare_paired(np.full((3, 200), max(value, 0.0)), np.full((3, 200), max(-value, 0.0)))
    missed = stats.binomtest(0, 200).proportion_ci(0.95, method="exact").high
    assert found.mean == value
    assert found.low == pytest.approx(value - missed * (1 + value))
    assert found.high == pytest.approx(value + missed * (1 - value))
    assert found.sure_above(-1.5) > 0.99


@pytest.mark.parametrize(
    ("left", "right"),
    [((3, 10), (3, 9)), ((3, 10), (2, 10)), ((10,), (10,)), ((3, 1), (3, 1)), ((0, 5), (0, 5))],
)
def test_arms_that_cannot_be_paired(left: tuple[int, ...], right: tuple[int, ...]) -> None:
    with pytest.raises(UsageError, match="the same seeds and pictures"):
        compare_paired(np.zeros(left), np.zeros(right))


def test_scores_that_are_no_numbers() -> None:
    with pytest.raises(UsageError, match="Leave out the seeds that diverged"):
        compare_paired([[0.0, float("nan")]], [[0.0, 1.0]])


def test_by_seeds() -> None:
    left, right = [0.5, 0.55, 0.53], [0.48, 0.5, 0.54]
    found = compare_seeds(left, right)
    expected = stats.ttest_rel(left, right)
    interval = expected.confidence_interval(0.95)
    assert (found.low, found.high) == pytest.approx((interval.low, interval.high))
    assert found.sure_above() == pytest.approx(1 - expected.pvalue / 2)
    assert not compare_seeds([0.5], [0.4]).known
    same = compare_seeds([0.75, 0.5], [0.5, 0.25])
    assert same.mean == 0.25
    assert not same.known


@QUICK
@given(
    st.lists(st.floats(1, 2), min_size=2, max_size=8, unique=True),
    st.lists(st.floats(1, 2), min_size=2, max_size=8, unique=True),
)
def test_welch(left: list[float], right: list[float]) -> None:
    if np.var(left) < 1e-6 or np.var(right) < 1e-6:
        return
    found = compare_unpaired(left, right)
    interval = stats.ttest_ind(left, right, equal_var=False).confidence_interval(0.95)
    assert (found.low, found.high) == pytest.approx((interval.low, interval.high), abs=EFFECT_INTERVAL)


def test_timings_without_a_spread() -> None:
    assert not compare_unpaired([3.0], [4.0, 4.1]).known
    assert not compare_unpaired([3.0, 3.0], [4.0, 4.0]).known


def test_mean_interval() -> None:
    values = [0.5, 0.6, 0.58]
    expected = stats.ttest_1samp(values, 0).confidence_interval(0.95)
    assert mean_interval(values) == pytest.approx((expected.low, expected.high))
    assert mean_interval([0.5]) is None


@QUICK
@given(st.lists(st.floats(0, 1), max_size=6))
def test_holm(p_values: list[float]) -> None:
    """The definition, by rejecting one after the other: a corrected p is the smallest level that rejects it."""

    def rejected(level: float) -> set[int]:
        found: set[int] = set()
        for rank, index in enumerate(sorted(range(len(p_values)), key=lambda one: p_values[one])):
            if p_values[index] * (len(p_values) - rank) > level:
                break
            found.add(index)
        return found

    corrected = holm(p_values)
    for level in (0.01, 0.05, 0.2, 0.7):
        assert {index for index, p in enumerate(corrected) if p <= level} == rejected(level)


def test_mean_overlap_by_pictures() -> None:
    """The mean is the mean IoU to the last digit; the deviation is the jackknife's."""
    rng = np.random.default_rng(4)
    unions = rng.integers(20, 60, (300, 3)).astype(float)
    unions[:, 2] = 0
    inside = np.floor(unions * rng.random((300, 3)))
    scores = overlap_scores(inside, unions)

    def overlap(keep: np.ndarray) -> float:
        return float((inside[keep].sum(0)[:2] / unions[keep].sum(0)[:2]).mean())

    everything = np.arange(300)
    left_out = np.array([overlap(np.delete(everything, one)) for one in everything])
    assert scores.mean() == pytest.approx(overlap(everything))
    jackknife = np.sqrt(299 / 300 * ((left_out - left_out.mean()) ** 2).sum())
    assert scores.std(ddof=1) / np.sqrt(300) == pytest.approx(jackknife, rel=0.01)
