"""How well the most frequent classes are found."""

import math
from collections.abc import Sequence

from separable.analysis.page.html import Column, figure, note, section, table
from separable.analysis.page.wording import count_of, percent
from separable.analysis.plots import Bar, bar_chart
from separable.analysis.plots.markup import Markup, element, shorten
from separable.training.tag_report.record import ClassPrecision, TagScores

__all__ = ["class_section"]

_MOST_BARS = 24
_HEADS = (
    Column("class"),
    Column("pictures", True, "held-out pictures with this label"),
    Column("share", True, "of the held-out pictures: about the average precision of pictures in random order"),
    Column("AP", True, "average precision: pictures ordered by this class's score: mean precision where its own are"),
)


def class_section(scores: TagScores) -> Markup | None:
    """Average precision as bars, the most frequent class first, and everything in a table that can be sorted."""
    classes = scores.per_class
    if not classes:
        return None
    caption = (
        "Average precision class by class: the pictures in the order of this class's score, and the mean, over those "
        "that show it, of the share up to there that do. The most frequent class comes first."
    )
    bars = [_bar(one, scores.n) for one in classes[:_MOST_BARS]]
    chart = bar_chart(bars, name="average precision", domain=(0, 1), width=400, write=lambda v: percent(v, 0))
    rows = [_row(one, scores.n) for one in classes]
    numbers = table(_HEADS, rows, "Most frequent first; a click on a head sorts by it")
    content = [element("div", figure(chart, caption), element("div", numbers, class_="tall"), class_="pair")]
    more = len(scores.class_names) - len(classes)
    if more > 0:
        others = "1 class is" if more == 1 else f"{more:,} classes are"
        content.append(note(f"{others} left out: less frequent ones, and those that no held-out picture shows."))
    return section("classes", "The most frequent classes", _lead(classes), *content)


def _lead(classes: Sequence[ClassPrecision]) -> str:
    known = sorted((one for one in classes if math.isfinite(one.average_precision)), key=lambda o: o.average_precision)
    if not known:
        return "No class has a score."
    weak, strong = known[0], known[-1]
    words = f"Found best: {shorten(strong.name, 40)} ({percent(strong.average_precision)})."
    return words + (f" Worst: {shorten(weak.name, 40)} ({percent(weak.average_precision)})." if len(known) > 1 else "")


def _bar(one: ClassPrecision, n: int) -> Bar:
    words = f"{shorten(one.name, 60)}: {percent(one.average_precision)}, on {count_of(one.support, 'picture')} of {n:,}"
    return Bar(one.name, one.average_precision, note=words)


def _row(one: ClassPrecision, n: int) -> list[tuple[str, float | None]]:
    share = one.support / n if n else math.nan
    return [
        (one.name, None),
        (f"{one.support:,}", float(one.support)),
        (percent(share), share),
        (percent(one.average_precision), one.average_precision),
    ]
