"""The top of a classification's page: the result in a sentence with its uncertainty, the numbers worth a glance."""

import math

from separable.analysis.page.html import tile
from separable.analysis.page.wording import count_of, percent, wilson_interval
from separable.analysis.plots.markup import Markup
from separable.training.report.opening import opening, trained_in_words, unfinished_title
from separable.training.report.record import Evaluation, RunRecord

__all__ = ["headline"]


def headline(record: RunRecord, evaluation: Evaluation | None) -> Markup:
    """Title, summary, warnings and tiles; `evaluation` is None where nothing was measured."""
    if evaluation is None:
        return opening(record, unfinished_title(record), trained_in_words(record, 0), [])
    summary = trained_in_words(record, len(evaluation.class_names)) + _uncertainty(evaluation)
    title = unfinished_title(record)
    if math.isfinite(evaluation.top1):
        title = f"{percent(evaluation.top1)} right on {count_of(evaluation.n, 'picture')} it never trained on"
    return opening(record, title, summary, _tiles(evaluation))


def _uncertainty(evaluation: Evaluation) -> str:
    if not math.isfinite(evaluation.top1):
        return ""
    low, high = wilson_interval(evaluation.top1 * evaluation.n, evaluation.n)
    words = f" On pictures like these it would be between {percent(low)} and {percent(high)} (95% interval)"
    share = max((s.support for s in evaluation.per_class), default=0) / evaluation.n
    return words + (f"; always answering the largest class would give {percent(share)}." if share else ".")


def _tiles(evaluation: Evaluation) -> list[Markup]:
    low, high = wilson_interval(evaluation.top1 * evaluation.n, evaluation.n) if evaluation.top1 >= 0 else (0, 1)
    tiles = [tile(percent(evaluation.top1), "right at the first guess", f"{percent(low)} to {percent(high)}")]
    if len(evaluation.class_names) > 5 and math.isfinite(evaluation.top5):
        tiles.append(tile(percent(evaluation.top5), "right among five guesses"))
    f1 = [s.f1 for s in evaluation.per_class if math.isfinite(s.f1)]
    if f1:
        tiles.append(tile(f"{sum(f1) / len(f1):.3f}", "mean F1", "every class counts the same"))
    ece = evaluation.calibration.ece if evaluation.calibration else math.nan
    if math.isfinite(ece):
        tiles.append(tile(f"{100 * ece:.1f}", "points off in confidence", "calibration error"))
    return tiles
