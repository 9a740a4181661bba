"""The main line of a network as columns of sections, as figure 5 of arXiv:1610.02357 sets entry, middle and exit."""

import itertools
import math
from collections.abc import Callable, Sequence
from dataclasses import replace

from separable.analysis.draw.blocks import Group
from separable.analysis.draw.groups import widened
from separable.analysis.draw.labels import shape_text
from separable.analysis.draw.sections import Section
from separable.analysis.draw.shapes import Line, Piece, Port, Rect, Shape, Text, text_pixels
from separable.analysis.draw.words import tensor_text

__all__ = ["BETWEEN_COLUMNS", "beside", "column", "pack"]

BETWEEN_COLUMNS = 22.0
_STEP = 32.0
"""From group to group, with the shape beside the arrow."""
_HEADING, _FOOT, _MARGIN = 30.0, 34.0, 18.0

Render = Callable[[Group], Piece]


def pack(sections: Sequence[Section], render: Render, count: int) -> list[list[Section]]:
    """Sections in about `count` columns; one that is far too tall goes on in the next column.

    Sections that a paper names stand in columns of their own.
    """
    heights = [[render(group).height + _STEP for group in section.groups] for section in sections]
    ideal = sum(sum(column) + _HEADING + _FOOT for column in heights) / count
    columns: list[list[Section]] = []
    filled = math.inf
    for section, column in zip(sections, heights, strict=True):
        cuts = _cuts(column, max(1, round(sum(column) / (1.25 * ideal))))
        for number, (start, end) in enumerate(itertools.pairwise(cuts)):
            title = section.title if number == 0 else f"{section.title}, continued"
            height = sum(column[start:end]) + _HEADING + _FOOT
            if filled + height / 2 > ideal or section.is_named:
                columns.append([])
                filled = 0
            columns[-1].append(replace(section, title=title, groups=section.groups[start:end]))
            filled += height
    return columns


def _cuts(heights: Sequence[float], pieces: int) -> list[int]:
    """Where to cut a list of heights into `pieces` of about the same sum."""
    total, running, cuts = sum(heights), 0.0, [0]
    for index, height in enumerate(heights):
        if running + height / 2 > total * len(cuts) / pieces and index > cuts[-1]:
            cuts.append(index)
        running += height
    return [*cuts, len(heights)]


def column(sections: Sequence[Section], render: Render, *, is_first: bool, is_last: bool) -> Piece:
    """One column from the words above its first arrow to those below its last."""
    drawn = [[render(group) for group in section.groups] for section in sections]
    left = max(piece.left for pieces in drawn for piece in pieces)
    right = max(piece.right for pieces in drawn for piece in pieces)
    shown = [text_pixels(shape_text(group.last.output_shape), 11) for section in sections for group in section.groups]
    overhang = max(piece.overhang for pieces in drawn for piece in pieces)
    left, right = max(left, 80.0), max(right, 80.0, 14 + max(shown))
    shapes: list[Shape] = []
    y = 0.0
    for number, (section, pieces) in enumerate(zip(sections, drawn, strict=True)):
        place = "input" if is_first and number == 0 else ""
        opening = tensor_text(section.groups[0].first.input_shape, place) if number == 0 else ""
        is_end = is_last and number == len(sections) - 1
        closing = tensor_text(section.groups[-1].last.output_shape, "output" if is_end else "")
        body = _section(section, [widened(piece, left, right) for piece in pieces], opening, closing)
        panel = Rect(-left - _MARGIN, y, left + right + 2 * _MARGIN + max(6, overhang), body.height, "panel")
        heading = Text(-left - _MARGIN + 12, y + 20, section.title, "heading", "start", 13)
        shapes += [panel, heading, *body.moved(0, y).shapes]
        y += body.height
        if number < len(sections) - 1:
            shapes.append(Line(((0, y - 3), (0, y + 14 + _HEADING)), arrow=False))
            y += 14
    return Piece(left + _MARGIN, right + _MARGIN + max(6, overhang), y, tuple(shapes), (), ())


def _section(section: Section, pieces: Sequence[Piece], opening: str, closing: str) -> Piece:
    shapes: list[Shape] = []
    y = _HEADING
    if opening:
        shapes.append(Text(0, y + 12, opening, "soft"))
        y += 18
    start = y
    shape = section.groups[0].first.input_shape
    for group, piece in zip(section.groups, pieces, strict=True):
        step = _STEP if y > start else 20.0 if opening else 8.0
        framed = any(isinstance(part, Rect) and part.style == "frame" for part in piece.shapes)
        shapes.append(Line(((0, y), (0, y + step)), arrow=not framed))
        if y > start:
            shapes.append(Text(8, y + step / 2 + 5, shape_text(shape), "soft", "start", 11))
        y += step
        shapes += piece.moved(0, y).shapes
        y += piece.height
        shape = group.last.output_shape
    shapes.append(Line(((0, y), (0, y + 20))))
    shapes.append(Text(0, y + 33, closing, "soft"))
    return Piece(0, 0, y + 42, tuple(shapes), (Port(0, 0),), ())


def beside(pieces: Sequence[Piece], gap: float = BETWEEN_COLUMNS) -> Piece:
    """Pieces from left to right, tops level; x starts at 0."""
    shapes: list[Shape] = []
    x = 0.0
    for piece in pieces:
        shapes += piece.moved(x + piece.left, 0).shapes
        x += piece.width + gap
    return replace(Piece(0, x - gap, max(piece.height for piece in pieces), tuple(shapes)), entries=())
