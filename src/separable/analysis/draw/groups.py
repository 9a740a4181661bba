"""A group of identical blocks as one piece: a box, a frame with the block inside, or one row of an overview."""

from dataclasses import replace

from separable.analysis.draw.blocks import Group
from separable.analysis.draw.flow import BOX, FORK, GAP, connect, lay_out, unit_box
from separable.analysis.draw.names import readable_kind
from separable.analysis.draw.shapes import Line, Piece, Port, Rect, Shape, Text, text_pixels
from separable.analysis.draw.words import Words, block_names, parameters_text

__all__ = ["boxed", "framed", "row", "row_width", "widened", "with_side"]

_HEADER, _PADDING = 24.0, 12.0
_STACK = 4.0
"""How far the frames behind a repeated block stick out."""


def boxed(group: Group, words: Words, width: float) -> Piece:
    """A block of one box, its parameters in small type."""
    (unit,) = group.first.units
    label, note = words(unit)
    if group.parameters:
        note = ", ".join(part for part in (note, parameters_text(group)) if part)
    if len(group.blocks) > 1:
        label = f"{len(group.blocks)} x {label}"
    return unit_box(unit, (label, note), max(width, text_pixels(label) + 18, text_pixels(note, 10) + 16))


def framed(group: Group, words: Words, width: float | None = None) -> Piece:
    """The block inside a frame with its name and parameters; further frames behind it where it repeats."""
    inner = lay_out(group.first.series, words, width)
    gap = FORK if len(inner.entries) > 1 else GAP
    inner = inner.moved(0, _HEADER + gap - 6)
    start = Port(0, _HEADER - 6)
    height = inner.height + _HEADER + gap - 6 + _PADDING
    times = f"{len(group.blocks)} x" if len(group.blocks) > 1 else ""
    names, parameters = block_names(group.blocks), parameters_text(group)
    left = max(inner.left + _PADDING, text_pixels(f"{times} {names}".strip(), 11, bold=True) + _PADDING + 10)
    right = max(inner.right + _PADDING, text_pixels(parameters, 10) + _PADDING + 8)
    shapes = [
        Line(((0, 0), (0, start.y)), arrow=False),
        *connect((start,), inner.entries, False),
        *inner.shapes,
        Line(((0, inner.exits[0].y), (0, height)), arrow=False),
    ]
    piece = Piece(left, right, height, tuple(shapes), (Port(0, 0),), (Port(0, height),))
    return _with_frame(piece, group, times, names, parameters)


def _with_frame(piece: Piece, group: Group, times: str, names: str, parameters: str) -> Piece:
    anchors = tuple(block.name for block in group.blocks) + tuple(
        node.name for block in group.blocks for unit in block.units for node in unit.nodes
    )
    title = f"{readable_kind(group.first.kind)}: {names}" if group.first.kind else names
    frame = Rect(-piece.left, 0, piece.width, piece.height, "frame", title, anchors)
    behind: list[Shape] = []
    if times:
        behind = [replace(frame, x=frame.x + s, y=frame.y + s, style="behind", names=()) for s in (_STACK * 2, _STACK)]
    shapes: list[Shape] = [*behind, frame]
    x = -piece.left + 10
    if times:
        shapes.append(Text(x, 15, times, "times", "start", 11))
        x += text_pixels(f"{times} ", 11, bold=True) + 2
    shapes.append(Text(x, 15, names, "name", "start", 11))
    if parameters:
        shapes.append(Text(piece.right - 10, 15, parameters, "soft", "end", 10))
    return replace(piece, shapes=(*shapes, *piece.shapes))


def row_width(group: Group, title: str) -> float:
    """The width that `row` needs."""
    label, note = _row_words(group, title)
    return max(text_pixels(label, bold=True), text_pixels(note, 10)) + 20


def _row_words(group: Group, title: str) -> tuple[str, str]:
    label = f"{len(group.blocks)} x {title}" if len(group.blocks) > 1 else title
    return label, ", ".join(part for part in (block_names(group.blocks), parameters_text(group)) if part)


def row(group: Group, title: str, width: float) -> Piece:
    """The block as one box that names its type, which is drawn elsewhere."""
    label, note = _row_words(group, title)
    height = BOX + 16
    anchors = tuple(block.name for block in group.blocks) + tuple(
        node.name for block in group.blocks for unit in block.units for node in unit.nodes
    )
    rect = Rect(-width / 2, 0, width, height, "module", f"{title}: {note}", anchors)
    shapes: list[Shape] = [rect]
    if len(group.blocks) > 1:
        behind = [replace(rect, x=rect.x + s, y=rect.y + s, style="behind", names=()) for s in (_STACK * 2, _STACK)]
        shapes = [*behind, rect]
    shapes += [Text(0, 18, label, "name"), Text(0, 33, note, "note", size=10)]
    return Piece(width / 2, width / 2, height, tuple(shapes), (Port(0, 0),), (Port(0, height),))


def with_side(piece: Piece, title: str) -> Piece:
    """An arrow from the right of `piece` to a box that names a side branch, which is drawn elsewhere."""
    width, y = text_pixels(title, 11) + 16, piece.height - 14
    x = max(shape.x + shape.width for shape in piece.shapes if isinstance(shape, Rect))
    start = max(shape.x + shape.width for shape in piece.shapes if isinstance(shape, Rect) and shape.style != "behind")
    shapes = (
        Line(((start, y), (x + 18, y))),
        Rect(x + 18, y - 11, width, 22, "module"),
        Text(x + 18 + width / 2, y + 4, title, size=11),
    )
    return replace(piece, shapes=(*piece.shapes, *shapes), overhang=x + 18 + width - piece.right)


def widened(piece: Piece, left: float, right: float) -> Piece:
    """The same with its frames, if it has any, reaching `left` and `right`; words at their ends move along."""
    frames = [shape for shape in piece.shapes if isinstance(shape, Rect) and shape.style == "frame"]
    left = left if piece.left > piece.right else min(left, max(piece.left, right))  # a plain chain stays in its middle
    if not frames or (piece.left >= left and piece.right >= right):
        return piece
    shapes: list[Shape] = []
    for shape in piece.shapes:
        if isinstance(shape, Rect) and shape.style in ("frame", "behind"):
            grown = left - piece.left
            shapes.append(replace(shape, x=shape.x - grown, width=shape.width + grown + right - piece.right))
        elif isinstance(shape, Text) and shape.y == 15 and shape.anchor in ("start", "end"):
            by = piece.left - left if shape.anchor == "start" else right - piece.right
            shapes.append(replace(shape, x=shape.x + by))
        else:
            shapes.append(shape)
    return replace(piece, left=left, right=right, shapes=tuple(shapes))
