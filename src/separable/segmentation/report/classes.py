"""How well each class is found: overlap, precision, recall and outlines."""

import math
from collections.abc import Sequence

from separable.analysis.page.html import Column, note, section
from separable.analysis.page.wording import count_of, listed, percent
from separable.analysis.plots import Bar
from separable.analysis.plots.markup import Markup, shorten
from separable.segmentation.report.record import MaskScores, Overlap
from separable.training.report.classes import class_columns, number
from separable.training.report.confusion import Confusion

__all__ = ["class_section", "pixel_confusion"]

_MOST_NAMED = 6


def class_section(scores: MaskScores) -> Markup | None:
    """IoU as bars, the lowest first, and everything in a table; an undefined IoU comes last and is explained."""
    if not scores.per_class:
        return None
    worst = sorted(scores.per_class, key=lambda one: (one.iou if math.isfinite(one.iou) else 2.0, one.name))
    total = sum(one.pixels for one in worst)
    words = "Intersection over union: of all pixels that the truth or the prediction gives to a class, the share where "
    words += "both do."
    bars = [Bar(one.name, one.iou) for one in worst]
    content = class_columns(
        bars, "overlap (IoU)", words, _heads(scores), [_row(one, total) for one in worst], beside=False
    )
    content += [note(text) for text in _absent(worst)]
    return section("classes", "Class by class", _lead(worst), *content)


def pixel_confusion(scores: MaskScores) -> Confusion:
    """The confusion matrix, its cells as shares of their rows."""
    none = "Not one pixel was taken for another class."
    return Confusion(scores.confusion, scores.class_names, "pixels", none, _share)


def _share(count: int, total: int) -> str:
    share = 100 * count / total
    return "<1%" if share < 0.5 else ">99%" if 99.5 <= share < 100 else f"{share:.0f}%"


def _heads(scores: MaskScores) -> list[Column]:
    near = f"{scores.boundary_tolerance:g} pixels" if math.isfinite(scores.boundary_tolerance) else "a few pixels"
    return [
        Column("class"),
        Column("IoU", True, "of the pixels that truth or prediction give to this class, the share where both do"),
        Column("Dice", True, "twice the pixels both give it, over the sum of what each gives it"),
        Column("precision", True, "of the pixels called this, the share that were"),
        Column("recall", True, "of the pixels that were this, the share called so"),
        Column("outline F1", True, f"how much of the outlines lies within {near} of the other's"),
        Column("pixels", True, "share of the labelled held-out pixels, and their number on hover"),
    ]


def _row(one: Overlap, total: int) -> list[tuple[str, float | None]]:
    values = (one.iou, one.dice, one.precision, one.recall, one.boundary_f1)
    pixels = (percent(one.pixels / total) if total else "\N{EN DASH}", float(one.pixels))
    return [(one.name, None), *map(number, values), pixels]


def _lead(worst: Sequence[Overlap]) -> str:
    known = [one for one in worst if math.isfinite(one.iou)]
    if not known:
        return "No class has a score: no labelled pixel was there to measure on."
    if len(known) == 1:
        return f"{shorten(known[0].name, 40)}: IoU {percent(known[0].iou)}."
    weak, strong = known[0], known[-1]
    words = f"Weakest: {shorten(weak.name, 40)} (IoU {percent(weak.iou)})."
    return words + f" Strongest: {shorten(strong.name, 40)} ({percent(strong.iou)})."


def _absent(worst: Sequence[Overlap]) -> list[str]:
    """What is to be known of classes that no held-out picture shows."""
    undefined = [one for one in worst if not math.isfinite(one.iou)]
    invented = [one for one in worst if one.pixels == 0 and math.isfinite(one.iou)]
    said = []
    if undefined:
        were = count_of(len(undefined), "class was", "classes were")
        said.append(
            f"{were} neither in the held-out pictures nor in the predictions, so that no overlap can be computed. "
            f"The mean leaves {'it' if len(undefined) == 1 else 'them'} out: {_names(undefined)}."
        )
    if invented:
        were = count_of(len(invented), "class was", "classes were")
        said.append(f"{were} predicted though no held-out picture shows any, which is IoU 0: {_names(invented)}.")
    return said


def _names(found: Sequence[Overlap]) -> str:
    names = [shorten(one.name, 40) for one in found[:_MOST_NAMED]]
    more = len(found) - _MOST_NAMED
    return listed([*names, f"{more} more"] if more > 0 else names)
