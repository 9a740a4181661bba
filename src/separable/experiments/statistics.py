"""Whether one arm is better than another, over seeds and held-out pictures at once, and how sure that is."""

import functools
import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from separable.analysis.distributions import student_t_cdf, student_t_quantile
from separable.errors import UsageError

__all__ = [
    "Difference",
    "compare_paired",
    "compare_seeds",
    "compare_unpaired",
    "holm",
    "mean_interval",
    "overlap_scores",
]

_OUTSIDE = 0.025
"""Of the 95 % interval, on either side."""

_Matrix = npt.NDArray[np.float64]


@dataclass(frozen=True)
class Difference:
    """Mean of left minus right with its 95 % interval, in the measure's own unit.

    `error` is the standard error and `degrees` the degrees of freedom behind it, NaN where neither can be known.
    `pictures` is 0 where the seeds' means were all there was.
    """

    mean: float
    low: float
    high: float
    error: float
    degrees: float
    seeds: int
    pictures: int = 0

    @property
    def known(self) -> bool:
        """Whether there is an interval at all."""
        return math.isfinite(self.low) and math.isfinite(self.high)

    def sure_above(self, value: float = 0.0) -> float:
        """One-sided confidence that the difference is above `value`; 0.5 says nothing."""
        return 1.0 - self.sure_below(value)

    def sure_below(self, value: float = 0.0) -> float:
        """One-sided confidence that the difference is below `value`."""
        if not self.known:
            return math.nan
        return student_t_cdf((value - self.mean) / self.error, self.degrees)


def compare_paired(left: npt.ArrayLike, right: npt.ArrayLike) -> Difference:
    """Compare two arms that were trained with the same seeds and measured on the same pictures.

    Both are (seeds, pictures): right or wrong as 1 or 0, or any score from 0 to 1 a picture. Seeds and pictures are
    crossed random effects of the differences, so the interval is about other seeds and other pictures of the same
    kind; that other training pictures would be learnt from as well is not in it. The variance of the mean comes from
    the mean squares of a two-way layout, MS_seeds + max(MS_pictures - MS_rest, 0), over the number of differences; its
    degrees of freedom are Satterthwaite's (Biometrics Bulletin 2, 1946, p. 110). The interval is never narrower than
    that of the pictures by themselves: with two or three seeds the mean square of the seeds is small by chance too
    often. Simulated, it holds the truth in 93 to 99 % of the cases with 3 seeds and more, and with 2 seeds, where
    these make all the difference, in 90 %.

    With one seed the interval is that of the pictures alone: of these two networks, not of the arms.
    Where no difference varies, the interval is from how many other pictures could have been missed: with none of n
    they are fewer than 1 - 0.025^(1/n) (Clopper and Pearson 1934).

    Raises:
        UsageError: no matrices of one shape, with two pictures and more, of numbers.
    """
    first, second = np.asarray(left, np.float64), np.asarray(right, np.float64)
    if first.shape != second.shape or first.ndim != 2 or first.shape[0] < 1 or first.shape[1] < 2:
        raise UsageError(
            "Arms are compared on the same seeds and pictures",
            got=f"shapes {first.shape} and {second.shape}",
            expected="(seeds, pictures) of both, with two pictures and more",
        )
    if not (np.isfinite(first).all() and np.isfinite(second).all()):
        raise UsageError("A score of a picture is not a number", fix="Leave out the seeds that diverged")
    differences = first - second
    seeds, pictures = differences.shape
    mean = float(differences.mean())
    if np.ptp(differences) == 0:
        return _unvaried(mean, seeds, pictures)
    chosen = _by_pictures(differences)
    if seeds > 1:
        chosen = max(chosen, _crossed(differences), key=lambda one: one[0] * _quantile(one[1]))
    return _difference(mean, *chosen, seeds, pictures)


def compare_seeds(left: Sequence[float], right: Sequence[float]) -> Difference:
    """Compare by one value a seed, where the pictures' own are not to be had. Student's paired interval.

    With one seed, or where the difference is the same to the last digit in all, there is no interval.
    """
    differences = np.asarray(left, np.float64) - np.asarray(right, np.float64)
    seeds = len(differences)
    error = float(differences.std(ddof=1)) / math.sqrt(seeds) if seeds > 1 else math.nan
    return _difference(float(differences.mean()), error, seeds - 1.0, seeds, 0)


