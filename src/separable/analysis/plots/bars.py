"""Horizontal bars with their values and, where given, their confidence intervals."""

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from separable.analysis.plots.axes import figure
from separable.analysis.plots.markup import Markup, element, join, shorten, text_width
from separable.analysis.plots.scales import Scale, drawable, nice_ticks

__all__ = ["Bar", "bar_chart"]

_ROW, _LETTERS = 24.0, 22


@dataclass(frozen=True)
class Bar:
    """One bar: its name, its value (NaN: unknown), the interval the true value lies in, and words for the hover."""

    label: str
    value: float
    interval: tuple[float, float] | None = None
    note: str = ""


def bar_chart(
    bars: Sequence[Bar],
    *,
    name: str,
    domain: tuple[float, float] | None = None,
    width: float = 380,
    write: Callable[[float], str] = "{:g}".format,
) -> Markup:
    """Draw `bars` from top to bottom in the order given, from zero (or the start of `domain`) to their values."""
    values = [b.value for b in bars if drawable(b.value)]
    if domain is None:
        ticks = nice_ticks(min([0.0, *values]), max([0.0, *values])) if values else [0.0, 1.0]
        domain = ticks[0], ticks[-1]
    left = 12 + 7.1 * max([text_width(shorten(b.label, _LETTERS)) for b in bars], default=0)
    scale = Scale(domain, (left, width - 48))
    parts = [element("text", name, x=left, y=12, class_="name")]
    if not bars:
        parts.append(element("text", "nothing recorded", x=left, y=34))
    parts += [_row(bar, 22 + index * _ROW, scale, write, width) for index, bar in enumerate(bars)]
    return figure(width, 26 + max(1, len(bars)) * _ROW, _summary(name, bars, write), *parts)


def _row(bar: Bar, top: float, scale: Scale, write: Callable[[float], str], width: float) -> Markup:
    (start, end), middle = scale.pixels, top + _ROW / 2
    known = drawable(bar.value)
    value = write(bar.value) if known else "\N{EN DASH}"
    label = join(shorten(bar.label, _LETTERS), element("title", shorten(bar.label, 200)))
    parts = [
        element("text", label, x=start - 8, y=middle + 4, text_anchor="end", class_="name"),
        element("rect", x=start, y=top + 6, width=end - start, height=_ROW - 12, class_="track"),
        element("text", value, x=width - 2, y=middle + 4, text_anchor="end", class_="name value"),
    ]
    if known:
        zero = scale(min(max(0.0, scale.domain[0]), scale.domain[1]))
        tip = scale(min(max(bar.value, scale.domain[0]), scale.domain[1]))
        title = element("title", bar.note or f"{shorten(bar.label, 60)}: {value}")
        box = {"x": min(zero, tip), "y": top + 6, "width": abs(tip - zero), "height": _ROW - 12}
        parts.append(element("rect", title, class_="bar", **box))
        parts.append(element("rect", x=tip - 1.5, y=top + 6, width=3.0, height=_ROW - 12, class_="tip"))
    if bar.interval is not None and all(math.isfinite(e) for e in bar.interval):
        low, high = (scale(e) for e in bar.interval)
        path = f"M{low:.1f} {middle - 3:.1f}V{middle + 3:.1f}M{low:.1f} {middle:.1f}H{high:.1f}"
        parts.append(element("path", d=f"{path}M{high:.1f} {middle - 3:.1f}V{middle + 3:.1f}", class_="whisker"))
    return join(*parts)


def _summary(name: str, bars: Sequence[Bar], write: Callable[[float], str]) -> str:
    words = [f"{shorten(b.label, 60)} {write(b.value)}" for b in bars if drawable(b.value)]
    return f"{name}: " + ("; ".join(words) or "nothing recorded")
