"""How long something takes beside how long it would have to: two bars in one, a row for each."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass

from separable.analysis.plots.axes import figure
from separable.analysis.plots.markup import Markup, element, join, shorten, text_width
from separable.analysis.plots.scales import Scale, nice_ticks

__all__ = ["LimitRow", "limit_chart"]

_ROW, _HEAD, _LETTERS = 23.0, 24.0, 30


@dataclass(frozen=True)
class LimitRow:
    """A part's time and its limit in the same unit; `detail` stands at the right, `note` shows on hover."""

    label: str
    value: float
    limit: float
    detail: str = ""
    note: str = ""


def limit_chart(
    rows: Sequence[LimitRow], *, name: str, width: float = 820, write: Callable[[float], str] = "{:.3g}".format
) -> Markup:
    """Draw a bar for what each row takes, its part up to the limit solid; a limit above the value is an outline."""
    left = 16 + 7.3 * max([text_width(shorten(row.label, _LETTERS)) for row in rows], default=0)
    right = 62 + 7.4 * max([text_width(row.detail) for row in rows], default=0)
    ticks = nice_ticks(0.0, max([max(row.value, row.limit) for row in rows], default=1.0))
    longest = max([max(row.value, row.limit) for row in rows], default=1.0) or ticks[-1]
    scale = Scale((0.0, longest), (left, width - right))
    parts = [element("text", name, x=left, y=13, class_="name")]
    if not rows:
        parts.append(element("text", "nothing recorded", x=left, y=34))
    for index, row in enumerate(rows):
        parts.append(_row(row, _HEAD + index * _ROW, scale, write, width))
    said = "; ".join(f"{row.label} {write(row.value)} of {write(row.limit)}" for row in rows[:8])
    return figure(width, _HEAD + max(1, len(rows)) * _ROW + 4, f"{name}: {said or 'nothing recorded'}", *parts)


def _row(row: LimitRow, top: float, scale: Scale, write: Callable[[float], str], width: float) -> Markup:
    (start, end), title = scale.pixels, element("title", row.note or f"{row.label}: {write(row.value)}")
    label = join(shorten(row.label, _LETTERS), element("title", row.label))
    value, limit = scale(row.value), scale(row.limit)
    box = {"y": top + 5, "height": _ROW - 10}
    return join(
        element("text", label, x=start - 10, y=top + 15, text_anchor="end", class_="name"),
        element("rect", title, x=start, width=end - start, class_="track", **box),
        element("rect", title, x=start, width=value - start, class_="bar muted", **box),
        element("rect", title, x=start, width=min(limit, value) - start, class_="bar full", **box),
        element("rect", title, x=limit - 1, width=2.0, class_="tip", **box) if row.limit > row.value else None,
        element("text", write(row.value), x=end + 50, y=top + 15, text_anchor="end", class_="name"),
        element("text", row.detail, x=width, y=top + 15, text_anchor="end"),
    )
