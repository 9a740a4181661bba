"""Can a class be told without looking, from the kind of file alone? Then a network may learn just that."""

from collections import Counter
from collections.abc import Hashable, Iterator, Sequence

from separable.data.check_problems import Finding, Problem, Survey, counted, percent

__all__ = ["giveaway_problems"]

_ENOUGH = 50  # training pictures below which nothing is concluded


def giveaway_problems(survey: Survey) -> Iterator[Problem]:
    """One warning for each of format, size and greyness that names the class much better than guessing does."""
    chosen = [i for i, one in enumerate(survey.facts) if one.cause is None and not survey.held_out[i]]
    if len(chosen) < _ENOUGH:
        return
    names = [survey.name(i) for i in chosen]
    chance = max(Counter(names).values()) / len(names)
    kinds: dict[str, list[str]] = {
        "the file format": [survey.facts[i].format for i in chosen],
        "the picture's size": [f"{survey.facts[i].width}x{survey.facts[i].height}" for i in chosen],
        "whether it is grey": ["grey" if "grey" in survey.facts[i].traits else "in colour" for i in chosen],
    }
    for name, values in kinds.items():
        told = _told(values, names)
        if told - chance > survey.limits.giveaway * (1 - chance):
            yield Problem(
                "giveaway",
                "warning",
                f"Knowing only {name}, one can name the class of {percent(told)} of the training pictures "
                f"(guessing: {percent(chance)}).",
                "Make all classes the same way: a network may learn this in place of what the pictures show.",
                tuple(_telling(values, names)),
            )


def _told(values: Sequence[Hashable], names: Sequence[str]) -> float:
    """Accuracy of naming, for each picture, the class most frequent among the others with its value.

    Among the others, so that a value that occurs once, as most sizes may, tells nothing. Draws count as wrong.
    """
    together = Counter(zip(values, names, strict=True))
    by_value: dict[Hashable, list[int]] = {}
    for (value, _), count in together.items():
        by_value.setdefault(value, []).append(count)
    right = 0
    for counts in by_value.values():
        counts.sort()
        rival = counts[-2] if len(counts) > 1 else 0
        if counts[-1] - 1 > rival:
            right += counts[-1]
    return right / len(names)


def _telling(values: Sequence[str], names: Sequence[str]) -> Iterator[Finding]:
    for (value, name), count in Counter(zip(values, names, strict=True)).most_common(10):
        yield Finding(name, detail=f"{counted(count, 'picture')}: {value}")
