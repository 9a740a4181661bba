"""A roofline: what each layer reaches, over how much it computes for every byte it moves; both axes logarithmic."""

import math
from collections.abc import Sequence
from dataclasses import dataclass

from separable.analysis.plots.axes import figure
from separable.analysis.plots.markup import Markup, element, join
from separable.analysis.plots.scales import LogScale

__all__ = ["Roof", "RooflinePoint", "roofline_plot"]

_Span = tuple[float, float, float]
"""Where a text stands: from, to, base line."""

_LEFT, _RIGHT, _TOP, _BOTTOM = 58.0, 20.0, 26.0, 46.0


@dataclass(frozen=True)
class RooflinePoint:
    """A layer: operations for each byte, operations a second, and the share of the whole time, which is its area."""

    label: str
    intensity: float
    rate: float
    weight: float
    muted: bool = False
    note: str = ""


@dataclass(frozen=True)
class Roof:
    """`flops` a second at most, and `bytes_per_second` at most."""

    label: str
    flops: float
    bytes_per_second: float
    cache_bytes_per_second: float = 0.0
    """What data that stays in a cache can reach; drawn dashed, 0 for none."""


def roofline_plot(
    points: Sequence[RooflinePoint], roof: Roof, *, size: tuple[float, float] = (820, 430), named: int = 6
) -> Markup:
    """Draw the roof and a circle for each point; the `named` heaviest ones have their names beside them."""
    shown = [p for p in points if all(math.isfinite(v) and v > 0 for v in (p.intensity, p.rate))]
    ridge = roof.flops / roof.bytes_per_second
    x_domain = _domain([*(p.intensity for p in shown), ridge], 2.0)
    y_domain = _domain([*(p.rate for p in shown), roof.flops, roof.flops / 30], 1.6)
    x = LogScale(x_domain, (_LEFT, size[0] - _RIGHT))
    y = LogScale(y_domain, (size[1] - _BOTTOM, _TOP))
    heavy = sorted(shown, key=lambda p: -p.weight)
    parts = [
        _grid(x, y),
        _roof(roof, x, y),
        *(_circle(p, x, y) for p in heavy),
        _names(heavy, named, x, y, (x.pixels[1] - 7.4 * len(roof.label), x.pixels[1], y(roof.flops) - 8)),
        element("text", "operations a second", x=2, y=12, class_="name"),
        element("text", "operations for each byte moved", x=size[0] - _RIGHT, y=size[1] - 8, text_anchor="end"),
    ]
    if not shown:
        parts.append(element("text", "nothing recorded", x=size[0] / 2, y=size[1] / 2, text_anchor="middle"))
    words = f"Roofline with {len(shown)} layers under a roof of {_si(roof.flops)} operations a second"
    return figure(*size, words, *parts)


def _domain(values: Sequence[float], room: float) -> tuple[float, float]:
    """From and to round the values, `room` times beyond them on each side."""
    return min(values) / room, max(values) * room


def _grid(x: LogScale, y: LogScale) -> Markup:
    parts = []
    for tick in _ticks(x):
        place = x(tick)
        parts.append(element("line", x1=place, x2=place, y1=y.pixels[0], y2=y.pixels[1], class_="grid"))
        parts.append(element("text", f"{tick:g}", x=place, y=y.pixels[0] + 17, text_anchor="middle"))
    for tick in _ticks(y):
        place = y(tick)
        parts.append(element("line", x1=x.pixels[0], x2=x.pixels[1], y1=place, y2=place, class_="grid"))
        parts.append(element("text", _si(tick), x=x.pixels[0] - 7, y=place + 4, text_anchor="end"))
    parts.append(element("line", x1=x.pixels[0], x2=x.pixels[1], y1=y.pixels[0], y2=y.pixels[0], class_="axis"))
    return join(*parts)


def _ticks(scale: LogScale) -> list[float]:
    """Powers of ten; where they are few, twice and five times them as well."""
    tens = scale.decades
    if len(tens) > 3:
        return tens
    low, high = scale.domain
    below = 10.0 ** math.floor(math.log10(low))
    steps = [ten * factor for ten in [below, *tens] for factor in (1, 2, 5)]
    return [tick for tick in dict.fromkeys(steps) if low <= tick <= high]


