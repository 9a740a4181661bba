"""How a score varies from picture to picture: a mean says nothing of the picture at hand."""

import math
from collections.abc import Iterable
from statistics import median, quantiles

from separable.analysis.page.html import figure, section
from separable.analysis.page.wording import percent
from separable.analysis.plots import Bar, bar_chart
from separable.analysis.plots.markup import Markup

__all__ = ["spread_section"]

_STEPS = 10


def spread_section(scores: Iterable[float], name: str, caption: str) -> Markup | None:
    """How many pictures have which score; None where too few have one.

    Args:
        scores: of each picture, from 0 to 1; NaN for one that has none.
        name: what the score is, as in "a mean IoU of 80%".
        caption: what is to be known of it.
    """
    values = sorted(score for score in scores if math.isfinite(score))
    if len(values) < _STEPS:
        return None
    counts = [0] * _STEPS
    for value in values:
        counts[min(_STEPS - 1, int(value * _STEPS))] += 1
    bars = [
        Bar(f"{100 * step // _STEPS} to {100 * (step + 1) // _STEPS}%", float(counts[step]))
        for step in reversed(range(_STEPS))
    ]
    chart = bar_chart(bars, name=f"pictures, by their {name}", write="{:.0f}".format)
    lowest = quantiles(values, n=10, method="inclusive")[0]
    lead = f"Half of the pictures reach {_article(name)} {name} of {percent(median(values))}; one in ten stays below "
    lead += f"{percent(lowest)}. The worst one has {percent(values[0])}."
    return section("spread", "From picture to picture", lead, figure(chart, caption))


def _article(name: str) -> str:
    return "an" if name[0] in "aeiou" else "a"
