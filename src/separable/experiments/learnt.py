"""Whether an arm has learnt enough for a comparison to be about it, and not about who left chance first.

A seed is at chance where its share is not beyond `reach`: twice chance, or chance and a tenth of what is left above it
where that is less (two classes, mean average precision), or three standard errors of chance over the held-out pictures
where that is more. An arm with such a seed did not train, and one whose seeds lie further apart than `APART` has not
settled: what its mean says depends on which seeds it got, and a t interval of two or three seeds, which takes them for
draws from one bell, does not cover two heaps. Both limits were fixed without looking at any claim.
"""

import math
from collections.abc import Mapping

from separable.experiments.wording import measure_of, value_text

__all__ = ["APART", "at_chance", "reach", "why_not_judged"]

APART = 0.15
"""Of shares: seeds of one arm that lie further apart than this have not settled."""
_ERRORS = 3.0


def reach(chance: float, pictures: int) -> float:
    """The share up to which a network may be at chance; `pictures` are those it was measured on, 0 where unknown."""
    relative = min(2 * chance, chance + 0.1 * (1 - chance))
    error = math.sqrt(chance * (1 - chance) / pictures) if pictures else 0.0
    return max(relative, chance + _ERRORS * error)


def at_chance(measure: str, values: Mapping[int, float], chance: float | None, pictures: int = 0) -> list[int]:
    """Seeds that are at chance; none where chance is not known."""
    if chance is None:
        return []
    return [seed for seed, value in values.items() if _share(measure, value) <= reach(chance, pictures)]


def why_not_judged(name: str, measure: str, values: Mapping[int, float], chance: float | None, pictures: int) -> str:
    """What keeps an arm from being judged, in words; empty where nothing does."""
    if not values or measure_of(measure).unit != "%":
        return ""
    low, high = min(values.values()), max(values.values())
    mean = value_text(measure, sum(values.values()) / len(values), unit=True)
    found = f"{mean} on average, seeds from {value_text(measure, low)} to {value_text(measure, high, unit=True)}"
    found = found if len(values) > 1 else f"{mean} with its seed"
    stuck = at_chance(measure, values, chance, pictures)
    if chance is not None and stuck:
        some = f" with {len(stuck)} of {len(values)} seeds" if len(stuck) < len(values) else ""
        level = value_text(measure, _share(measure, chance), unit=True)
        return f"{name} did not train here{some}: {found}; chance is {level}"
    if high - low > APART:
        return f"{name} did not settle here: {found}, further apart than {100 * APART:.0f} points"
    return ""


def _share(measure: str, value: float) -> float:
    """Of errors what is right, and the other way round."""
    return 1 - value if measure.endswith("_error") else value
