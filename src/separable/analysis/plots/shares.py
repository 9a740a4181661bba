"""Several shares of the same parts side by side: a table whose cells are bars."""

import math
from collections.abc import Sequence
from dataclasses import dataclass

from separable.analysis.plots.axes import figure
from separable.analysis.plots.markup import Markup, element, join, shorten, text_width

__all__ = ["ShareRow", "share_chart"]

_ROW, _HEAD, _LETTERS, _GAP = 23.0, 24.0, 26, 14.0


@dataclass(frozen=True)
class ShareRow:
    """One part: its name and what share it has of each total, 0 to 1; NaN where it has no place."""

    label: str
    shares: Sequence[float]
    notes: Sequence[str] = ()
    """Words for the hover, one for each share."""


def share_chart(
    rows: Sequence[ShareRow], columns: Sequence[str], *, name: str, accent_last: bool = True, width: float = 820
) -> Markup:
    """Draw a row for each part and a column for each total; a bar as long as its column is the largest share there is.

    All columns have one scale, so that bars can be compared along a row as well as down a column. The last column is
    drawn in the accent colour if so wished, the others quietly.
    """
    left = 16 + 7.3 * max([text_width(shorten(row.label, _LETTERS)) for row in rows], default=0)
    room = (width - left) / max(1, len(columns))
    largest = max([share for row in rows for share in row.shares if math.isfinite(share)], default=1.0) or 1.0
    parts = []
    for place, column in enumerate(columns):
        parts.append(element("text", column, x=left + place * room, y=13, class_="name"))
    for index, row in enumerate(rows):
        top = _HEAD + index * _ROW
        label = join(shorten(row.label, _LETTERS), element("title", row.label))
        parts.append(element("text", label, x=left - 10, y=top + 15, text_anchor="end", class_="name"))
        for place, share in enumerate(row.shares):
            note = row.notes[place] if place < len(row.notes) else ""
            last = accent_last and place == len(columns) - 1
            parts.append(_cell(share, note, (left + place * room, top), (room - _GAP, largest), last))
    height = _HEAD + max(1, len(rows)) * _ROW + 4
    return figure(width, height, _summary(name, rows, columns), *parts)


def _cell(share: float, note: str, place: tuple[float, float], room: tuple[float, float], last: bool) -> Markup:
    if not math.isfinite(share):
        return Markup("")
    (x, y), (width, largest) = place, room
    longest = width - 46
    length = longest * max(0.0, share) / largest
    text = "0" if share <= 0 else "<0.1%" if share < 0.001 else f"{100 * share:.1f}%"
    title = element("title", note or text)
    return join(
        element("rect", title, x=x, y=y + 4, width=longest, height=_ROW - 8, class_="track"),
        element("rect", title, x=x, y=y + 4, width=length, height=_ROW - 8, class_="bar" if last else "bar muted"),
        element("text", text, x=x + width, y=y + 15, text_anchor="end", class_="name" if share >= 0.001 else None),
    )


def _summary(name: str, rows: Sequence[ShareRow], columns: Sequence[str]) -> str:
    said = []
    for place, column in enumerate(columns):
        known = [row for row in rows if math.isfinite(row.shares[place])]
        if known:
            most = max(known, key=lambda row: row.shares[place])
            said.append(f"most {column} in {most.label} ({100 * most.shares[place]:.0f}%)")
    return f"{name}: {'; '.join(said) or 'nothing recorded'}"