def compare_unpaired(left: Sequence[float], right: Sequence[float]) -> Difference:
    """Compare repeated measurements that have nothing to do with each other, as timings. Welch's interval (1947)."""
    sides = [np.asarray(side, np.float64) for side in (left, right)]
    mean = float(sides[0].mean() - sides[1].mean())
    least = min(map(len, sides))
    if least < 2:
        return _difference(mean, math.nan, math.nan, least, 0)
    shares = [float(side.var(ddof=1)) / len(side) for side in sides]
    weighed = sum(share**2 / (len(side) - 1) for share, side in zip(shares, sides, strict=True))
    degrees = sum(shares) ** 2 / weighed if weighed > 0 else math.nan
    return _difference(mean, math.sqrt(sum(shares)), degrees, least, 0)


def mean_interval(values: Sequence[float]) -> tuple[float, float] | None:
    """95 % interval of an arm's mean over seeds, by Student's t; None of fewer than two."""
    if len(values) < 2:
        return None
    mean, deviation = float(np.mean(values)), float(np.std(values, ddof=1))
    half = _quantile(len(values) - 1) * deviation / math.sqrt(len(values))
    return mean - half, mean + half


def holm(p_values: Sequence[float]) -> list[float]:
    """Holm's correction (Scandinavian Journal of Statistics 6, 1979): p-values that together err in 5 % of the cases.

    The smallest counts as many times as there are, the next once less, and none less than the one before.
    """
    corrected, before = [0.0] * len(p_values), 0.0
    for rank, index in enumerate(sorted(range(len(p_values)), key=lambda one: p_values[one])):
        before = max(before, min(1.0, (len(p_values) - rank) * p_values[index]))
        corrected[index] = before
    return corrected


def overlap_scores(intersections: npt.ArrayLike, unions: npt.ArrayLike) -> _Matrix:
    """A score a picture whose mean is the mean IoU of all pixels together, for paired comparisons.

    A ratio of sums has no parts; to the first order a picture moves IoU_c by (I_c - IoU_c * U_c) over the mean of U_c
    (the linearised variance of a ratio: Cochran, Sampling Techniques, section 6.4). Both are (pictures, classes);
    classes that no picture has are left out.
    """
    inside, around = np.asarray(intersections, np.float64), np.asarray(unions, np.float64)
    there = around.sum(0) > 0
    inside, around = inside[:, there], around[:, there]
    share = inside.sum(0) / around.sum(0)
    scores: _Matrix = (share + (inside - share * around) / around.mean(0)).mean(1)
    return scores


@functools.lru_cache(maxsize=256)
def _quantile(degrees: float) -> float:
    return student_t_quantile(1 - _OUTSIDE, degrees)


def _by_pictures(differences: _Matrix) -> tuple[float, float]:
    """Standard error and degrees of freedom of the mean if the seeds were all there are."""
    means = differences.mean(0)
    return float(means.std(ddof=1)) / math.sqrt(len(means)), len(means) - 1.0


def _crossed(differences: _Matrix) -> tuple[float, float]:
    """Standard error and degrees of freedom of the mean of two crossed random effects."""
    seeds, pictures = differences.shape
    mean = differences.mean()
    by_seed, by_picture = differences.mean(1, keepdims=True), differences.mean(0, keepdims=True)
    rest = differences - by_seed - by_picture + mean
    freedoms = (seeds - 1, pictures - 1, (seeds - 1) * (pictures - 1))
    sums = (pictures * ((by_seed - mean) ** 2).sum(), seeds * ((by_picture - mean) ** 2).sum(), (rest**2).sum())
    squares = [float(one) / freedom for one, freedom in zip(sums, freedoms, strict=True)]
    beyond = squares[1] - squares[2]
    used = 3 if beyond > 0 else 1
    weighed = sum(square**2 / freedom for square, freedom in zip(squares[:used], freedoms, strict=False))
    total = squares[0] + max(beyond, 0.0)
    degrees = total**2 / weighed if weighed > 0 else seeds - 1.0
    return math.sqrt(total / (seeds * pictures)), max(degrees, seeds - 1.0)


def _unvaried(mean: float, seeds: int, pictures: int) -> Difference:
    """All differences are the same: others can be at most a share of the pictures, and anything from -1 to 1."""
    missed = 1 - _OUTSIDE ** (1 / pictures)
    low, high = mean - missed * (1 + mean), mean + missed * (1 - mean)
    degrees = pictures - 1.0
    error = max(mean - low, high - mean) / _quantile(degrees)
    return Difference(mean, low, high, error, degrees, seeds, pictures)


def _difference(mean: float, error: float, degrees: float, seeds: int, pictures: int) -> Difference:
    if not (error > 0 and degrees > 0):
        return Difference(mean, math.nan, math.nan, math.nan, math.nan, seeds, pictures)
    half = _quantile(degrees) * error
    return Difference(mean, mean - half, mean + half, error, degrees, seeds, pictures)
