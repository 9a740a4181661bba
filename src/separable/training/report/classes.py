"""Precision, recall and F1 of each class."""

import math
from collections.abc import Sequence

from separable.analysis.page.html import Column, figure, note, section, table
from separable.analysis.page.wording import count_of, percent, wilson_interval
from separable.analysis.plots import Bar, bar_chart
from separable.analysis.plots.markup import Markup, element, shorten
from separable.training.report.record import ClassScore, Evaluation

__all__ = ["class_columns", "class_section", "number"]

_MOST_BARS = 24
_MOST_ROWS = 300
_HEADS = (
    Column("class"),
    Column("pictures", True, "held-out pictures of this class"),
    Column("precision", True, "of the pictures called this, the share that were"),
    Column("recall", True, "of the pictures that were this, the share called so"),
    Column("F1", True, "harmonic mean of precision and recall"),
)


def class_section(evaluation: Evaluation) -> Markup | None:
    """Recall with its interval as bars, worst first, and everything in a table that can be sorted."""
    scores = evaluation.per_class
    if not scores:
        return None
    worst = sorted(scores, key=lambda s: (s.f1 if math.isfinite(s.f1) else -1.0, s.name))
    lowest = sorted(scores, key=lambda s: (s.recall if math.isfinite(s.recall) else 2.0, s.name))
    words = "Share of each class's pictures that was recognised; the line is the 95% interval of that share."
    columns = class_columns([_bar(s) for s in lowest], "found (recall)", words, _HEADS, [_row(s) for s in worst])
    return section("classes", "Class by class", _class_lead(worst), *columns)


def class_columns(
    bars: Sequence[Bar],
    name: str,
    caption: str,
    heads: Sequence[Column],
    rows: Sequence[Sequence[tuple[str, float | None]]],
    *,
    beside: bool = True,
) -> list[Markup]:
    """Bars from 0 to 1, and a table beside or below: a class each, the weakest first, as many as can be looked at."""
    few = f" The {_MOST_BARS} weakest of {len(bars):,} classes." if len(bars) > _MOST_BARS else ""
    chart = bar_chart(bars[:_MOST_BARS], name=name, domain=(0, 1), width=400, write=lambda v: percent(v, 0))
    numbers = table(heads, rows[:_MOST_ROWS], "Weakest first; a click on a head sorts by it")
    drawn, tall = figure(chart, caption + few), element("div", numbers, class_="tall" if beside else "tall apart")
    content = [element("div", drawn, tall, class_="pair")] if beside else [drawn, tall]
    if len(rows) > _MOST_ROWS:
        content.append(note(f"The {_MOST_ROWS} weakest of {len(rows):,} classes; evaluation.json has them all."))
    return content


def number(value: float) -> tuple[str, float]:
    """The cell of a score from 0 to 1."""
    return (f"{value:.3f}" if math.isfinite(value) else "\N{EN DASH}", value)


def _bar(score: ClassScore) -> Bar:
    if score.support <= 0 or not math.isfinite(score.recall):
        return Bar(score.name, math.nan)
    right = round(score.recall * score.support)
    note_ = f"{shorten(score.name, 60)}: {right} of {score.support} found"
    return Bar(score.name, score.recall, wilson_interval(right, score.support), note_)


def _class_lead(worst: Sequence[ClassScore]) -> str:
    known = [s for s in worst if math.isfinite(s.f1)]
    if not known:
        return "No class has a score."
    if len(known) == 1:
        return f"{shorten(known[0].name, 40)}: F1 {known[0].f1:.3f}."
    weak, strong = known[0], known[-1]
    words = f"Weakest: {shorten(weak.name, 40)} (F1 {weak.f1:.2f})."
    words += f" Strongest: {shorten(strong.name, 40)} ({strong.f1:.2f})."
    empty = sum(s.support == 0 for s in worst)
    return words + (f" {count_of(empty, 'class', 'classes')} had no held-out picture." if empty else "")


def _row(score: ClassScore) -> list[tuple[str, float | None]]:
    count = (f"{score.support:,}", float(score.support))
    return [(score.name, None), count, *map(number, (score.precision, score.recall, score.f1))]
