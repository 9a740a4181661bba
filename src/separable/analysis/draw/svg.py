"""Shapes as SVG."""

from collections.abc import Sequence

from separable.analysis.draw.shapes import Line, Rect, Shape, Text
from separable.analysis.draw.style import Theme, stylesheet
from separable.analysis.plots.markup import Markup, element

__all__ = ["to_svg"]

_ROUND = {
    "frame": 5.0,
    "behind": 5.0,
    "panel": 8.0,
    "light": 10.0,
    "circle": 99.0,
    "mark": 99.0,
    "remark": 99.0,
    "bar": 3.0,
}
_HEAD, _HALF = 6.0, 3.2
"""Length and half width of an arrow's head."""
_BEND = 4.0
"""Radius of a line's corners."""


def to_svg(shapes: Sequence[Shape], width: float, height: float, *, title: str, summary: str, theme: Theme) -> str:
    """A document of its own: styles inside, text as text, named and described for a screen reader."""
    layers = (
        [shape for shape in shapes if isinstance(shape, Rect) and shape.style == "panel"],
        [shape for shape in shapes if isinstance(shape, Rect) and shape.style in ("frame", "behind")],
        [shape for shape in shapes if isinstance(shape, Line)],
        [shape for shape in shapes if isinstance(shape, Rect) and shape.style not in ("panel", "frame", "behind")],
        [shape for shape in shapes if isinstance(shape, Text)],
    )
    drawn = [_draw(shape) for layer in layers for shape in layer]
    root = element(
        "svg",
        element("title", title),
        element("desc", summary),
        element("style", Markup(stylesheet(theme))),
        Markup("\n" + "\n".join(drawn) + "\n"),
        xmlns="http://www.w3.org/2000/svg",
        class_="network",
        viewBox=f"0 0 {width:g} {height:g}",
        width=f"{width:g}",
        height=f"{height:g}",
        style="max-width:100%;height:auto",
        role="img",
        aria_label=f"{title}: {summary}",
    )
    return f"{root}\n"


def _draw(shape: Shape) -> Markup:
    if isinstance(shape, Line):
        return _line(shape)
    if isinstance(shape, Text):
        return element(
            "text",
            shape.words,
            x=shape.x,
            y=shape.y,
            font_size=shape.size,
            text_anchor=None if shape.anchor == "start" else shape.anchor,
            class_=shape.style or None,
        )
    radius = min(_ROUND.get(shape.style, 4.0), shape.height / 2)
    hover = element("title", shape.title) if shape.title else None
    return element(
        "rect", hover, x=shape.x, y=shape.y, width=shape.width, height=shape.height, rx=radius, class_=shape.style
    )


def _line(line: Line) -> Markup:
    (x0, y0), (x1, y1) = line.points[-2], line.points[-1]
    length = max(abs(x1 - x0), abs(y1 - y0), 1e-6)
    dx, dy = (x1 - x0) / length, (y1 - y0) / length  # all lines are upright or level
    points = list(line.points)
    head = None
    if line.arrow:
        bx, by = x1 - dx * _HEAD, y1 - dy * _HEAD
        points[-1] = (bx + dx, by + dy)
        corners = [(x1, y1), (bx - dy * _HALF, by + dx * _HALF), (bx + dy * _HALF, by - dx * _HALF)]
        head = element("path", d="M" + "L".join(f"{x:.1f} {y:.1f}" for x, y in corners) + "Z", class_="head")
    path = element("path", d=_rounded(points), class_="line")
    return Markup(path + head) if head is not None else path


def _rounded(points: Sequence[tuple[float, float]]) -> str:
    """A path through `points` with rounded corners."""
    path = f"M{points[0][0]:.1f} {points[0][1]:.1f}"
    for before, corner, after in zip(points, points[1:], points[2:], strict=False):
        room = min(_BEND, _distance(before, corner) / 2, _distance(corner, after) / 2)
        start, end = _towards(corner, before, room), _towards(corner, after, room)
        path += f"L{start[0]:.1f} {start[1]:.1f}Q{corner[0]:.1f} {corner[1]:.1f} {end[0]:.1f} {end[1]:.1f}"
    return path + f"L{points[-1][0]:.1f} {points[-1][1]:.1f}"


def _distance(a: tuple[float, float], b: tuple[float, float]) -> float:
    return abs(a[0] - b[0]) + abs(a[1] - b[1])


def _towards(start: tuple[float, float], end: tuple[float, float], by: float) -> tuple[float, float]:
    length = _distance(start, end)
    if length == 0:
        return start
    return (start[0] + (end[0] - start[0]) * by / length, start[1] + (end[1] - start[1]) * by / length)
