"""The top of the page: the result in plain words, the numbers worth a glance, and how it varies between pictures."""

import math

from separable.analysis.page.html import tile
from separable.analysis.page.wording import count_of, percent
from separable.analysis.plots.markup import Markup, shorten
from separable.segmentation.labels import background_of
from separable.segmentation.measured_at import measured_at
from separable.segmentation.report.record import MaskScores
from separable.training.report.opening import opening, trained_in_words, unfinished_title
from separable.training.report.record import RunRecord

__all__ = ["headline"]


def headline(record: RunRecord, scores: MaskScores | None, scale: float | None) -> Markup:
    """Title, summary, warnings and tiles.

    Args:
        record: of the run.
        scores: None where nothing was measured.
        scale: of `measured_at.picture_scale`, over the held-out pictures.
    """
    if scores is None:
        return opening(record, unfinished_title(record), trained_in_words(record, 0), [])
    title = unfinished_title(record)
    if math.isfinite(scores.miou):
        title = f"Mean IoU {percent(scores.miou)} on {count_of(scores.n, 'picture')} it never trained on"
    summary = trained_in_words(record, len(scores.class_names)) + _in_plain_words(scores)
    if scores.size is not None:
        summary += f" {measured_at(scores.size, scores.boundary_tolerance, scale)}"
    return opening(record, title, summary, _tiles(scores))


def _in_plain_words(scores: MaskScores) -> str:
    """What the numbers mean, and what the simplest answer of all would reach."""
    words = ""
    if math.isfinite(scores.pixel_accuracy):
        words += f" Of the pixels it was measured on, {percent(scores.pixel_accuracy)} get the right class"
        total = sum(one.pixels for one in scores.per_class)
        largest = max(scores.per_class, key=lambda one: one.pixels, default=None)
        if largest is not None and total:
            words += f"; calling everything {shorten(largest.name, 40)} would get {percent(largest.pixels / total)}"
        words += "."
    if math.isfinite(scores.miou):
        words += " Where the truth or the prediction shows a class, both agree on "
        words += f"{percent(scores.miou)} of that area, on average over the classes: that is the mean IoU."
    return words


def _tiles(scores: MaskScores) -> list[Markup]:
    tiles = [
        tile(percent(scores.miou), "mean IoU", "every class counts the same"),
        tile(percent(scores.pixel_accuracy), "pixels right"),
    ]
    background = background_of(scores.class_names)
    one = scores.per_class[1 - background] if len(scores.per_class) == 2 and background is not None else None
    if one is not None and math.isfinite(one.iou):
        tiles.insert(1, tile(percent(one.iou), f"IoU of {shorten(one.name, 24)}", "by itself"))
    elif math.isfinite(scores.mean_dice):
        tiles.append(tile(f"{scores.mean_dice:.3f}", "mean Dice"))
    if math.isfinite(scores.boundary_f1):
        near = f"within {scores.boundary_tolerance:g} pixels" if math.isfinite(scores.boundary_tolerance) else ""
        near += " of {}x{}".format(*scores.size) if near and scores.size is not None else ""
        tiles.append(tile(f"{scores.boundary_f1:.3f}", "outlines (boundary F1)", near))
    return tiles
