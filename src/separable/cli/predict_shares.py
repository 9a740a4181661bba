"""Answers of `separable predict` about masks, for people and for programs."""

import sys
from collections.abc import Iterator
from dataclasses import dataclass, field
from itertools import islice
from typing import Any

from separable.cli.output import Output
from separable.cli.predict_words import bar, one_line

__all__ = ["MaskAnswer", "print_shares"]

_SHOWN = 5  # classes in a table
_ROWS = 50


@dataclass(frozen=True)
class MaskAnswer:
    """Shares of the picture that the classes cover, and the files written of it; or `error`, why something that was
    asked for is not there: all of it, where there are no shares, else its outlines."""

    path: str
    size: tuple[int, int] = (0, 0)
    shares: dict[str, float] = field(default_factory=dict)
    files: dict[str, str] = field(default_factory=dict)
    error: str | None = None

    def to_json(self) -> dict[str, Any]:
        """`size` is height and width."""
        shares = {name: round(share, 6) for name, share in self.shares.items()}
        size = self.size if self.shares else None
        return {"path": self.path, "size": size, "shares": shares, **self.files, "error": self.error}

    def largest(self) -> list[tuple[str, float]]:
        """The classes that are on the picture, from the one that covers most of it."""
        there = [(name, share) for name, share in self.shares.items() if share > 0]
        return sorted(there, key=lambda one: -one[1])


def print_shares(output: Output, answers: Iterator[MaskAnswer]) -> None:
    """A table on a terminal, elsewhere a line a picture: its path, then class and share in turn, separated by tabs."""
    if not sys.stdout.isatty():
        for answer in answers:
            output.say("\t".join(one_line(cell) for cell in _cells(answer)))
        return
    while rows := list(islice(answers, _ROWS)):  # a screenful at a time: a table needs its widest cell first
        output.table(("picture", "class", "share"), [(one_line(row.path), *_shown(row)) for row in rows])


def _cells(answer: MaskAnswer) -> list[str]:
    if answer.error is not None:
        return [answer.path, f"error: {answer.error}"]
    return [answer.path, *(cell for name, share in answer.largest() for cell in (name, f"{share:.4f}"))]


def _shown(answer: MaskAnswer) -> tuple[str, str]:
    """The same for a table's two columns, one line a class."""
    if answer.error is not None:
        return f"error: {answer.error}", ""
    largest = answer.largest()
    names = [name for name, _ in largest[:_SHOWN]]
    values = [f"{bar(share)} {100 * share:5.1f} %" for _, share in largest[:_SHOWN]]
    if len(largest) > _SHOWN:
        names.append(f"and {len(largest) - _SHOWN} more")
    return "\n".join(names), "\n".join(values)
