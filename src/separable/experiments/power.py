"""What a comparison can see, said before it runs: the smallest difference found in four of five repetitions."""

import functools
import math
from collections.abc import Mapping, Sequence
from typing import Any

from separable.analysis.distributions import noncentral_t_tail, student_t_quantile
from separable.experiments.results import Power, Result
from separable.experiments.schema import MEASURES
from separable.experiments.wording import measure_of, size_text, value_text

__all__ = ["SPREAD", "power", "power_text", "smallest_difference"]

SPREAD = 0.01
"""Of a share over seeds, where no earlier result says: a point, as small trainings on a few thousand pictures have."""
_LEVEL_EXPECTED = 0.8
"""Share of pictures that an arm gets right, where no earlier result says."""
_LASTING = 0.5
"""Of the variance of these disagreements, what other seeds of the same two arms repeat."""
_CHANCE = 0.8
_LEVEL = 0.05
_ALIKE = ("recipe", "epochs", "batch_size", "image_size", "changes", "precision")
"""Entries of a setup that spreads depend on whatever the network."""


def smallest_difference(error: float, degrees: float) -> float:
    """The true difference that a two-sided t test at 5 % finds with 80 %, for a standard error and its degrees."""
    return error * _shift(degrees)


@functools.lru_cache(maxsize=256)
def _shift(degrees: float) -> float:
    """In standard errors."""
    limit = student_t_quantile(1 - _LEVEL / 2, degrees)

    def seen(shift: float) -> float:
        return noncentral_t_tail(limit, degrees, shift) + noncentral_t_tail(limit, degrees, -shift)

    low, high = 0.0, 1.0
    while seen(high) < _CHANCE:
        low, high = high, 2 * high
    for _ in range(40):
        middle = (low + high) / 2
        low, high = (middle, high) if seen(middle) < _CHANCE else (low, middle)
    return high


def power(
    *,
    seeds: int,
    held_out: int,
    measure: str = "top1",
    earlier: Result | Sequence[Result] | None = None,
    like: tuple[Mapping[str, Any], Mapping[str, Any]] | None = None,
) -> Power | None:
    """Plan a paired comparison of two arms; None where one seed, one picture or no expected spread leaves it open.

    Args:
        held_out: pictures that are measured.
        earlier: of any experiments. The spreads over seeds and the accuracies of those that are `like` this one are
            expected again, pooled over their arms. Otherwise a spread of `SPREAD` and four pictures of five right
            are, for shares; of other measures nothing is known beforehand.
        like: the `data` and `setup` of what is planned, as a `Result` has them. An earlier result is like it with the
            same pictures, and trained alike, whatever its networks and however many its seeds.

    The variance of the difference is that of two arms' spreads, over the seeds, and for scores of pictures that of the
    disagreements that other seeds repeat, over the pictures. Two answers that are correlated by a half differ with the
    variance accuracy * (1 - accuracy), and half of that is taken to be repeated. What is found afterwards says what
    could have been seen in fact.
    """
    given = [earlier] if isinstance(earlier, Result) else list(earlier or ())
    spread, level, source = _expected(measure, [one for one in given if like is not None and _is_like(one, *like)])
    if seeds < 2 or held_out < 2 or spread is None:
        return None
    by_seed = 2 * spread**2 / seeds
    disagreement = level * (1 - level)
    by_picture = _LASTING * disagreement / held_out if measure_of(measure).unit == "%" else 0.0
    weighed = by_seed**2 / (seeds - 1) + by_picture**2 / (held_out - 1)
    degrees = (by_seed + by_picture) ** 2 / weighed if weighed > 0 else seeds - 1.0
    smallest = smallest_difference(math.sqrt(by_seed + by_picture), degrees)
    return Power(seeds, held_out, spread, source, smallest, measure)


def power_text(power: Power | None, *, seeds: int) -> str:
    """One sentence on what can be seen."""
    if power is None:
        few = "One seed an arm: nothing" if seeds < 2 else "Nothing"
        return f"{few} can be said beforehand of how large a difference would be seen."
    text = MEASURES[power.measure].text if power.measure in MEASURES else power.measure
    spread = f"{value_text(power.measure, power.spread)}{' points' if measure_of(power.measure).unit == '%' else ''}"
    return (
        f"With {power.seeds} seeds and {power.held_out:,} held-out pictures, a difference in {text} of "
        f"{size_text(power.measure, power.smallest_difference)} is seen in four of five repetitions (two-sided 5 %), "
        f"if seeds spread by {spread} ({power.spread_source})."
    )


def _is_like(result: Result, data: Mapping[str, Any], setup: Mapping[str, Any]) -> bool:
    """Spreads over seeds are those of a recipe on pictures."""
    same = bool(data.get("fingerprint")) and result.data.get("fingerprint") == data["fingerprint"]
    return same and all(result.setup.get(name) == setup.get(name) for name in _ALIKE)


def _expected(measure: str, earlier: Sequence[Result]) -> tuple[float | None, float, str]:
    """Spread over seeds, level and where they are from. Arms that several results share count once."""
    telling = [one for one in earlier if any(arm.spread.get(measure) for arm in one.arms)]
    found = [arm for one in telling for arm in one.arms if arm.spread.get(measure)]
    arms = {tuple(seed.cell for seed in arm.seeds): arm for arm in found}
    if arms:
        spread = math.sqrt(sum(arm.spread[measure] ** 2 for arm in arms.values()) / len(arms))
        level = sum(arm.mean[measure] for arm in arms.values()) / len(arms)
        several = f"pooled over {len(arms)} arms of " if len(arms) > 1 else "as in "
        source = "an earlier result" if len(telling) == 1 else f"{len(telling)} earlier results"
        return spread, min(max(level, 0.0), 1.0), f"{several}{source} on the same pictures"
    default = SPREAD if measure_of(measure).unit == "%" else None
    return default, _LEVEL_EXPECTED, "assumed, there is no earlier result"
