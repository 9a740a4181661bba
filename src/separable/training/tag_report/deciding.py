"""Which tags to give: what a threshold on the probability buys, and what it costs."""

import math
from collections.abc import Sequence

from separable.analysis.page.html import figure, key_values, note, section
from separable.analysis.page.wording import percent
from separable.analysis.plots import Marker, Series, line_chart
from separable.analysis.plots.markup import Markup, element
from separable.training.report.learning import thinned
from separable.training.tag_report.record import TagMeasured, TagRow

__all__ = ["deciding_section", "trade_off"]


def deciding_section(measured: TagMeasured) -> Markup | None:
    """Precision against recall for falling thresholds, and the one that `predict` goes by."""
    scores = measured.scores
    if scores is None or scores.decision is None or not scores.tags:
        return None
    decision, curve = scores.decision, trade_off(measured.pictures, scores.tags, len(scores.class_names))
    content = []
    if len(curve) > 1:
        here = Marker(decision.recall, decision.precision, f"{decision.threshold:.2f}")
        chart = line_chart(
            [Series("", curve)], name="right, of the tags given", x_label="labels given", x_range=(0.0, 1.0),
            write_x="{:.0%}".format, y_range=(0.0, 1.0), write_y=lambda v: f"{100 * v:.3g}%", markers=[here],
        )  # fmt: skip
        words = "Every point is a threshold: to the right lower ones, which find more of the labels and err more often."
        content.append(figure(chart, words))
    pairs: list[tuple[str, str | Markup]] = [
        ("threshold", f"{decision.threshold:.4f}"),
        ("F1", f"{decision.f1:.3f}"),
    ]
    content.append(element("div", key_values(pairs), class_="apart"))
    content.append(
        note(
            "It is the one of the highest F1 on these same pictures, which flatters the two figures a little. ",
            element("code", "predict --threshold"),
            " takes another, ",
            element("code", "predict --top"),
            " as many tags of each picture.",
        )
    )
    lead = (
        f"Those of {decision.threshold:.2f} or more: {percent(decision.precision)} of them are right, and "
        f"{percent(decision.recall)} of all labels are among them."
    )
    return section("deciding", "Which tags it gives", lead, *content)


def trade_off(pictures: Sequence[TagRow], labels: int, classes: int) -> list[tuple[float, float]]:
    """(share of the labels that are given, share of the tags given that are right) for falling thresholds, at most 120
    points; as far down as predictions.csv has all tags of every picture.

    Args:
        pictures: with their first classes.
        labels: of all pictures together.
        classes: that there are.
    """
    # Below the last tag of a list that was cut others may be missing.
    ends = [row.predicted[-1][1] for row in pictures if 0 < len(row.predicted) < classes]
    lowest = max(ends, default=0.0)
    answers = sorted(
        ((p, name in row.labels) for row in pictures for name, p in row.predicted if math.isfinite(p) and p >= lowest),
        key=lambda one: -one[0],
    )
    points, right = [], 0
    for number, (probability, is_right) in enumerate(answers, start=1):
        right += is_right
        if number == len(answers) or answers[number][0] != probability:
            points.append((right / labels, right / number))
    return thinned(points)
