"""Findings on a drawing: a numbered dot at the place, and a line in the legend below."""

import textwrap
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

from separable.analysis.draw.shapes import Rect, Shape, Text
from separable.analysis.graph import Graph
from separable.analysis.principles import find_broken_principles

__all__ = ["Mark", "legend", "mark_shapes", "marks_of"]

_RADIUS, _LINE, _LETTERS = 8.5, 20.0, 130


@dataclass(frozen=True)
class Mark:
    """Something to say about the node or module called `where`."""

    where: str
    text: str
    level: Literal["warning", "note"] = "warning"


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
    return tuple(Mark(one.where, f"{one.title}. {one.text}", one.level) for one in found)


def legend(marks: Sequence[Mark], x: float, y: float) -> tuple[list[Shape], float]:
    """One line a mark; also where the lines end."""
    shapes: list[Shape] = []
    for number, mark in enumerate(marks, start=1):
        shapes += _dot(x + _RADIUS, y - 4, number, mark.level)
        for line in textwrap.wrap(f"{mark.where}: {mark.text}", _LETTERS):
            shapes.append(Text(x + 2 * _RADIUS + 8, y, line, "" if mark.level == "warning" else "soft", "start", 12))
            y += _LINE - 4
        y += 6
    return shapes, y


def _dot(x: float, y: float, number: int, level: str) -> list[Shape]:
    style = "mark" if level == "warning" else "remark"
    circle = Rect(x - _RADIUS, y - _RADIUS, 2 * _RADIUS, 2 * _RADIUS, style)
    return [circle, Text(x, y + 3.7, str(number), "on-mark", size=10)]


def _place(shapes: Sequence[Shape], where: str) -> Rect | None:
    def fits(name: str) -> bool:
        return name == where or name.startswith(f"{where}.")

    found = [
        shape for shape in shapes if isinstance(shape, Rect) and shape.style != "behind" and any(map(fits, shape.names))
    ]
    exact = [shape for shape in found if where in shape.names]
    candidates = exact or found
    if not candidates:
        return None
    pick = min if exact else max
    return pick(candidates, key=lambda shape: shape.width * shape.height)
