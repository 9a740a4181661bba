"""The few probability distributions that intervals and tests need, so that no one has to install SciPy."""

import math
from collections.abc import Callable

from separable.errors import UsageError

__all__ = [
    "beta_cdf",
    "binomial_lower_bound",
    "binomial_tail",
    "noncentral_t_tail",
    "student_t_cdf",
    "student_t_quantile",
]

_SMALLEST = 1e-300
_CLOSE = 1e-15
_TERMS = 20_000
_PANELS = 2_000


def beta_cdf(x: float, a: float, b: float) -> float:
    """The regularised incomplete beta function I_x(a, b): P(X <= x) for X ~ Beta(a, b).

    Lentz's evaluation of the continued fraction DLMF 8.17.22, on the side of the mean where it converges fast.
    """
    if not (a > 0 and b > 0):
        raise UsageError("A beta distribution needs two positive parameters", got=f"{a} and {b}")
    if x <= 0 or x >= 1:
        return float(x >= 1)
    if x > (a + 1) / (a + b + 2):
        return 1 - beta_cdf(1 - x, b, a)
    front = math.exp(math.lgamma(a + b) - math.lgamma(a) - math.lgamma(b) + a * math.log(x) + b * math.log1p(-x))
    return front * _continued_fraction(x, a, b) / a


def binomial_tail(successes: int, trials: int, probability: float) -> float:
    """P(X >= successes) for X ~ Binomial(trials, probability)."""
    if successes <= 0:
        return 1.0
    if successes > trials:
        return 0.0
    return beta_cdf(probability, successes, trials - successes + 1)


def binomial_lower_bound(successes: int, trials: int, certainty: float = 0.95) -> float:
    """One-sided Clopper-Pearson bound: with this certainty the success rate is at least the returned value."""
    if not 0 <= successes <= trials:
        raise UsageError("Successes have to lie between 0 and the trials", got=f"{successes} of {trials}")
    if successes == 0:
        return 0.0
    return _invert(lambda rate: binomial_tail(successes, trials, rate), 1 - certainty, 0.0, 1.0)


def student_t_cdf(t: float, degrees: float) -> float:
    """P(T <= t) for Student's t with `degrees` degrees of freedom."""
    if t * t < degrees:  # near the middle 1 - t^2 / (degrees + t^2) would lose what is small
        inside = 0.5 * beta_cdf(t * t / (degrees + t * t), 0.5, degrees / 2)
        return 0.5 + math.copysign(inside, t)
    tail = 0.5 * beta_cdf(degrees / (degrees + t * t), degrees / 2, 0.5)
    return 1 - tail if t > 0 else tail


def student_t_quantile(probability: float, degrees: float) -> float:
    """The t with P(T <= t) = `probability`, which lies strictly between 0 and 1."""
    if not 0 < probability < 1:
        raise UsageError("A quantile needs a probability between 0 and 1", got=probability)
    if probability < 0.5:
        return -student_t_quantile(1 - probability, degrees)
    high = 1.0
    while student_t_cdf(high, degrees) < probability:
        high *= 2
    return _invert(lambda t: student_t_cdf(t, degrees), probability, 0.0, high)


def noncentral_t_tail(t: float, degrees: float, shift: float) -> float:
    """P((Z + shift) / sqrt(X / degrees) > t), Z standard normal, X chi-squared: what a t test sees of a true shift.

    The mean of P(Z > t * x - shift) over x = sqrt(X / degrees), by Simpson's rule on the fourth root y of x, where the
    integrand has no corner at 0; ten deviations of x are left out on either side.
    """
    middle, reach = 1.0, 10 / math.sqrt(2 * degrees)
    low, high = (math.sqrt(math.sqrt(max(0.0, end))) for end in (middle - reach, middle + reach))
    constant = math.log(2) + degrees / 2 * math.log(degrees / 2) - math.lgamma(degrees / 2)
    step, total = (high - low) / _PANELS, 0.0
    for index in range(_PANELS + 1):
        y = low + index * step
        if y == 0:
            continue  # the density of y is 0 there for every number of degrees from a half on
        x = y**4
        # x has the density 2 (d/2)^(d/2) / gamma(d/2) x^(d-1) exp(-d x^2 / 2), and dx = 4 y^3 dy.
        density = 4 * y**3 * math.exp(constant + (degrees - 1) * math.log(x) - degrees * x * x / 2)
        weight = 1 if index in (0, _PANELS) else 2 + 2 * (index % 2)
        total += weight * density * math.erfc((t * x - shift) / math.sqrt(2)) / 2
    return total * step / 3


def _continued_fraction(x: float, a: float, b: float) -> float:
    c, d = 1.0, 1 / _away_from_zero(1 - (a + b) * x / (a + 1))
    value = d
    for m in range(1, _TERMS):
        even = m * (b - m) * x / ((a + 2 * m - 1) * (a + 2 * m))
        odd = -(a + m) * (a + b + m) * x / ((a + 2 * m) * (a + 2 * m + 1))
        step = 1.0
        for numerator in (even, odd):
            d = 1 / _away_from_zero(1 + numerator * d)
            c = _away_from_zero(1 + numerator / c)
            step = d * c
            value *= step
        if abs(step - 1) < _CLOSE:
            break
    return value


def _away_from_zero(value: float) -> float:
    return value if abs(value) > _SMALLEST else _SMALLEST


def _invert(increasing: Callable[[float], float], target: float, low: float, high: float) -> float:
    """Bisection to the last bit of the interval; the function has to be monotone, nothing else."""
    for _ in range(200):
        middle = (low + high) / 2
        if middle in (low, high):
            break
        if increasing(middle) < target:
            low = middle
        else:
            high = middle
    return (low + high) / 2