def _roof(roof: Roof, x: LogScale, y: LogScale) -> Markup:
    parts = [_line(roof.flops, roof.bytes_per_second, x, y, "curve accent")]
    if roof.cache_bytes_per_second > roof.bytes_per_second * 1.05:
        parts.append(_line(roof.flops, roof.cache_bytes_per_second, x, y, "guide"))
    ridge = max(x.domain[0], roof.flops / roof.bytes_per_second)
    parts.append(
        element("text", roof.label, x=x.pixels[1], y=y(roof.flops) - 8, text_anchor="end", class_="strong halo")
    )
    middle = math.sqrt(x.domain[0] * ridge)
    if ridge > x.domain[0] * 3 and roof.bytes_per_second * middle > y.domain[0]:
        angle = math.degrees(math.atan2(y(roof.bytes_per_second * 2) - y(roof.bytes_per_second), x(2.0) - x(1.0)))
        where = f"translate({x(middle):.1f} {y(roof.bytes_per_second * middle) - 7:.1f}) rotate({angle:.1f})"
        words = f"copy in memory, {_si(roof.bytes_per_second)}B/s"
        parts.append(element("text", words, transform=where, text_anchor="middle", class_="strong halo"))
    return join(*parts)


def _line(flops: float, rate: float, x: LogScale, y: LogScale, kind: str) -> Markup:
    """From where the slope enters the frame to the ridge, then level."""
    start = max(x.domain[0], y.domain[0] / rate)
    ridge = min(max(start, flops / rate), x.domain[1])
    bend = min(flops, rate * ridge)
    path = f"M{x(start):.1f} {y(min(flops, rate * start)):.1f}L{x(ridge):.1f} {y(bend):.1f}"
    return element("path", d=f"{path}H{x.pixels[1]:.1f}", class_=kind)


def _circle(point: RooflinePoint, x: LogScale, y: LogScale) -> Markup:
    title = element("title", point.note or point.label)
    kind = "spot muted" if point.muted else "spot"
    return element("circle", title, cx=x(point.intensity), cy=y(point.rate), r=_radius(point), class_=kind)


def _names(points: Sequence[RooflinePoint], named: int, x: LogScale, y: LogScale, roof_label: _Span) -> Markup:
    """Names of the first `named` beside their circles, where they cover least of others; left out where that is more
    than their own, or another name.
    """
    circles = [(x(p.intensity), y(p.rate), _radius(p)) for p in points]
    taken = [roof_label]
    parts = []
    for point, (across, down, radius) in zip(points[:named], circles, strict=False):
        width = 7.0 * len(point.label)
        starts = (across + radius + 4, across - radius - 4 - width, across - width / 2, across - width / 2)
        bases = (down + 4, down + 4, down - radius - 4, down + radius + 13)
        spans = [(start, start + width, base) for start, base in zip(starts, bases, strict=True)]
        free = [span for span in spans if _fits(span, x, y) and not any(_meet(span, other) for other in taken)]
        hidden = [sum(circle[2] ** 2 for circle in circles if _covers(span, circle)) for span in free]
        if free and min(hidden) <= radius**2:
            best = free[hidden.index(min(hidden))]
            taken.append(best)
            parts.append(element("text", point.label, x=best[0], y=best[2], class_="name halo", pointer_events="none"))
    return join(*parts)


def _radius(point: RooflinePoint) -> float:
    return max(2.5, 34 * math.sqrt(max(0.0, point.weight)))


def _fits(span: _Span, x: LogScale, y: LogScale) -> bool:
    return x.pixels[0] <= span[0] and span[1] <= x.pixels[1] and y.pixels[1] + 8 <= span[2] <= y.pixels[0] - 3


def _meet(one: _Span, other: _Span) -> bool:
    return abs(one[2] - other[2]) < 13 and one[0] < other[1] and other[0] < one[1]


def _covers(span: _Span, circle: tuple[float, float, float]) -> bool:
    """Whether a text's box, 10 above its base line to 3 below, touches a circle."""
    across, down, radius = circle
    nearest = min(max(across, span[0]), span[1]), min(max(down, span[2] - 10), span[2] + 3)
    return math.dist((across, down), nearest) < radius


def _si(value: float) -> str:
    for size, prefix in ((1e15, "P"), (1e12, "T"), (1e9, "G"), (1e6, "M"), (1e3, "k")):
        if value >= size * 0.9995:
            return f"{value / size:.3g} {prefix}"
    return f"{value:.3g} "
