"""Placing a tree of boxes: one after the other downwards, branches side by side, shortcuts beside the main line."""

import itertools
from collections.abc import Callable, Sequence

from separable.analysis.draw.shapes import Line, Piece, Port, Rect, Shape, Text, text_pixels
from separable.analysis.draw.tangle import lay_out_tangle
from separable.analysis.draw.tree import Box, Item, Parallel, Series, Tangle, units_in
from separable.analysis.draw.units import Unit

__all__ = ["BOX", "GAP", "RADIUS", "box_width", "connect", "lay_out", "unit_box"]

BOX, THIN, BAR = 26.0, 20.0, 22.0
"""Heights of a box, of a norm's or activation's, of a bar that joins branches."""
GAP, FORK, JOIN = 14.0, 26.0, 20.0
"""From box to box, where lines part, where they meet."""
RADIUS = 8.0
_LANE, _BETWEEN = 9.0, 14.0
"""Half the room of a line without boxes; the gap between branches."""
_SIDE_PADDING, _NOTE = 9.0, 12.0

Write = Callable[[Unit], tuple[str, str]]
"""The words on a unit's box: its label, and a note in small type that may be empty."""


def lay_out(series: Series, write: Write, width: float | None = None) -> Piece:
    """The boxes of `series` with the lines between them; `width` is that of the boxes on the axis."""
    width = box_width(series, write) if width is None else width
    if not series.items:
        return Piece(_LANE, _LANE, 0, (), (Port(0, 0, ends=False),), (Port(0, 0),))
    shapes: list[Shape] = []
    entries: tuple[Port, ...] = ()
    left = right = 0.0
    before: Piece | None = None
    bottom = 0.0
    for item, after in itertools.zip_longest(series.items, series.items[1:]):
        joins = after.unit if isinstance(after, Box) else None
        piece = _item(item, joins, write, width, before)
        if before is None:
            entries = piece.entries
        else:
            gap = _gap(before, piece, item)
            piece = piece.moved(0, bottom + gap)
            bottom += gap
            shapes += connect(before.exits, piece.entries, isinstance(item, Box) and item.unit.is_circle)
        shapes += piece.shapes
        bottom += piece.height
        left, right = max(left, piece.left), max(right, piece.right)
        before = piece
    assert before is not None
    return Piece(left, right, bottom, tuple(shapes), entries, before.exits)


def box_width(series: Series, write: Write) -> float:
    """How wide the boxes on the axis must be for their words, those of a shortcut's main line included."""
    widths = [56.0]
    for item, after in itertools.zip_longest(series.items, series.items[1:]):
        if isinstance(item, Box) and not item.unit.is_join:
            label, note = write(item.unit)
            widths.append(max(text_pixels(label), text_pixels(note, 10)) + 2 * _SIDE_PADDING)
        elif isinstance(item, Parallel) and _has_main(item, after.unit if isinstance(after, Box) else None):
            widths.append(box_width(_main_branch(item), write))
    return max(widths)


def unit_box(unit: Unit, words: tuple[str, str], width: float) -> Piece:
    """One box around the axis."""
    label, note = words
    label = {"+": "Sum", "x": "Product"}.get(label, label)  # in a tangle, where circles have no sides to come from
    height = (THIN if unit.label.family == "light" else BOX) + (_NOTE if note else 0)
    names = tuple(node.name for node in unit.nodes)
    shapes: list[Shape] = [
        Rect(-width / 2, 0, width, height, unit.label.family, _title(unit), names),
        Text(0, (height - (_NOTE if note else 0)) / 2 + 4, label),
    ]
    if note:
        shapes.append(Text(0, height - 7, note, "note", size=10))
    return Piece(width / 2, width / 2, height, tuple(shapes), (Port(0, 0),), (Port(0, height),))


def _item(item: Item, joins: Unit | None, write: Write, width: float, before: Piece | None) -> Piece:
    if isinstance(item, Tangle):
        return lay_out_tangle(item, lambda unit, wide: unit_box(unit, write(unit), wide), write)
    if isinstance(item, Parallel):
        return _around_the_main(item, write, width) if _has_main(item, joins) else _side_by_side(item, write)
    unit = item.unit
    if unit.is_circle:
        return _circle(unit)
    if unit.is_join or (before is not None and len(before.exits) > 1):
        return _bar(unit, write, before)
    return unit_box(unit, write(unit), width)


def _circle(unit: Unit) -> Piece:
    shapes: tuple[Shape, ...] = (
        Rect(-RADIUS, 0, 2 * RADIUS, 2 * RADIUS, "circle", _title(unit), (unit.nodes[0].name,)),
        Text(0, RADIUS + 4.5, unit.label.text(), "sign", size=14),
    )
    return Piece(RADIUS, RADIUS, 2 * RADIUS, shapes, (Port(0, 0),), (Port(0, 2 * RADIUS),))


