"""Intervals and tests against SciPy, which the package itself does not need."""

import numpy as np
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st
from scipy import special, stats

from separable.analysis.distributions import (
    beta_cdf,
    binomial_lower_bound,
    binomial_tail,
    student_t_cdf,
    student_t_quantile,
)
from separable.analysis.statistics import exact_mcnemar, paired_bootstrap, paired_t_interval
from separable.errors import UsageError
from tests.tolerances import BOOTSTRAP_QUANTILE, SPECIAL_FUNCTION

QUICK = settings(max_examples=80, deadline=None)


@QUICK
@given(x=st.floats(0, 1), a=st.floats(0.1, 5e4), b=st.floats(0.1, 5e4))
def test_beta_distribution(x: float, a: float, b: float) -> None:
    assert beta_cdf(x, a, b) == pytest.approx(special.betainc(a, b, x), abs=SPECIAL_FUNCTION)


@QUICK
@given(near=st.floats(-4, 4), a=st.integers(1, 50_000), b=st.integers(1, 50_000))
def test_beta_distribution_near_its_mean(near: float, a: int, b: int) -> None:
    """Uniform x is almost always in a flat tail when a and b are large."""
    mean = a / (a + b)
    x = float(np.clip(mean + near * np.sqrt(mean * (1 - mean) / (a + b)), 0, 1))
    assert beta_cdf(x, a, b) == pytest.approx(special.betainc(a, b, x), abs=SPECIAL_FUNCTION)


@QUICK
@given(n=st.integers(1, 3000), share=st.floats(0, 1), certainty=st.floats(0.5, 0.999))
def test_clopper_pearson(n: int, share: float, certainty: float) -> None:
    k = round(share * n)
    expected = stats.binomtest(k, n, alternative="greater").proportion_ci(certainty, method="exact").low
    assert binomial_lower_bound(k, n, certainty) == pytest.approx(expected, abs=SPECIAL_FUNCTION)
    assert binomial_tail(k, n, 0.7) == pytest.approx(stats.binom.sf(k - 1, n, 0.7), abs=SPECIAL_FUNCTION)


@QUICK
@given(t=st.floats(-40, 40), degrees=st.integers(1, 400), probability=st.floats(0.001, 0.999))
@example(t=1.192092896e-07, degrees=15, probability=0.5)
def test_student(t: float, degrees: int, probability: float) -> None:
    assert student_t_cdf(t, degrees) == pytest.approx(stats.t.cdf(t, degrees), abs=SPECIAL_FUNCTION)
    expected = stats.t.ppf(probability, degrees)
    assert student_t_quantile(probability, degrees) == pytest.approx(
        expected, rel=SPECIAL_FUNCTION, abs=SPECIAL_FUNCTION
    )


@QUICK
@given(seed=st.integers(0, 2**32 - 1), n=st.integers(2, 12), certainty=st.floats(0.5, 0.99))
def test_paired_t_interval(seed: int, n: int, certainty: float) -> None:
    rng = np.random.default_rng(seed)
    a, b = rng.normal(0.9, 0.01, n), rng.normal(0.895, 0.01, n)
    expected = stats.ttest_rel(a, b)
    low, high = expected.confidence_interval(certainty)
    ours = paired_t_interval(a, b, certainty)
    assert (ours.low, ours.high) == pytest.approx((low, high), rel=1e-7)
    assert ours.p_value == pytest.approx(expected.pvalue, abs=SPECIAL_FUNCTION)
    assert ours.decided == (low > 0 or high < 0)


def test_series_without_spread() -> None:
    same = paired_t_interval([0.5, 0.5], [0.5, 0.5])
    assert (same.low, same.high, same.p_value, same.decided) == (0, 0, 1, False)
    shifted = paired_t_interval([0.75, 0.75], [0.5, 0.5])
    assert (shifted.low, shifted.high, shifted.p_value, shifted.decided) == (0.25, 0.25, 0, True)


@QUICK
@given(both=st.integers(0, 50), first=st.integers(0, 40), second=st.integers(0, 40), neither=st.integers(0, 5))
def test_exact_mcnemar(both: int, first: int, second: int, neither: int) -> None:
    a = [1] * (both + first) + [0] * (second + neither)
    b = [1] * both + [0] * first + [1] * second + [0] * neither
    told = first + second
    expected = stats.binomtest(first, told).pvalue if told else 1.0
    assert exact_mcnemar(a, b) == pytest.approx(expected, abs=SPECIAL_FUNCTION)


def test_paired_bootstrap_agrees_with_scipy() -> None:
    rng = np.random.default_rng(3)
    a, b = rng.random(400) < 0.9, rng.random(400) < 0.85
    difference = a.astype(float) - b
    ours = paired_bootstrap(a, b, seed=1)
    expected = stats.bootstrap((difference,), np.mean, method="percentile", n_resamples=10_000, rng=rng)
    interval = expected.confidence_interval
    assert (ours.low, ours.high) == pytest.approx((interval.low, interval.high), abs=BOOTSTRAP_QUANTILE)
    assert ours.mean == pytest.approx(difference.mean())


def test_bootstrap_depends_on_the_seed_and_on_nothing_else() -> None:
    a, b = np.arange(50) % 3 == 0, np.arange(50) % 4 == 0
    once = paired_bootstrap(a, b, seed=7, resamples=500)
    assert paired_bootstrap(a, b, seed=8, resamples=500) != once
    np.random.seed(1)  # noqa: NPY002 - the global state is what must not matter
    assert paired_bootstrap(a, b, seed=7, resamples=500) == once


def test_bootstrap_p_value_is_small_for_a_clear_difference_and_large_for_none() -> None:
    clear = paired_bootstrap(np.ones(100), np.arange(100) % 2, resamples=1000)
    assert clear.p_value == pytest.approx(0.002)  # not 0: a thousand resamples cannot tell
    assert clear.decided
    none = paired_bootstrap(np.arange(100) % 2, 1 - np.arange(100) % 2, resamples=1000)
    assert none.p_value > 0.5
    assert not none.decided


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: paired_t_interval([1.0], [1.0]), "needs at least two pairs. Got: 1. Run more seeds."),
        (lambda: paired_t_interval([1.0], [1.0, 2.0]), "of the same length. Got: shapes (1,) and (2,)."),
        (lambda: exact_mcnemar([1, 0], [1]), "need one answer a picture. Got: shapes (2,) and (1,)."),
        (lambda: paired_bootstrap([], []), "A bootstrap needs at least one pair. Got: 0."),
        (lambda: paired_bootstrap([1], [1], resamples=9), "Got: 9. Expected: 100 or more."),
        (lambda: beta_cdf(0.5, 0, 1), "needs two positive parameters. Got: 0 and 1."),
        (lambda: binomial_lower_bound(3, 2), "between 0 and the trials. Got: 3 of 2."),
        (lambda: student_t_quantile(1.0, 3), "between 0 and 1. Got: 1.0."),
    ],
)
def test_wrong_input_is_named(call, message: str) -> None:
    with pytest.raises(UsageError) as raised:
        call()
    assert message in str(raised.value)
