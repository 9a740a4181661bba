"""Something good over what it costs, and the front of those that nothing is both better and cheaper than."""

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from separable.analysis.plots.axes import figure, horizontal_axis, vertical_axis
from separable.analysis.plots.markup import Markup, element, join, shorten, text_width
from separable.analysis.plots.scales import LogScale, Scale, drawable, format_tick, nice_ticks

__all__ = ["ScatterPoint", "pareto_front", "scatter_chart"]

_LEFT, _RIGHT, _TOP, _BOTTOM = 52.0, 18.0, 30.0, 44.0
_LETTERS, _WIDE = 16, 6.6


@dataclass(frozen=True)
class ScatterPoint:
    """A name, its cost (above zero; more is worse), its value (more is better) and the value's interval."""

    label: str
    cost: float
    value: float
    interval: tuple[float, float] | None = None
    note: str = ""


def pareto_front(points: Sequence[ScatterPoint], *, higher: bool = True) -> list[ScatterPoint]:
    """Those that no other one beats or equals in both and beats in one, by rising cost; `higher` values are better."""
    sign = 1 if higher else -1
    front: list[ScatterPoint] = []
    for point in sorted(points, key=lambda one: (one.cost, -sign * one.value)):
        same = bool(front) and (point.cost, point.value) == (front[-1].cost, front[-1].value)
        if not front or same or sign * point.value > sign * front[-1].value:
            front.append(point)
    return front


def scatter_chart(
    points: Sequence[ScatterPoint],
    *,
    name: str,
    x_label: str,
    write_x: Callable[[float], str],
    write_y: Callable[[float], str] | None = None,
    size: tuple[float, float] = (380, 280),
    higher: bool = True,
) -> Markup:
    """Draw `points`, with a line along their front; those behind it are grey. The horizontal axis is logarithmic.

    Args:
        name: what is drawn upwards. x_label: what it costs.
        higher: whether more of it is better.
    """
    shown = [p for p in points if drawable(p.value) and drawable(p.cost) and p.cost > 0]
    ends = [value for p in shown for value in (p.value, *(p.interval or ())) if drawable(value)]
    y_ticks = nice_ticks(min(ends), max(ends)) if ends else [0.0, 1.0]
    write_y = write_y or (lambda value: format_tick(value, y_ticks))
    x = LogScale(_domain([p.cost for p in shown]), (_LEFT, size[0] - _RIGHT))
    y = Scale((y_ticks[0], y_ticks[-1]), (size[1] - _BOTTOM, _TOP))
    front = pareto_front(shown, higher=higher)
    linear = Scale((math.log(x.domain[0]), math.log(x.domain[1])), x.pixels)
    ticks = {math.log(tick): tick for tick in _cost_ticks(x)}
    parts = [
        vertical_axis(y, x.pixels, y_ticks, write_y),
        horizontal_axis(linear, y.pixels[0], list(ticks), lambda place: write_x(ticks[place]), x_label),
        element("text", name, x=_LEFT - 38, y=12, class_="name"),
    ]
    if not shown:
        parts.append(element("text", "nothing recorded", x=size[0] / 2, y=size[1] / 2, text_anchor="middle"))
    if len(front) > 1:
        steps = "".join(f"H{x(p.cost):.1f}V{y(p.value):.1f}" for p in front[1:])
        path = f"M{x(front[0].cost):.1f} {y(front[0].value):.1f}{steps}"
        parts.append(element("path", d=path, class_="curve muted dashed"))
    parts += [_point(p, x, y, p in front) for p in shown]
    parts.append(_names([*front, *(p for p in shown if p not in front)], x, y))
    words = "; ".join(f"{p.label} {write_y(p.value)} at {write_x(p.cost)}" for p in front)
    return figure(*size, f"{name} over {x_label}. On the front: {words or 'nothing recorded'}", *parts)


def _domain(costs: Sequence[float]) -> tuple[float, float]:
    """With room at both ends, and never a point."""
    if not costs:
        return 1.0, 10.0
    low, high = min(costs), max(costs)
    room = max((high / low) ** 0.12, 1.06)
    return low / room, high * room


def _cost_ticks(scale: LogScale) -> list[float]:
    """A few round values inside the domain: powers of ten with 2 and 5, or within less than that even steps."""
    low, high = scale.domain
    first = math.floor(math.log10(low))
    powers = range(first, first + math.ceil(math.log10(high / low)) + 2)
    rounds = [10.0**power * factor for power in powers for factor in (1, 2, 5)]
    inside = [tick for tick in rounds if low <= tick <= high]
    if 3 <= len(inside) <= 6:
        return inside
    if len(inside) > 6:
        return scale.decades
    even = ([tick for tick in nice_ticks(low, high, count) if low <= tick <= high] for count in range(4, 12))
    return next((ticks for ticks in even if len(ticks) >= 3), inside)


def _point(point: ScatterPoint, x: LogScale, y: Scale, first: bool) -> Markup:
    across, parts = x(point.cost), []
    if point.interval is not None and all(map(drawable, point.interval)):
        low, high = (y(end) for end in point.interval)
        parts.append(element("line", x1=across, x2=across, y1=low, y2=high, class_="whisker soft"))
    title = element("title", point.note or point.label)
    tone = "dot" if first else "dot muted"
    parts.append(element("circle", title, cx=across, cy=y(point.value), r=5, class_=tone))
    return join(*parts)


def _names(points: Sequence[ScatterPoint], x: LogScale, y: Scale) -> Markup:
    """Beside the points, where they cover neither another one's name nor a point; left out where that cannot be."""
    spots = [(x(p.cost), y(p.value)) for p in points]
    taken: list[tuple[float, float, float]] = []
    parts = []
    for index, (point, (across, down)) in enumerate(zip(points, spots, strict=True)):
        others = [spot for number, spot in enumerate(spots) if number != index]
        label = shorten(point.label, _LETTERS)
        width = _WIDE * text_width(label)
        places = ((across + 9, down - 7), (across + 9, down + 15), (across - 9 - width, down - 7),
                  (across - 9 - width, down + 15), (across - width / 2, down - 12))  # fmt: skip
        for start, base in places:
            inside = x.pixels[0] <= start and start + width <= x.pixels[1] + 14 and base > y.pixels[1] - 14
            meets = any(start < end and begin < start + width and abs(base - at) < 13 for begin, end, at in taken)
            covers = any(start - 5 < a < start + width + 5 and base - 15 < d < base + 8 for a, d in others)
            if inside and not meets and not covers:
                taken.append((start, start + width, base))
                parts.append(element("text", label, x=start, y=base, class_="name halo", pointer_events="none"))
                break
    return join(*parts)
