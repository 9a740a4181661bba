"""A line chart with round ticks, the names of the lines at their ends, and every value on hover."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Literal

from separable.analysis.plots.axes import figure, horizontal_axis, vertical_axis
from separable.analysis.plots.markup import Markup, element, join, shorten, text_width
from separable.analysis.plots.scales import Scale, drawable, format_tick, nice_ticks, padded_domain

__all__ = ["Marker", "Series", "line_chart"]

_MOST_HOVERS = 120
_LEFT, _RIGHT, _TOP, _BOTTOM = 46, 76, 26, 44
_LABEL, _LETTER = 9.0, 7.0
"""Room for the labels of the vertical axis: beside them and for each letter."""


@dataclass(frozen=True)
class Series:
    """A named line through `points` (x, y) in order; it breaks where a value is not finite.

    `band` (x, low, high) is shaded behind it: what it is the middle of.
    """

    label: str
    points: Sequence[tuple[float, float]]
    tone: Literal["accent", "muted"] = "accent"
    band: Sequence[tuple[float, float, float]] = ()
    dashed: bool = False


@dataclass(frozen=True)
class Marker:
    """A ring around one point, with words for it."""

    x: float
    y: float
    label: str


@dataclass(frozen=True)
class _Frame:
    x: Scale
    y: Scale
    write_x: Callable[[float], str]
    write_y: Callable[[float], str]


def line_chart(
    series: Sequence[Series],
    *,
    name: str,
    x_label: str,
    size: tuple[float, float] = (380, 250),
    letters: int = 12,
    x_range: tuple[float, float] | None = None,
    y_range: tuple[float, float] | None = None,
    write_x: Callable[[float], str] | None = None,
    write_y: Callable[[float], str] | None = None,
    whole_x: bool = False,
    markers: Sequence[Marker] = (),
) -> Markup:
    """Draw `series` in one frame of `size` (width, height) pixels.

    Args:
        name: what is drawn upwards; it stands above the axis and begins the text for screen readers.
        x_range, y_range: ends of the axes; by default they follow the data to the next round tick.
        write_x, write_y: turn a value into its label; by default a number with the decimals the ticks need.
        letters: of a line's name that there is room for at its end.
        whole_x: the horizontal ticks are whole numbers (epochs).
    """
    width, height = size
    shown = [(s, [(x, y) for x, y in s.points if drawable(x) and drawable(y)]) for s in series]
    bands = [[edge for edge in s.band if all(map(drawable, edge))] for s in series]
    everything = [point for _, points in shown for point in points]
    everything += [(x, y) for band in bands for x, low, high in band for y in (low, high)]
    x_ticks = nice_ticks(*(x_range or _extent([x for x, _ in everything])), whole=whole_x)
    y_ticks = nice_ticks(*(y_range or _extent([y for _, y in everything])))
    x_domain = padded_domain(*(x_range or _extent([x for x, _ in everything])))
    write_y = write_y or (lambda value: format_tick(value, y_ticks))
    longest = max((text_width(s.label) for s in series), default=0)
    left = max(_LEFT, _LABEL + _LETTER * max(len(write_y(tick)) for tick in y_ticks))
    right = max(_RIGHT, 8 + _LETTER * min(letters, longest)) if longest else 16
    frame = _Frame(
        Scale(x_domain, (left, width - right)),
        Scale((y_ticks[0], y_ticks[-1]), (height - _BOTTOM, _TOP)),
        write_x or (lambda value: format_tick(value, x_ticks)),
        write_y,
    )
    inside = [tick for tick in x_ticks if x_domain[0] - 1e-9 <= tick <= x_domain[1] + 1e-9]
    parts = [
        vertical_axis(frame.y, frame.x.pixels, y_ticks, frame.write_y),
        horizontal_axis(frame.x, height - _BOTTOM, inside, frame.write_x, x_label),
        element("text", name, x=left - 38, y=12, class_="name"),
    ]
    if not everything:
        middle = (left + width - right) / 2
        parts.append(element("text", "nothing recorded", x=middle, y=height / 2, text_anchor="middle"))
    parts += [_band(band, s.tone, frame) for s, band in zip(series, bands, strict=True) if len(band) > 1]
    parts += [_curve(s, frame) for s in series]
    parts += [_ring(m, frame) for m in markers if drawable(m.x) and drawable(m.y)]
    ends = [(s, points[-1][1]) for s, points in shown if points]
    parts.append(_end_labels(ends, frame, width - right + 8, letters))
    parts += [_hovers(s, points, frame, x_label) for s, points in shown]
    return figure(width, height, _summary(name, x_label, shown, frame), *parts)


def _extent(values: Sequence[float]) -> tuple[float, float]:
    return (min(values), max(values)) if values else (0.0, 1.0)


def _band(band: Sequence[tuple[float, float, float]], tone: str, frame: _Frame) -> Markup:
    """There along the upper edge, back along the lower one."""
    upper = [(frame.x(x), frame.y(high)) for x, _, high in band]
    lower = [(frame.x(x), frame.y(low)) for x, low, _ in reversed(band)]
    path = "M" + "L".join(f"{x:.1f} {y:.1f}" for x, y in (*upper, *lower)) + "Z"
    return element("path", d=path, class_=f"band {tone}")


def _curve(series: Series, frame: _Frame) -> Markup:
    """One path per unbroken stretch; a stretch of one point is a dot, or it would not be seen."""
    stretches: list[list[tuple[float, float]]] = [[]]
    for x, y in series.points:
        if drawable(x) and drawable(y):
            stretches[-1].append((frame.x(x), frame.y(y)))
        elif stretches[-1]:
            stretches.append([])
    parts = []
    for stretch in stretches:
        if len(stretch) == 1:
            parts.append(element("circle", cx=stretch[0][0], cy=stretch[0][1], r=3.5, class_=f"dot {series.tone}"))
        elif stretch:
            path = "M" + "L".join(f"{x:.1f} {y:.1f}" for x, y in stretch)
            dashes = " dashed" if series.dashed else ""
            parts.append(element("path", d=path, class_=f"curve {series.tone}{dashes}"))
    return join(*parts)


def _ring(marker: Marker, frame: _Frame) -> Markup:
    title = element("title", marker.label)
    return element("circle", title, cx=frame.x(marker.x), cy=frame.y(marker.y), r=4.5, class_="ring")


def _end_labels(ends: Sequence[tuple[Series, float]], frame: _Frame, x: float, letters: int) -> Markup:
    """Name and last value of each line beside its end, pushed apart where they would cover each other."""
    ordered = sorted((e for e in ends if e[0].label), key=lambda end: -end[1])
    heights = _spread([frame.y(value) for _, value in ordered], 32, frame.y.pixels[0] - 14)
    parts = []
    for (series, value), y in zip(ordered, heights, strict=True):
        tone = "strong" if series.tone == "accent" else "soft"
        parts.append(element("text", shorten(series.label, letters), x=x, y=y, class_=tone))
        parts.append(element("text", frame.write_y(value), x=x, y=y + 14, class_=tone))
    return join(*parts)


def _spread(heights: Sequence[float], apart: float, lowest: float) -> list[float]:
    """The heights (downwards, sorted) moved as little as keeps them `apart` and none below `lowest`."""
    spread: list[float] = []
    for height in heights:
        spread.append(max(height, spread[-1] + apart) if spread else height)
    for index in reversed(range(len(spread))):
        spread[index] = min(spread[index], lowest)
        lowest = spread[index] - apart
    return spread


def _hovers(series: Series, points: Sequence[tuple[float, float]], frame: _Frame, x_label: str) -> Markup:
    every = max(1, -(-len(points) // _MOST_HOVERS))
    parts = []
    for x, y in points[::every]:
        words = f"{series.label} {frame.write_y(y)} at {x_label} {round(x, 2):g}".strip()
        parts.append(element("circle", element("title", words), cx=frame.x(x), cy=frame.y(y), r=5, class_="hit"))
    return join(*parts)


def _summary(name: str, x_label: str, shown: Sequence[tuple[Series, list[tuple[float, float]]]], frame: _Frame) -> str:
    ends = [f"{s.label or name} from {frame.write_y(p[0][1])} to {frame.write_y(p[-1][1])}" for s, p in shown if p] or [
        "nothing recorded"
    ]
    return f"{name} by {x_label}: " + "; ".join(ends)