def _bar(unit: Unit, write: Write, before: Piece | None) -> Piece:
    """As wide as what it joins, so that every branch comes straight down."""
    label, _ = write(unit)
    needed = text_pixels(label) / 2 + _SIDE_PADDING
    ports = before.exits if before is not None else (Port(0, 0),)
    left = max([needed, *(_SIDE_PADDING - port.x for port in ports)])
    right = max([needed, *(port.x + _SIDE_PADDING for port in ports)])
    if before is not None:
        left, right = max(left, before.left - 2), max(right, before.right - 2)
    style = "bar" if unit.is_join else unit.label.family
    names = tuple(node.name for node in unit.nodes)
    shapes = (
        Rect(-left, 0, left + right, BAR, style, _title(unit), names),
        Text((right - left) / 2, BAR / 2 + 4, label),
    )
    return Piece(left, right, BAR, shapes, tuple(Port(port.x, 0) for port in ports), (Port(0, BAR),))


def _side_by_side(item: Parallel, write: Write) -> Piece:
    pieces = [lay_out(branch, write) for branch in item.branches]
    total = sum(piece.width for piece in pieces) + _BETWEEN * (len(pieces) - 1)
    x = -total / 2
    placed = []
    for piece in pieces:
        placed.append(piece.moved(x + piece.left, 0))
        x += piece.width + _BETWEEN
    return _together(placed, total / 2, total / 2)


def _around_the_main(item: Parallel, write: Write, width: float) -> Piece:
    """The branch with most boxes on the axis, the others beside it, the first on the left."""
    main = _main_branch(item)
    middle = lay_out(main, write, width)
    placed, left, right = [middle], middle.left, middle.right
    for number, branch in enumerate(branch for branch in item.branches if branch is not main):
        piece = lay_out(branch, write)
        if number % 2 == 0:
            placed.append(piece.moved(-left - _BETWEEN - piece.right, 0))
            left += _BETWEEN + piece.width
        else:
            placed.append(piece.moved(right + _BETWEEN + piece.left, 0))
            right += _BETWEEN + piece.width
    return _together(placed, left, right)


def _has_main(item: Parallel, joins: Unit | None) -> bool:
    """Whether one branch is the main line and the others are shortcuts: before a sum, or where they are bare lines."""
    if joins is not None and joins.is_circle:
        return True
    return sum(bool(branch.items) for branch in item.branches) == 1


def _main_branch(item: Parallel) -> Series:
    return max(item.branches, key=lambda branch: len(units_in(branch)))


def _together(placed: Sequence[Piece], left: float, right: float) -> Piece:
    height = max(piece.height for piece in placed)
    return Piece(
        left,
        right,
        height,
        tuple(shape for piece in placed for shape in piece.shapes),
        tuple(port for piece in placed for port in piece.entries),
        tuple(port for piece in placed for port in piece.exits),
    )


def _gap(before: Piece, piece: Piece, item: Item) -> float:
    if len(piece.entries) > 1 and len(before.exits) == 1:
        return FORK
    if len(before.exits) > 1:
        return JOIN
    return GAP


def connect(exits: Sequence[Port], entries: Sequence[Port], is_circle: bool) -> list[Shape]:
    """Lines from `exits` to `entries`: one to one, parting, meeting in a bar, or meeting in a circle from its sides."""
    if len(exits) == 1 and len(entries) == 1:
        return [Line(_path(exits[0], entries[0], (exits[0].y + entries[0].y) / 2))]
    if len(exits) == 1:
        bus = min(port.y for port in entries) - FORK + 9
        return _fork(exits[0], entries, bus)
    if is_circle:
        return [Line(_into_circle(port, entries[0])) for port in exits]
    return [Line(((start.x, start.y), (end.x, end.y))) for start, end in zip(exits, entries, strict=True)]


def _fork(start: Port, entries: Sequence[Port], bus: float) -> list[Shape]:
    """Down to the height `bus`, along it to each entry, and down again; the corners where lines part are square."""
    lines: list[Shape] = [Line(((start.x, start.y), (start.x, bus)), arrow=False)]
    for port in entries:
        if abs(port.x - start.x) < 0.5:
            lines.append(Line(((start.x, bus), (port.x, port.y)), arrow=port.ends))
        else:
            lines.append(Line(((start.x, bus), (port.x, bus), (port.x, port.y)), arrow=port.ends))
    return lines


def _path(start: Port, end: Port, bus: float) -> tuple[tuple[float, float], ...]:
    if abs(start.x - end.x) < 0.5:
        return ((start.x, start.y), (end.x, end.y))
    return ((start.x, start.y), (start.x, bus), (end.x, bus), (end.x, end.y))


def _into_circle(start: Port, top: Port) -> tuple[tuple[float, float], ...]:
    if abs(start.x - top.x) < 0.5:
        return ((start.x, start.y), (top.x, top.y))
    side = -RADIUS if start.x < top.x else RADIUS
    return ((start.x, start.y), (start.x, top.y + RADIUS), (top.x + side, top.y + RADIUS))


def _title(unit: Unit) -> str:
    """What the pointer is told: names, shape, parameters."""
    names = ", ".join(node.name for node in unit.nodes)
    shape = "x".join(str(side) for side in unit.shape[1:])
    return f"{names}: {shape} (channels first), {unit.parameters:,} parameters"
