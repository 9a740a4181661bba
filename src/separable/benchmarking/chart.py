"""The plot of a run of the harness: a group of bars for each contest, one SVG that follows the reader's theme."""

import math
from collections.abc import Sequence
from dataclasses import dataclass

from separable.analysis.plots.axes import figure
from separable.analysis.plots.markup import Markup, element, join, shorten, text_width
from separable.analysis.plots.scales import Scale
from separable.analysis.plots.style import standalone_style

__all__ = ["ChartGroup", "ChartRow", "chart"]

_WIDTH, _ROW, _HEAD, _TOP = 820.0, 24.0, 34.0, 44.0
_LETTER, _LETTERS, _MARGIN = 7.1, 40, 14.0
_RIGHT = 128.0
"""Room for the value and the ratio."""


@dataclass(frozen=True)
class ChartRow:
    """A bar from 0 to `value` (NaN: none, `said` tells why), its interval, and a line at `limit` (NaN: none)."""

    label: str
    value: float
    interval: tuple[float, float] | None
    limit: float
    said: str
    beside: str = ""
    note: str = ""
    stressed: bool = False
    """Whether it is what the reader looks for: in the accent's colour, the others in grey."""


@dataclass(frozen=True)
class ChartGroup:
    """The bars of one contest, on a scale of their own."""

    title: str
    rows: tuple[ChartRow, ...]


def chart(heading: str, groups: Sequence[ChartGroup]) -> str:
    """The text of an SVG file."""
    labels = [shorten(row.label, _LETTERS) for group in groups for row in group.rows]
    left = 16 + _LETTER * max(map(text_width, labels), default=0)
    parts, top = [element("text", heading, x=2, y=16, class_="name strong")], _TOP
    for group in groups:
        parts.append(_group(group, top, left))
        top += _HEAD + len(group.rows) * _ROW
    inside = element("g", *parts, transform=f"translate({_MARGIN:g} {_MARGIN:g})")
    size = (_WIDTH + 2 * _MARGIN, top + 2 * _MARGIN)
    page = element("rect", width=size[0], height=size[1], class_="page")
    return f"{figure(*size, heading, element('style', Markup(standalone_style())), page, inside)}\n"


def _group(group: ChartGroup, top: float, left: float) -> Markup:
    known = [value for row in group.rows for value in (row.value, row.limit) if math.isfinite(value)]
    scale = Scale((0.0, max(known, default=1.0) or 1.0), (left, _WIDTH - _RIGHT))
    rows = [_row(row, top + 20 + index * _ROW, scale) for index, row in enumerate(group.rows)]
    return join(element("text", group.title, x=2, y=top + 10, class_="name"), *rows)


def _row(row: ChartRow, top: float, scale: Scale) -> Markup:
    (start, end), middle = scale.pixels, top + _ROW / 2
    box = {"y": top + 6, "height": _ROW - 12}
    known, kind = math.isfinite(row.value), "bar" if row.stressed else "bar muted"
    said = f"{row.label}: {row.said} {row.beside} {row.note}".strip()
    parts = [
        element("text", shorten(row.label, _LETTERS), x=start - 8, y=middle + 4, text_anchor="end"),
        element("rect", element("title", said), x=start, width=end - start, class_="track", **box),
    ]
    if not known:
        room = int((_WIDTH - start) / _LETTER) - 2
        return join(*parts, element("text", shorten(row.said, room), x=start + 6, y=middle + 4))
    parts += [
        element("rect", element("title", said), x=start, width=scale(row.value) - start, class_=kind, **box),
        element("rect", x=scale(row.value) - 1.5, width=3.0, class_="tip", **box),
        element("text", row.said, x=end + 60, y=middle + 4, text_anchor="end", class_="name"),
        element("text", row.beside, x=_WIDTH - 2, y=middle + 4, text_anchor="end"),
    ]
    if row.interval is not None:
        low, high = (min(scale(value), end) for value in row.interval)
        ends = "".join(f"M{x:.1f} {middle - 4:.1f}V{middle + 4:.1f}" for x in (low, high))
        parts.append(element("path", d=f"M{low:.1f} {middle:.1f}H{high:.1f}{ends}", class_="whisker"))
    if math.isfinite(row.limit):
        x = scale(row.limit)
        parts.append(element("line", x1=x, x2=x, y1=top + 3, y2=top + _ROW - 3, class_="axis"))
    return join(*parts)
