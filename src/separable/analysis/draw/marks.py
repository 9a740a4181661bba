"""Findings on a drawing: a numbered dot at the place, and a line in the legend below."""

import textwrap
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

from separable.analysis.draw.shapes import Rect, Shape, Text
from separable.analysis.graph import Graph
from separable.analysis.principles import find_broken_principles

__all__ = ["Mark", "legend", "mark_shapes", "marks_of"]

_RADIUS, _LINE, _LETTERS = 8.5, 16.0, 115
_HEADING = "Broken design principles (arXiv:1512.00567, section 2); grey: on early grids, finer than 1/8 of the picture"


@dataclass(frozen=True)
class Mark:
    """Something to say about the node or module called `where`."""

    where: str
    text: str
    level: Literal["warning", "note"] = "warning"
    place: str = ""
    """What people call it, where that is not its name."""


def mark_shapes(shapes: Sequence[Shape], marks: Sequence[Mark]) -> list[Shape]:
    """A dot with its number at the upper right corner of the smallest shape that stands for the place."""
    dots: list[Shape] = []
    taken: dict[tuple[float, float], int] = {}
    for number, mark in enumerate(marks, start=1):
        rect = _place(shapes, mark.where)
        if rect is not None:
            corner = rect.x + rect.width, rect.y
            x = corner[0] - 2 * _RADIUS * 1.2 * taken.get(corner, 0)
            taken[corner] = taken.get(corner, 0) + 1
            dots += _dot(x, corner[1], number, mark.level)
    return dots


def marks_of(graph: Graph) -> tuple[Mark, ...]:
    """Where the network breaks the design principles of arXiv:1512.00567, section 2."""
    found = find_broken_principles(graph)
    return tuple(Mark(one.where, f"{one.title}. {one.text}", one.level, one.place) for one in found)


def legend(marks: Sequence[Mark], x: float, y: float) -> tuple[list[Shape], float]:
    """One line a mark; also where the lines end."""
    shapes: list[Shape] = []
    if marks:
        shapes.append(Text(x, y + 6, _HEADING, "name", "start", 12))
        y += 30
    for number, mark in enumerate(marks, start=1):
        shapes += _dot(x + _RADIUS, y - 4, number, mark.level)
        for line in textwrap.wrap(
            f"{mark.place or mark.where}: {mark.text}".replace(" %", "\N{NO-BREAK SPACE}%"), _LETTERS
        ):
            shapes.append(Text(x + 2 * _RADIUS + 8, y, line, "" if mark.level == "warning" else "soft", "start", 12))
            y += _LINE
        y += 5
    return shapes, y


def _dot(x: float, y: float, number: int, level: str) -> list[Shape]:
    style = "mark" if level == "warning" else "remark"
    circle = Rect(x - _RADIUS, y - _RADIUS, 2 * _RADIUS, 2 * _RADIUS, style)
    return [circle, Text(x, y + 3.7, str(number), "on-mark", size=10)]


def _place(shapes: Sequence[Shape], where: str) -> Rect | None:
    """The smallest shape among those that stand for most of what is called `where`."""
    best: Rect | None = None
    key = (0, 0.0)
    for shape in shapes:
        if isinstance(shape, Rect) and shape.style != "behind":
            count = sum(name == where or name.startswith(f"{where}.") for name in shape.names)
            if count and (count, -shape.width * shape.height) > key:
                best, key = shape, (count, -shape.width * shape.height)
    return best
