"""Placing what is neither in series nor in parallel: boxes down a line in the order of execution, arcs beside them."""

import itertools
from collections.abc import Callable

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
    shapes: list[Shape] = []
    tops, bottoms = {}, {}
    y = 0.0
    for unit in tangle.units:
        piece = box(unit, width).moved(0, y)
        shapes += piece.shapes
        tops[unit.index], bottoms[unit.index] = y, y + piece.height
        y += piece.height + _GAP
    height = y - _GAP
    following = {a.index: b.index for a, b in itertools.pairwise(tangle.units)}
    arcs: dict[int, list[float]] = {}  # where the lane of each source must reach
    for source, target in tangle.edges:
        if following.get(source) == target:
            shapes.append(Line(((0, bottoms[source]), (0, tops[target]))))
        else:
            arcs.setdefault(source, []).append(tops[target] + 8)
    last = tangle.units[-1].index
    leaving = [index for index in tangle.ends if index != last]
    exits = [Port(0, height)] if last in tangle.ends else []
    lanes: list[float] = []
    for source in sorted({*arcs, *leaving}):
        start = bottoms[source] - 6
        end = height if source in leaving else max(arcs[source])
        lane = next((place for place, free in enumerate(lanes) if free < start - 2), len(lanes))
        lanes[lane : lane + 1] = [end + 12]
        x = width / 2 + 12 + lane * _LANE
        for place in arcs.get(source, []):
            shapes.append(Line(((x, place), (width / 2, place))))
        if source not in leaving:
            shapes.append(Line(((width / 2, start), (x, start), (x, end)), arrow=False))
        if source in leaving:
            shapes.append(Line(((width / 2, start), (x, start), (x, height)), arrow=False))
            exits.append(Port(x, height))
    entering = [index for index in tangle.starts if index != tangle.units[0].index]
    entries = [Port(0, 0)] if tangle.units[0].index in tangle.starts else []
    if entering:
        x = -width / 2 - 14
        entries.insert(0, Port(x, 0, ends=False))
        shapes.append(Line(((x, 0), (x, tops[entering[-1]] + 8)), arrow=False))
        shapes += [Line(((x, tops[index] + 8), (-width / 2, tops[index] + 8))) for index in entering]
    right = width / 2 + (12 + len(lanes) * _LANE if lanes else 0)
    left = width / 2 + (22 if entering else 0)
    return Piece(left, right, height, tuple(shapes), tuple(entries), tuple(exits))
