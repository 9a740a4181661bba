"""What `separable predict` says whatever is answered."""

import sys
from collections import Counter
from collections.abc import Callable, Iterator
from typing import TypeVar

from separable.cli.output import write_lines

__all__ = ["bar", "counted", "note", "one_line"]

Answer = TypeVar("Answer")

_BAR = 10  # characters of a full bar


def one_line(text: str) -> str:
    """File names may hold line breaks and tabs, which would look like another answer."""
    return "".join(character if character.isprintable() else repr(character)[1:-1] for character in text)


def bar(share: float) -> str:
    """A share from 0 to 1, drawn."""
    blocks = "█░" if (sys.stdout.encoding or "").lower().startswith("utf") else "#."
    full = round(share * _BAR)
    return blocks[0] * full + blocks[1] * (_BAR - full)


def note(text: str) -> None:
    """A sentence beside the answers, on standard error."""
    write_lines(sys.stderr, f"separable: note: {text}")


def counted(
    answers: Iterator[Answer],
    kind: Callable[[Answer], str],
    counts: Counter[str],
    progress: Callable[[int, int | None], None] | None,
) -> Iterator[Answer]:
    """The answers, counted by their kind as they pass."""
    for answer in answers:
        counts[kind(answer)] += 1
        if progress is not None:
            progress(counts.total(), None)
        yield answer
    if progress is not None:
        progress(0, 0)  # takes the line away
