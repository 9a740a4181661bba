"""A reliability diagram: how often the network is right, against how sure it says it is."""

import math
from collections.abc import Sequence
from dataclasses import dataclass

from separable.analysis.plots.axes import figure, horizontal_axis, vertical_axis
from separable.analysis.plots.markup import Markup, element, join
from separable.analysis.plots.scales import Scale

__all__ = ["ReliabilityBin", "reliability_diagram"]

_SIDE, _LEFT, _TOP, _STRIP = 260.0, 50.0, 28.0, 44.0


@dataclass(frozen=True)
class ReliabilityBin:
    """Pictures whose confidence lies in low..high: their mean confidence, their accuracy, its interval, how many."""

    low: float
    high: float
    confidence: float
    accuracy: float
    count: int
    interval: tuple[float, float] | None = None


def reliability_diagram(bins: Sequence[ReliabilityBin]) -> Markup:
    """Accuracy over confidence with the diagonal of a calibrated network, and below it how many pictures a bin has."""
    x = Scale((0, 1), (_LEFT, _LEFT + _SIDE))
    y = Scale((0, 1), (_TOP + _SIDE, _TOP))
    ticks = [0.0, 0.25, 0.5, 0.75, 1.0]
    used = [b for b in bins if b.count > 0 and math.isfinite(b.confidence) and math.isfinite(b.accuracy)]
    base = _TOP + _SIDE + _STRIP + 10
    parts = [
        vertical_axis(y, x.pixels, ticks, "{:.0%}".format),
        element("line", x1=x(0), y1=y(0), x2=x(1), y2=y(1), class_="guide"),
        element("text", "right", x=_LEFT - 36, y=12, class_="name"),
        horizontal_axis(x, base, ticks, "{:.0%}".format, "confidence stated"),
        element("text", "pictures", x=_LEFT + 4, y=_TOP + _SIDE + 20),
    ]
    if not used:
        parts.append(element("text", "nothing recorded", x=x(0.5), y=y(0.5), text_anchor="middle"))
    most = max((b.count for b in used), default=1)
    parts += [_histogram_bar(b, x, base, most) for b in used]
    parts += [_point(b, x, y, 3 + 4 * math.sqrt(b.count / most)) for b in used]
    return figure(_LEFT + _SIDE + 16, base + 40, _summary(used), *parts)


def _histogram_bar(item: ReliabilityBin, x: Scale, base: float, most: int) -> Markup:
    height = (_STRIP - 6) * item.count / most
    left, right = x(item.low), x(item.high)
    return element(
        "rect",
        element("title", _words(item)),
        x=left + 1,
        y=base - height,
        width=max(1.0, right - left - 2),
        height=height,
        class_="bar muted",
    )


def _point(item: ReliabilityBin, x: Scale, y: Scale, radius: float) -> Markup:
    middle = x(item.confidence)
    parts = []
    if item.interval is not None and all(math.isfinite(end) for end in item.interval):
        low, high = item.interval
        parts.append(element("line", x1=middle, x2=middle, y1=y(low), y2=y(high), class_="whisker soft"))
    title = element("title", _words(item))
    parts.append(element("circle", title, cx=middle, cy=y(item.accuracy), r=radius, class_="dot"))
    return join(*parts)


def _words(item: ReliabilityBin) -> str:
    return (
        f"confidence {item.low:.0%} to {item.high:.0%}: {item.count} pictures, "
        f"said {item.confidence:.1%}, right {item.accuracy:.1%}"
    )


def _summary(bins: Sequence[ReliabilityBin]) -> str:
    if not bins:
        return "Reliability diagram: nothing recorded"
    return "Reliability diagram. " + "; ".join(_words(b) for b in bins)
