"""Each type of module drawn once, with a table of the modules of that type, as table 1 of arXiv:1409.4842 has them."""

import string
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

from separable.analysis.draw.blocks import Block, Group, SideBranch, signature
from separable.analysis.draw.flow import FORK, GAP, connect, lay_out
from separable.analysis.draw.labels import shape_text
from separable.analysis.draw.names import FIGURES, readable_kind
from separable.analysis.draw.shapes import Line, Piece, Port, Rect, Shape, Text, text_pixels
from separable.analysis.draw.tree import units_in
from separable.analysis.draw.words import Words, block_names, parameters_text

__all__ = ["ModuleType", "find_types", "panel", "side_panel"]

_MARGIN, _HEADING, _ROW = 18.0, 32.0, 16.0
_START = "Previous layer"


@dataclass(frozen=True)
class ModuleType:
    """Modules that differ in numbers of channels alone."""

    title: str
    groups: tuple[Group, ...]


def find_types(groups: Sequence[Group]) -> list[ModuleType]:
    """The types among `groups` in order; types of one class are told apart by a number."""
    found: dict[object, list[Group]] = {}
    for group in groups:
        form = (group.first.kind, signature(group.first.series, channels=False))
        found.setdefault(form, []).append(group)
    kinds = [same[0].first.kind for same in found.values()]
    seen: dict[str, int] = {}
    types = []
    for same in found.values():
        kind = same[0].first.kind
        seen[kind] = seen.get(kind, 0) + 1
        number = f", form {seen[kind]}" if kinds.count(kind) > 1 else ""
        types.append(ModuleType((readable_kind(kind) or same[0].first.name) + number, tuple(same)))
    return types


def panel(kind: ModuleType, words: Words) -> Piece:
    """The module with letters for the channels that vary, and the table that says what they stand for."""
    letters, values = _letters(kind)
    inner = _with_start(lay_out(kind.groups[0].first.series, replace(words, letters=letters)))
    header = ["module", *values, "output", "parameters"]
    rows = [
        [
            block_names(group.blocks),
            *(str(column[number]) for column in values.values()),
            shape_text(group.last.output_shape),
            parameters_text(group).replace(" parameters", "") or "none",
        ]
        for number, group in enumerate(kind.groups)
    ]
    return _panel(kind.title, inner, [header, *rows], FIGURES.get(kind.groups[0].first.kind, ""))


def side_panel(side: SideBranch, words: Words, start: str) -> Piece:
    """An auxiliary head by itself. `start` names the block that it looks at."""
    title = f"{readable_kind(side.block.kind) or 'Side branch'}, after {start}"
    inner = _with_start(lay_out(side.block.series, words))
    shape = shape_text(side.block.output_shape)
    figure = FIGURES.get(side.block.kind, "")
    return _panel(title, inner, [["module", "output", "parameters"], _side_row(side.block, shape)], figure)


def _side_row(block: Block, shape: str) -> list[str]:
    return [block.name, shape, f"{block.parameters:,}"]


def _with_start(inner: Piece) -> Piece:
    """A box for what comes before on top, as the papers' figures have it."""
    width = text_pixels(_START) + 20
    gap = FORK if len(inner.entries) > 1 else GAP
    inner = inner.moved(0, 22 + gap)
    shapes = (
        Rect(-width / 2, 0, width, 22, "join"),
        Text(0, 15, _START),
        *connect((Port(0, 22),), inner.entries, False),
        *inner.shapes,
        Line(((0, inner.exits[0].y), (0, inner.exits[0].y + 16))),
    )
    sides = max(inner.left, width / 2), max(inner.right, width / 2)
    return Piece(*sides, inner.height + 22 + gap + 18, shapes, (), ())


def _panel(title: str, inner: Piece, rows: Sequence[Sequence[str]], figure: str) -> Piece:
    widths = [max(text_pixels(cell, 11, bold=True) for cell in cells) + 14 for cells in zip(*rows, strict=True)]
    total = max(inner.width, sum(widths), text_pixels(title, 13, bold=True), text_pixels(figure, 11))
    top = _HEADING + (14 if figure else 0)
    height = top + inner.height + 12 + _ROW * len(rows) + 12
    middle = _MARGIN + total / 2 + (inner.left - inner.right) / 2
    shapes: list[Shape] = [
        Rect(0, 0, total + 2 * _MARGIN, height, "panel"),
        Text(_MARGIN, 21, title, "heading", "start", 13),
        *([Text(_MARGIN, 36, figure, "subheading", "start", 11)] if figure else []),
        *inner.moved(middle, top).shapes,
        *_table(rows, widths, _MARGIN + (total - sum(widths)) / 2, top + inner.height + 20),
    ]
    return Piece(0, total + 2 * _MARGIN, height, tuple(shapes), (), ())


def _table(rows: Sequence[Sequence[str]], widths: Sequence[float], x: float, y: float) -> list[Shape]:
    shapes: list[Shape] = []
    for line, cells in enumerate(rows):
        place = x
        for column, (cell, width) in enumerate(zip(cells, widths, strict=True)):
            style = "soft" if line == 0 else ""
            if column == 0:
                shapes.append(Text(place, y + 8, cell, style, "start", 11))
            else:
                shapes.append(Text(place + width, y + 8, cell, style, "end", 11))
            place += width
        y += _ROW
    return shapes


def _letters(kind: ModuleType) -> tuple[dict[int, str], Mapping[str, tuple[int, ...]]]:
    """For the first module's units a letter where modules differ, the same for the same numbers everywhere."""
    columns = zip(*(units_in(group.first.series) for group in kind.groups), strict=True)
    names = iter(string.ascii_lowercase)
    by_values: dict[tuple[int, ...], str] = {}
    letters: dict[int, str] = {}
    for units in columns:
        values = tuple(unit.label.channels or 0 for unit in units)
        if len(set(values)) > 1:
            if values not in by_values:
                by_values[values] = next(names, "?")
            letters[units[0].index] = by_values[values]
    if len(by_values) == 1:
        letters, by_values = dict.fromkeys(letters, "n"), dict.fromkeys(by_values, "n")
    return letters, {letter: values for values, letter in by_values.items()}
