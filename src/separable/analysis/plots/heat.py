"""A matrix as a heat map: each row shaded by its shares, the counts written into the cells."""

import math
from collections.abc import Callable, Sequence

from separable.analysis.plots.axes import figure
from separable.analysis.plots.markup import Markup, element, join, shorten, text_width

__all__ = ["heat_map", "shade"]

_GAMMA = 0.6
_MIDDLE, _FULL = 0.615, 0.805
"""Shades at which a cell's number changes its colour: each theme turns at one, where contrasts are even."""


def shade(share: float) -> float:
    """Opacity of a cell for a share of its row: rising, and steeper near zero so that a few errors show."""
    return math.pow(min(1.0, max(0.0, share)), _GAMMA)


def heat_map(
    counts: Sequence[Sequence[int]],
    names: Sequence[str],
    *,
    rows: str = "truth",
    columns: str = "prediction",
    write_counts: bool = True,
    write: Callable[[int, int], str] = lambda count, _total: str(count),
) -> Markup:
    """Draw a square matrix of counts, `counts[row][column]`, every row shaded by its own sum.

    Empty cells are left out of the file; each other one says on hover what it counts.

    Args:
        write_counts: whether the cells have room for a text each.
        write: that text, from the count and the sum of its row.
    """
    n = len(names)
    cell = max(14.0, min(46.0, 460.0 / max(1, n))) if write_counts else max(13.0, min(24.0, 460.0 / max(1, n)))
    letters = 20
    size = min(12.0, 0.85 * cell)  # of the names; also the measure of the room they need
    longest = size * 0.56 * max([text_width(shorten(name, letters)) for name in names], default=0)
    left, top = 26 + longest, 34 + 0.71 * longest
    width = left + max(n * cell + max(20.0, 0.71 * longest), 345.0)
    height = top + n * cell + 44
    parts = [
        element("text", columns, x=left + n * cell, y=12, text_anchor="end", class_="name"),
        element("text", rows, x=2, y=top - 8, class_="name"),
        element("rect", x=left, y=top, width=n * cell, height=n * cell, class_="frame"),
    ]
    for index, name in enumerate(names):
        middle = (index + 0.5) * cell
        full = element("title", shorten(name, 200))
        words = join(shorten(name, letters), full)
        parts.append(element("text", words, x=left - 8, y=top + middle + 4, text_anchor="end", font_size=size))
        turn = f"translate({left + middle + 3:.1f} {top - 8:.1f}) rotate(-45)"
        parts.append(element("text", words, transform=turn, font_size=size))
    writer = write if write_counts else None
    parts += [_row(row, index, names, (left, top, cell), writer) for index, row in enumerate(counts)]
    parts.append(_legend(left, top + n * cell + 20))
    return figure(width, height, _summary(counts, rows, columns), *parts)


def _row(
    row: Sequence[int],
    index: int,
    names: Sequence[str],
    place: tuple[float, float, float],
    write: Callable[[int, int], str] | None,
) -> Markup:
    left, top, cell = place
    total = sum(row)
    parts = []
    for column, count in enumerate(row):
        if count <= 0:
            continue
        share = count / total
        words = (
            f"{shorten(names[index], 60)} taken for {shorten(names[column], 60)}: {count:,} of {total:,} ({share:.0%})"
        )
        x, y = left + column * cell, top + index * cell
        box = element(
            "rect",
            element("title", words),
            x=x + 0.5,
            y=y + 0.5,
            width=cell - 1,
            height=cell - 1,
            class_="cell",
            fill_opacity=f"{shade(share):.3f}",
        )
        parts.append(box)
        if write is not None:
            text = write(count, total)
            tone = "on-low" if shade(share) < _MIDDLE else "on-mid" if shade(share) < _FULL else "on-high"
            size = min(13.0, cell / max(1.6, 0.68 * len(text)))
            parts.append(
                element(
                    "text",
                    text,
                    x=x + cell / 2,
                    y=y + cell / 2 + size * 0.36,
                    text_anchor="middle",
                    font_size=size,
                    class_=tone,
                    pointer_events="none",
                )
            )
    return join(*parts)


def _legend(x: float, y: float) -> Markup:
    parts = [element("text", "share of the row", x=x, y=y + 10)]
    for index, share in enumerate((0.01, 0.05, 0.1, 0.25, 0.5, 0.75, 1.0)):
        left = x + 104 + index * 32
        parts.append(
            element("rect", x=left, y=y, width=30, height=9, class_="cell", fill_opacity=f"{shade(share):.3f}")
        )
        parts.append(element("text", f"{share:.0%}", x=left + 15, y=y + 22, text_anchor="middle", font_size=10))
    return join(*parts)


def _summary(counts: Sequence[Sequence[int]], rows: str, columns: str) -> str:
    total = sum(sum(row) for row in counts)
    right = sum(row[index] for index, row in enumerate(counts))
    return f"Counts by {rows} (rows) and {columns} (columns): {right:,} of {total:,} on the diagonal"
