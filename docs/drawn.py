"""What the tutorial draws with: modules, windows sliding over a grid, plots; each an SVG file of a few kilobytes.

    draw("pictures/module.svg", blocks.NaiveInception(192, 64, 128, 32), (1, 192, 28, 28), "Naive module")
    windows("pictures/stride.svg", side=5, kernel=3, stride=2, padding=(1, 1))
    plot("pictures/lines.svg", line_chart(...))

A module is recorded while it runs on shapes alone, and drawn as `separable draw` draws whole networks. All files follow
the reader's light or dark colours and are the same to the byte wherever they are made.
"""

import re
from collections.abc import Sequence
from pathlib import Path

from torch import nn

from separable.analysis.draw import draw_graph
from separable.analysis.draw.shapes import Rect, Shape, Text
from separable.analysis.draw.svg import to_svg
from separable.analysis.graph import record_graph
from separable.analysis.plots.markup import Markup
from separable.analysis.plots.style import standalone_style

_CELL, _TOP, _MARGIN = 34, 64, 14


def draw(file: str, module: nn.Module, shape: Sequence[int], title: str, source: str = "") -> None:
    """Draw what `module` does with a tensor of `shape` (N, C, H, W)."""
    _write(file, draw_graph(record_graph(module, shape), title, source=source))


def windows(file: str, *, side: int, kernel: int, stride: int, padding: tuple[int, int]) -> None:
    """Draw a square map with its padding, the first and the last window on it, and the outputs that they give.

    Args:
        padding: rows and columns of zeros before and after.
    """
    padded, outputs = side + sum(padding), (side + sum(padding) - kernel) // stride + 1
    last = (outputs - 1) * stride
    shapes: list[Shape] = []
    for row in range(padded):
        for column in range(padded):
            inside = all(padding[0] <= place < padding[0] + side for place in (row, column))
            places = {"depthwise": 0, "pool": last}
            hit = [style for style, start in places.items() if _covers(start, kernel, row, column)]
            style = hit[0] if hit else "conv" if inside else "light"
            shapes += _cell(24 + column * _CELL, _TOP + row * _CELL, style, "" if inside else "0")
    left = 24 + padded * _CELL + 56
    top = _TOP + (padded - outputs) * _CELL / 2
    for row in range(outputs):
        for column in range(outputs):
            corner = {(0, 0): "depthwise", (outputs - 1, outputs - 1): "pool"}.get((row, column), "conv")
            shapes += _cell(left + column * _CELL, top + row * _CELL, corner)
    title = f"{kernel}x{kernel} windows, stride {stride}, padding {padding[0]} before and {padding[1]} after"
    summary = f"({side} + {sum(padding)} - {kernel}) / {stride} + 1 = {outputs}"
    heading = [
        Text(24, 24, title, "title", "start", 14),
        Text(24, 44, f"side: {summary}. Green: the first window; orange: the last.", "soft", "start", 12),
    ]
    width = max(left + outputs * _CELL + 24, *(text.left + text.width + 24 for text in heading))
    height = _TOP + padded * _CELL + 20
    _write(file, to_svg([*shapes, *heading], width, height, title=title, summary=summary, theme="auto"))


def plot(file: str, drawing: Markup) -> None:
    """Write a plot of `separable.analysis.plots` as a file that brings its own style."""
    width, height = (2 * _MARGIN + float(side) for side in re.findall(r'viewBox="0 0 (\S+) (\S+)"', drawing)[0])
    look = f"svg.plot{{box-sizing:border-box;padding:{_MARGIN}px;background:var(--page)}}"
    opening, mark, rest = drawing.partition(">")
    sized = opening.replace(
        " class=", f' width="{width:g}" height="{height:g}" class=', 1
    )  # an <img> has no other size
    _write(file, f"{sized}{mark}<style>{standalone_style()}{look}</style>{rest}\n")


def _covers(start: int, kernel: int, *places: int) -> bool:
    return all(start <= place < start + kernel for place in places)


def _cell(x: float, y: float, style: str, words: str = "") -> list[Shape]:
    box = Rect(x + 1, y + 1, _CELL - 2, _CELL - 2, style)
    return [box, Text(x + _CELL / 2, y + _CELL / 2 + 4, words, "soft")] if words else [box]


def _write(file: str, text: str) -> None:
    path = Path(file)
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text, encoding="utf-8")
