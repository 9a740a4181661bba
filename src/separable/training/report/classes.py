"""What is taken for what: the confusion matrix, and precision, recall and F1 of each class."""

import math
from collections.abc import Sequence

from separable.analysis.page.html import Column, figure, note, section, table
from separable.analysis.page.wording import count_of, percent, wilson_interval
from separable.analysis.plots import Bar, bar_chart, heat_map
from separable.analysis.plots.markup import Markup, element, shorten
from separable.training.report.record import ClassScore, Evaluation

__all__ = ["class_section", "confusion_section", "most_confused"]

_MOST_IN_MATRIX = 40
_MOST_WITH_COUNTS = 20
_MOST_BESIDE = 6
_MOST_PAIRS = 15
_MOST_BARS = 24
_MOST_ROWS = 300


def most_confused(evaluation: Evaluation, most: int = _MOST_PAIRS) -> list[tuple[str, str, int, int]]:
    """(truth, prediction, count, pictures of that truth), the most frequent mistake first; ties in class order."""
    pairs = [
        (row, column, count)
        for row, counts in enumerate(evaluation.confusion)
        for column, count in enumerate(counts)
        if row != column and count > 0
    ]
    pairs.sort(key=lambda pair: (-pair[2], pair[0], pair[1]))
    names, sums = evaluation.class_names, [sum(row) for row in evaluation.confusion]
    return [(names[row], names[column], count, sums[row]) for row, column, count in pairs[:most]]


def confusion_section(evaluation: Evaluation) -> Markup | None:
    """The matrix where it can be read, and the most frequent mistakes in words always."""
    if not evaluation.confusion:
        return None
    n = len(evaluation.class_names)
    pairs = most_confused(evaluation)
    content = []
    if n <= _MOST_IN_MATRIX:
        plot = heat_map(evaluation.confusion, evaluation.class_names, write_counts=n <= _MOST_WITH_COUNTS)
        content.append(figure(plot, "Each row is shaded by its own sum, so small classes show as well as large ones."))
    else:
        content.append(note(f"A matrix of {n:,} classes could not be read; here are its largest off-diagonal cells."))
    if pairs and n > 2:
        content.append(_pair_table(pairs, evaluation))
    if n <= _MOST_BESIDE:
        content = [element("div", *content, class_="pair")]
    return section("confusion", "What is taken for what", _confusion_lead(pairs, evaluation), *content)


def _confusion_lead(pairs: Sequence[tuple[str, str, int, int]], evaluation: Evaluation) -> str:
    if not pairs:
        return f"Not one of {count_of(evaluation.n, 'picture')} was taken for another class."
    truth, predicted, count, total = pairs[0]
    return f"Most often confused: {shorten(truth, 40)} taken for {shorten(predicted, 40)}, {count} of {total}."


def _pair_table(pairs: Sequence[tuple[str, str, int, int]], evaluation: Evaluation) -> Markup:
    wrong = sum(sum(row) - row[index] for index, row in enumerate(evaluation.confusion))
    shown = sum(pair[2] for pair in pairs)
    columns = [Column("truly"), Column("taken for"), Column("pictures", True), Column("of that class", True)]
    rows = [[(t, None), (p, None), (str(c), float(c)), (percent(c / n), c / n)] for t, p, c, n in pairs]
    few = "All" if shown == wrong else f"The most frequent {shown:,} of"
    caption = "The only mistake" if wrong == 1 else f"{few} {wrong:,} mistakes, by kind"
    return element("div", table(columns, rows, caption), class_="apart")


def class_section(evaluation: Evaluation) -> Markup | None:
    """Recall with its interval as bars, worst first, and everything in a table that can be sorted."""
    scores = evaluation.per_class
    if not scores:
        return None
    worst = sorted(scores, key=lambda s: (s.f1 if math.isfinite(s.f1) else -1.0, s.name))
    lowest = sorted(scores, key=lambda s: (s.recall if math.isfinite(s.recall) else 2.0, s.name))[:_MOST_BARS]
    bars = [_bar(s) for s in lowest]
    content = [
        figure(
            bar_chart(bars, name="found (recall)", domain=(0, 1), width=400, write=lambda v: percent(v, 0)),
            "Share of each class's pictures that was recognised; the line is the 95% interval of that share."
            + (f" The {_MOST_BARS} weakest of {len(scores):,} classes." if len(scores) > _MOST_BARS else ""),
        ),
        element("div", _score_table(worst[:_MOST_ROWS]), class_="tall"),
    ]
    content = [element("div", *content, class_="pair")]
    if len(scores) > _MOST_ROWS:
        content.append(note(f"The {_MOST_ROWS} weakest of {len(scores):,} classes; evaluation.json has them all."))
    return section("classes", "Class by class", _class_lead(worst), *content)


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


def _score_table(scores: Sequence[ClassScore]) -> Markup:
    columns = [
        Column("class"),
        Column("pictures", True, "held-out pictures of this class"),
        Column("precision", True, "of the pictures called this, the share that were"),
        Column("recall", True, "of the pictures that were this, the share called so"),
        Column("F1", True, "harmonic mean of precision and recall"),
    ]
    rows = [
        [
            (s.name, None),
            (f"{s.support:,}", float(s.support)),
            *[(f"{v:.3f}" if math.isfinite(v) else "\N{EN DASH}", v) for v in (s.precision, s.recall, s.f1)],
        ]
        for s in scores
    ]
    return table(columns, rows, "Weakest first; a click on a head sorts by it")
