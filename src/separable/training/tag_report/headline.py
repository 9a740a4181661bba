"""The top of the page: the result in plain words, what the simplest answer would reach, the numbers worth a glance."""

import math
from collections.abc import Mapping, Sequence

from separable.analysis.page.html import tile
from separable.analysis.page.wording import count_of, percent, wilson_interval
from separable.analysis.plots.markup import Markup
from separable.training.report.opening import opening, trained_in_words, unfinished_title
from separable.training.report.record import RunRecord
from separable.training.tag_report.record import TagMeasured, TagRow, TagScores

__all__ = ["headline", "same_for_all"]

_PLACES = 100


def headline(record: RunRecord, measured: TagMeasured) -> Markup:
    """Title, summary, warnings and tiles."""
    scores = measured.scores
    if scores is None:
        return opening(record, unfinished_title(record), trained_in_words(record, 0), [])
    title = unfinished_title(record)
    if math.isfinite(scores.map100):
        title = f"MAP@100 {percent(scores.map100)} on {count_of(scores.n, 'picture')} it never trained on"
    summary = trained_in_words(record, len(scores.class_names)) + _in_plain_words(record, measured, scores)
    return opening(record, title, summary, _tiles(measured, scores))


def same_for_all(counts: Mapping[str, int], pictures: Sequence[TagRow]) -> float:
    """The MAP@100 of the answer that looks at no picture: every class, the most frequent ones to learn from first.

    As `analysis.average_precision` has it, with every class alike; NaN without a picture that has a label.
    """
    order = sorted(counts, key=lambda name: (-counts[name], name))
    place = {name: rank for rank, name in enumerate(order, start=1)}
    precisions = []
    for labels in (row.labels for row in pictures if row.labels):
        ranks = sorted(place[name] for name in labels if place.get(name, _PLACES + 1) <= _PLACES)
        found = math.fsum(number / rank for number, rank in enumerate(ranks, start=1))
        precisions.append(found / min(len(labels), _PLACES))
    return math.fsum(precisions) / len(precisions) if precisions else math.nan


def _in_plain_words(record: RunRecord, measured: TagMeasured, scores: TagScores) -> str:
    words = ""
    if scores.n:
        words += f" These pictures have {scores.tags / scores.n:.1f} labels each on average."
    if math.isfinite(scores.map100):
        words += (
            " It ranks all classes for each picture. Going down that list to each label in turn, "
            f"{percent(scores.map100)} of what is passed is right, on average over labels and pictures: that is the "
            "mean average precision, MAP@100."
        )
        counts = {name: train for name, train, _ in record.check.classes} if record.check else {}
        simple = same_for_all(counts, measured.pictures) if counts else math.nan
        if math.isfinite(simple):
            words += f" Giving every picture the most frequent tags in the same order would reach {percent(simple)}."
    return words


def _tiles(measured: TagMeasured, scores: TagScores) -> list[Markup]:
    tiles = [
        tile(percent(scores.map100), "MAP@100", "every class counts the same"),
        tile(percent(scores.weighted_map100), "weighted MAP@100", "frequent classes count more"),
    ]
    if math.isfinite(scores.precision1):
        labelled = sum(bool(row.labels) for row in measured.pictures)
        low, high = wilson_interval(scores.precision1 * labelled, labelled)
        tiles.append(tile(percent(scores.precision1), "top tag right", f"{percent(low)} to {percent(high)}"))
    if scores.decision is not None:
        given = f"those of {scores.decision.threshold:.2f} or more"
        tiles.append(tile(percent(scores.decision.precision), "right, of the tags given", given))
        tiles.append(tile(percent(scores.decision.recall), "given, of the labels"))
    return tiles
