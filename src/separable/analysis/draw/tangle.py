"""Placing what is neither in series nor in parallel: boxes down a line in the order of execution, arcs beside them."""

import itertools
from collections.abc import Callable
from dataclasses import dataclass

from separable.analysis.draw.shapes import Line, Piece, Port, Shape, text_pixels
from separable.analysis.draw.tree import Tangle
from separable.analysis.draw.units import Unit

__all__ = ["lay_out_tangle"]

_GAP, _LANE = 14.0, 8.0


def lay_out_tangle(
    tangle: Tangle, box: Callable[[Unit, float], Piece], write: Callable[[Unit], tuple[str, str]]
) -> Piece:
    """One box below the other; whatever a box gives to others than the next goes down a lane of its own."""
    width = max(max(text_pixels(write(unit)[0]), text_pixels(write(unit)[1], 10)) for unit in tangle.units) + 18
    column = _stack(tangle, box, width)
    shapes, exits, lanes = _lay_out_lanes(tangle, column)
    more_shapes, entries = _lay_out_entries(tangle, column)
    right = width / 2 + (12 + lanes * _LANE if lanes else 0)
    left = width / 2 + (22 if more_shapes else 0)
    return Piece(left, right, column.height, (*column.shapes, *shapes, *more_shapes), tuple(entries), tuple(exits))


@dataclass(frozen=True)
class _Column:
    """The boxes, and where each begins and ends."""

    shapes: tuple[Shape, ...]
    width: float
    height: float
    tops: dict[int, float]
    bottoms: dict[int, float]


def _stack(tangle: Tangle, box: Callable[[Unit, float], Piece], width: float) -> _Column:
    shapes: list[Shape] = []
    tops, bottoms = {}, {}
    y = 0.0
    for unit in tangle.units:
        piece = box(unit, width).moved(0, y)
        shapes += piece.shapes
        tops[unit.index], bottoms[unit.index] = y, y + piece.height
        y += piece.height + _GAP
    return _Column(tuple(shapes), width, y - _GAP, tops, bottoms)


def _lay_out_lanes(tangle: Tangle, column: _Column) -> tuple[list[Shape], list[Port], int]:
    """The lines from box to box, straight or down a lane at the right; where the piece is left; how many lanes."""
    shapes: list[Shape] = []
    following = {a.index: b.index for a, b in itertools.pairwise(tangle.units)}
    arcs: dict[int, list[float]] = {}  # where the lane of each source must reach
    for source, target in tangle.edges:
        if following.get(source) == target:
            shapes.append(Line(((0, column.bottoms[source]), (0, column.tops[target]))))
        else:
            arcs.setdefault(source, []).append(column.tops[target] + 8)
    last = tangle.units[-1].index
    leaving = [index for index in tangle.ends if index != last]
    exits = [Port(0, column.height)] if last in tangle.ends else []
    lanes: list[float] = []
    edge = column.width / 2
    for source in sorted({*arcs, *leaving}):
        start = column.bottoms[source] - 6
        end = column.height if source in leaving else max(arcs[source])
        lane = next((place for place, free in enumerate(lanes) if free < start - 2), len(lanes))
        lanes[lane : lane + 1] = [end + 12]
        x = edge + 12 + lane * _LANE
        shapes += [Line(((x, place), (edge, place))) for place in arcs.get(source, [])]
        shapes.append(Line(((edge, start), (x, start), (x, end)), arrow=False))
        if source in leaving:
            exits.append(Port(x, column.height))
    return shapes, exits, len(lanes)


def _lay_out_entries(tangle: Tangle, column: _Column) -> tuple[list[Shape], list[Port]]:
    """The line at the left to boxes other than the first that read what comes in; where the piece is entered."""
    first = tangle.units[0].index
    entering = [index for index in tangle.starts if index != first]
    entries = [Port(0, 0)] if first in tangle.starts else []
    if not entering:
        return [], entries
    edge, tops = column.width / 2, column.tops
    x = -edge - 14
    down = Line(((x, 0), (x, tops[entering[-1]] + 8)), arrow=False)
    across = [Line(((x, tops[index] + 8), (-edge, tops[index] + 8))) for index in entering]
    return [down, *across], [Port(x, 0, ends=False), *entries]
