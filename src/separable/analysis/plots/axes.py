"""Frames, grids and tick labels shared by the charts."""

from collections.abc import Callable, Sequence

from separable.analysis.plots.markup import Markup, element, join
from separable.analysis.plots.scales import Scale

__all__ = ["figure", "horizontal_axis", "vertical_axis"]


def figure(width: float, height: float, label: str, *children: Markup) -> Markup:
    """The SVG root: named for a screen reader, scaling with the width it is given, as far as its text stays legible."""
    return element(
        "svg",
        *children,
        xmlns="http://www.w3.org/2000/svg",
        class_="plot",
        viewBox=f"0 0 {width:g} {height:g}",
        style=f"min-width:{width * 0.8:.0f}px;max-width:{width * 1.15:.0f}px",
        role="img",
        aria_label=label,
    )


def horizontal_axis(
    scale: Scale, y: float, ticks: Sequence[float], write: Callable[[float], str], label: str = ""
) -> Markup:
    """Axis line, ticks with their labels below, and the axis' name below its right end."""
    start, end = scale.pixels
    parts = [element("line", x1=start, x2=end, y1=y, y2=y, class_="axis")]
    for tick in ticks:
        x = scale(tick)
        parts.append(element("line", x1=x, x2=x, y1=y, y2=y + 4, class_="axis"))
        parts.append(element("text", write(tick), x=x, y=y + 17, text_anchor="middle", class_="tick-x"))
    if label:
        parts.append(element("text", label, x=end, y=y + 34, text_anchor="end"))
    return join(*parts)


def vertical_axis(
    scale: Scale, x: tuple[float, float], ticks: Sequence[float], write: Callable[[float], str]
) -> Markup:
    """Grid lines across the plot and their labels at its left."""
    parts = []
    for tick in ticks:
        y = scale(tick)
        parts.append(element("line", x1=x[0], x2=x[1], y1=y, y2=y, class_="grid"))
        parts.append(element("text", write(tick), x=x[0] - 7, y=y + 4, text_anchor="end", class_="tick-y"))
    return join(*parts)
