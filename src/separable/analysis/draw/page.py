"""The whole drawing: title, columns of the main line, types of modules, notes, findings."""

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

from separable.analysis.draw.blocks import Group, Network, count_branches
from separable.analysis.draw.columns import BETWEEN_COLUMNS, beside, column, pack
from separable.analysis.draw.flow import box_width, lay_out
from separable.analysis.draw.groups import boxed, framed, row, row_width, with_side
from separable.analysis.draw.labels import shape_text
from separable.analysis.draw.marks import Mark, legend, mark_shapes
from separable.analysis.draw.panels import find_types, panel, side_panel
from separable.analysis.draw.sections import divide
from separable.analysis.draw.shapes import Piece, Shape, Text, text_pixels
from separable.analysis.draw.shelves import arrangements
from separable.analysis.draw.tree import Box, Parallel
from separable.analysis.draw.words import Words

__all__ = ["Page", "compose"]

_EDGE, _TOP = 28.0, 74.0
_WIDE_MODULE, _MANY_MODULES = 430.0, 12
_MOST_COLUMNS = 7
_SHAPE = 1.35
"""Width by height that a drawing of many columns aims at."""


@dataclass(frozen=True)
class Page:
    """Shapes within (0, 0) and (width, height)."""

    width: float
    height: float
    shapes: tuple[Shape, ...]


def compose(
    network: Network, words: Words, *, title: str, subtitle: str, marks: Sequence[Mark] = (), inline: bool = False
) -> Page:
    """Arrange everything.

    Modules are drawn where they stand if they are few and slim; else the main line is an overview, and each type of
    module is drawn once beside it. `inline` draws all of them where they stand.
    """
    modules = [group for group in network.groups if _is_module(group)]
    overview = not inline and _needs_overview(modules, words)
    types = find_types(modules) if overview else []
    titles = {id(group): kind.title for kind in types for group in kind.groups}
    extra = [panel(kind, words) for kind in types]
    extra += [side_panel(side, words, _block_with(network, side.source)) for side in network.sides]
    render = _renderer(network, words, titles)
    body = _best(_lines(network, render), list(arrangements(extra, BETWEEN_COLUMNS)) if extra else [])
    return _finish(body, title, subtitle, words.caption(), marks)


def _lines(network: Network, render: Callable[[Group], Piece]) -> list[Piece]:
    """The main line in one column, in two, and so on."""
    sections = divide(network)
    lines = []
    for count in range(1, _MOST_COLUMNS + 1):
        columns = pack(sections, render, count)
        last = len(columns) - 1
        lines.append(
            beside(
                [column(part, render, is_first=not place, is_last=place == last) for place, part in enumerate(columns)]
            )
        )
    return lines


def _best(lines: Sequence[Piece], panels: Sequence[Piece]) -> Piece:
    """The pair of a line and of panels beside it that makes a small drawing of a good shape."""

    def badness(pair: Sequence[Piece]) -> float:
        width = sum(piece.width + BETWEEN_COLUMNS for piece in pair) - BETWEEN_COLUMNS
        height = max(piece.height for piece in pair)
        return width * height * (1 + 1.5 * abs(math.log(width / height / _SHAPE)))

    pairs = [[line, beside_it] for line in lines for beside_it in panels] if panels else [[line] for line in lines]
    return beside(min(pairs, key=badness))


def _renderer(network: Network, words: Words, titles: Mapping[int, str]) -> Callable[[Group], Piece]:
    """Draws a group as a row of the overview, a box, or a frame; boxes on the axis are equally wide everywhere."""
    drawn_here = [group.first.series for group in network.groups if id(group) not in titles]
    rows = [row_width(group, titles[id(group)]) for group in network.groups if id(group) in titles]
    width = max([120.0, *rows, *(box_width(series, words) for series in drawn_here)])
    drawn: dict[int, Piece] = {}

    def render(group: Group) -> Piece:
        if id(group) not in drawn:
            if id(group) in titles:
                drawn[id(group)] = row(group, titles[id(group)], width)
            elif group.first.is_box and isinstance(group.first.series.items[0], Box):
                drawn[id(group)] = boxed(group, words, width)
            else:
                drawn[id(group)] = framed(group, words, width)
            inside = {unit.index for block in group.blocks for unit in block.units}
            leaving = [side.block.name for side in network.sides if side.source in inside]
            taps = [shape_text(unit.shape) for unit in network.exits if unit.index in inside]
            if taps:
                leaving.append(f"{'outputs' if len(taps) > 1 else 'output'} {' and '.join(taps)}")
            if leaving:
                drawn[id(group)] = with_side(drawn[id(group)], ", ".join(leaving))
        return drawn[id(group)]

    return render


def _is_module(group: Group) -> bool:
    return any(not isinstance(item, Box) for item in group.first.series.items) or len(group.first.series.items) > 4


def _needs_overview(modules: Sequence[Group], words: Words) -> bool:
    branching = [group for group in modules if count_branches(group.first.series) > 1]
    if len(branching) < 2:
        return False
    widest = max(lay_out(group.first.series, words).width for group in branching)
    return widest > _WIDE_MODULE or len(branching) > _MANY_MODULES or any(map(_is_wide, branching))


def _is_wide(group: Group) -> bool:
    """Three branches or more side by side."""
    items = group.first.series.items
    return any(isinstance(item, Parallel) and len(item.branches) > 2 for item in items)


def _block_with(network: Network, unit: int) -> str:
    for group in network.groups:
        for block in group.blocks:
            if any(inside.index == unit for inside in block.units):
                return block.name
    return "the network"


def _finish(body: Piece, title: str, subtitle: str, caption: str, marks: Sequence[Mark]) -> Page:
    body = body.moved(_EDGE, _TOP)
    shapes: list[Shape] = [
        Text(_EDGE, 38, title, "title", "start", 22),
        Text(_EDGE, 58, subtitle, "soft", "start", 12),
        *body.shapes,
        *mark_shapes(body.shapes, marks),
    ]
    y = _TOP + body.height + 26
    if caption:
        shapes.append(Text(_EDGE, y, caption, "soft", "start", 12))
        y += 20
    lines, bottom = legend(marks, _EDGE, y)
    shapes += lines
    ends = [text_pixels(title, 22, bold=True), text_pixels(subtitle, 12), text_pixels(caption, 12)]
    ends += [shape.left + shape.width - _EDGE for shape in lines if isinstance(shape, Text)]
    return Page(math.ceil(2 * _EDGE + max(body.width, *ends)), math.ceil(bottom + 8), tuple(shapes))
