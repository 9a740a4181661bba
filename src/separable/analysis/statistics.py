"""Is A better than B? Paired comparisons over seeds and over pictures, as the benchmarks report them."""

import math
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from separable.analysis.distributions import binomial_tail, student_t_cdf, student_t_quantile
from separable.data.random import Key, random_bits
from separable.errors import UsageError

__all__ = ["Interval", "exact_mcnemar", "paired_bootstrap", "paired_t_interval"]


@dataclass(frozen=True)
class Interval:
    """A mean difference and where it lies with the asked certainty; `p_value` is two-sided against no difference."""

    mean: float
    low: float
    high: float
    p_value: float
    n: int

    @property
    def decided(self) -> bool:
        """Whether the interval leaves zero out."""
        return self.low > 0 or self.high < 0


def paired_t_interval(first: npt.ArrayLike, second: npt.ArrayLike, certainty: float = 0.95) -> Interval:
    """Student's interval of the mean of `first - second`, one pair a seed (or a fold).

    Assumes differences near a normal distribution and independent of each other: seeds are, folds that share
    training pictures are not quite.

    Raises:
        UsageError: fewer than two pairs, or series of different length.
    """
    difference = _differences(first, second)
    n = len(difference)
    if n < 2:
        raise UsageError("A paired interval needs at least two pairs", got=n, fix="Run more seeds")
    mean, error = float(difference.mean()), float(difference.std(ddof=1)) / math.sqrt(n)
    half = student_t_quantile(0.5 + certainty / 2, n - 1) * error
    if error == 0:
        p_value = 1.0 if mean == 0 else 0.0
    else:
        p_value = 2 * student_t_cdf(-abs(mean) / error, n - 1)
    return Interval(mean, mean - half, mean + half, p_value, n)


def exact_mcnemar(first_right: npt.ArrayLike, second_right: npt.ArrayLike) -> float:
    """Two-sided p-value that two classifiers are equally often right on the same pictures.

    Only pictures that exactly one of them gets right tell; under equality each is a fair coin (McNemar 1947, with the
    binomial distribution itself in place of chi-squared).
    """
    first, second = np.asarray(first_right).astype(bool), np.asarray(second_right).astype(bool)
    if first.shape != second.shape or first.ndim != 1:
        raise UsageError("Both classifiers need one answer a picture", got=f"shapes {first.shape} and {second.shape}")
    only_first, only_second = int((first & ~second).sum()), int((second & ~first).sum())
    tail = binomial_tail(max(only_first, only_second), only_first + only_second, 0.5)
    return min(1.0, 2 * tail)


def paired_bootstrap(
    first: npt.ArrayLike, second: npt.ArrayLike, *, seed: int = 0, resamples: int = 10_000, certainty: float = 0.95
) -> Interval:
    """Percentile bootstrap of the mean of `first - second`, one pair a picture (1 = right, 0 = wrong, or any score).

    The draws are a function of `seed` alone. The p-value is twice the smaller share of resamples on one side of zero,
    and never below one resample.
    """
    difference = _differences(first, second)
    n = len(difference)
    if not n:
        raise UsageError("A bootstrap needs at least one pair", got=0)
    if resamples < 100:
        raise UsageError("A bootstrap needs resamples to have quantiles", got=resamples, expected="100 or more")
    means = np.empty(resamples)
    for resample in range(resamples):
        # 2^64 mod n favours low indices by n / 2^64: nothing.
        drawn = random_bits(Key(seed, 0, resample), "bootstrap", n) % np.uint64(n)
        means[resample] = difference[drawn].mean()
    low, high = np.quantile(means, [0.5 - certainty / 2, 0.5 + certainty / 2])
    beyond = min((means <= 0).sum(), (means >= 0).sum()) / resamples
    p_value = min(1.0, 2 * max(beyond, 1 / resamples))
    return Interval(float(difference.mean()), float(low), float(high), float(p_value), n)


def _differences(first: npt.ArrayLike, second: npt.ArrayLike) -> npt.NDArray[np.float64]:
    a, b = np.asarray(first, np.float64), np.asarray(second, np.float64)
    if a.shape != b.shape or a.ndim != 1:
        raise UsageError("Paired series have to be of the same length", got=f"shapes {a.shape} and {b.shape}")
    return a - b
