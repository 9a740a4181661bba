"""Dots with their intervals, a row each, on an axis that begins where the values do."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass

from separable.analysis.plots.axes import figure, horizontal_axis
from separable.analysis.plots.markup import Markup, element, join, shorten, text_width
from separable.analysis.plots.scales import Scale, drawable, format_tick, nice_ticks

__all__ = ["DotRow", "dot_chart"]

_ROW, _HEAD, _FOOT, _LETTERS = 28.0, 24.0, 36.0, 22


@dataclass(frozen=True)
class DotRow:
    """A name, a value (NaN: unknown, `note` says why), its interval, and the single values it is the mean of."""

    label: str
    value: float
    interval: tuple[float, float] | None = None
    singles: Sequence[float] = ()
    note: str = ""
    muted: bool = False


def dot_chart(
    rows: Sequence[DotRow],
    *,
    name: str,
    width: float = 380,
    write: Callable[[float], str] | None = None,
    write_tick: Callable[[float], str] | None = None,
) -> Markup:
    """Draw `rows` from top to bottom in the order given; the axis need not begin at zero, as no length is shown.

    Args:
        name: what the values are; it stands above.
        write, write_tick: turn a value into its label; by default a number with the decimals that the ticks need.
    """
    known = [one for row in rows for one in (row.value, *row.singles, *(row.interval or ())) if drawable(one)]
    ticks = nice_ticks(min(known), max(known), 4) if known else [0.0, 1.0]
    write_tick = write_tick or (lambda value: format_tick(value, ticks))
    write = write or write_tick
    left = 14 + 7.1 * max([text_width(shorten(row.label, _LETTERS)) for row in rows], default=0)
    right = 14 + 7.1 * max([text_width(write(row.value)) for row in rows if drawable(row.value)], default=1)
    scale = Scale((ticks[0], ticks[-1]), (left, max(left + 60, width - right)))
    bottom = _HEAD + max(1, len(rows)) * _ROW
    parts = [element("text", name, x=left, y=12, class_="name")]
    for tick in ticks:
        parts.append(element("line", x1=scale(tick), x2=scale(tick), y1=_HEAD, y2=bottom, class_="grid"))
    parts.append(horizontal_axis(scale, bottom, ticks, write_tick))
    if not rows:
        parts.append(element("text", "nothing recorded", x=left + 8, y=_HEAD + 18))
    parts += [_row(row, _HEAD + (index + 0.5) * _ROW, scale, write, width) for index, row in enumerate(rows)]
    said = [f"{shorten(row.label, 60)} {write(row.value)}" for row in rows if drawable(row.value)]
    return figure(width, bottom + _FOOT, f"{name}: {'; '.join(said) or 'nothing recorded'}", *parts)


def _row(row: DotRow, middle: float, scale: Scale, write: Callable[[float], str], width: float) -> Markup:
    known = drawable(row.value)
    value = write(row.value) if known else "\N{EN DASH}"
    label = join(shorten(row.label, _LETTERS), element("title", shorten(row.label, 200)))
    parts = [
        element("text", label, x=scale.pixels[0] - 10, y=middle + 4, text_anchor="end", class_="name"),
        element("text", value, x=width - 2, y=middle + 4, text_anchor="end", class_="name value"),
    ]
    if not known:
        parts.append(element("text", shorten(row.note, 30), x=scale.pixels[0] + 6, y=middle + 4))
        return join(*parts)
    title = element("title", row.note or f"{shorten(row.label, 60)}: {value}")
    for single in filter(drawable, row.singles):
        parts.append(element("circle", cx=scale(single), cy=middle, r=3, class_="spot muted"))
    if row.interval is not None and all(map(drawable, row.interval)):
        low, high = (scale(end) for end in row.interval)
        path = f"M{low:.1f} {middle - 4:.1f}V{middle + 4:.1f}M{low:.1f} {middle:.1f}H{high:.1f}"
        parts.append(element("path", d=f"{path}M{high:.1f} {middle - 4:.1f}V{middle + 4:.1f}", class_="whisker"))
    tone = "dot muted" if row.muted else "dot"
    parts.append(element("circle", title, cx=scale(row.value), cy=middle, r=5, class_=tone))
    return join(*parts)
