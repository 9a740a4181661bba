"""Held-out pictures with truth, prediction and disagreement side by side: the worst, and a random sample."""

import math
from collections.abc import Sequence

from separable.analysis.drawing_lots import draw_by_name
from separable.analysis.page.html import folded, note, section
from separable.analysis.page.wording import count_of, percent
from separable.analysis.plots.markup import Markup, element, join, shorten
from separable.segmentation.report.colours import swatch
from separable.segmentation.report.panels import Panels, Shown
from separable.segmentation.report.record import MaskScores, PictureRow
from separable.training.report.thumbnails import frame

__all__ = ["sample_section", "worst_first", "worst_section"]

_MOST_WORST, _OPEN = 24, 12
_SAMPLE = 12
_MOST_CLASSES = 8
_WIDEST, _TALLEST = 3.0, 1.6
"""Proportions within which a picture is shown; beyond them its frame has margins."""


def worst_first(pictures: Sequence[PictureRow]) -> list[PictureRow]:
    """The pictures with a score, the lowest IoU first and of equal ones the one with fewer pixels right."""
    scored = [row for row in pictures if math.isfinite(row.miou) and math.isfinite(row.pixel_accuracy)]
    return sorted(scored, key=lambda row: (row.miou, row.pixel_accuracy, row.path))


def worst_section(pictures: Sequence[PictureRow], scores: MaskScores, panels: Panels) -> Markup | None:
    """The pictures on which truth and prediction overlap least, as far as their masks were kept."""
    ordered = worst_first(pictures)
    shown = ([row for row in ordered if row.predicted] or ordered)[:_MOST_WORST]
    if not shown:
        return None
    lead = (
        f"The {len(shown)} of {count_of(len(pictures), 'held-out picture')} with the lowest mean IoU, the worst first."
    )
    if len(shown) == len(pictures):
        lead = f"All {count_of(len(shown), 'held-out picture')}, the worst first."
    if shown[0].miou == 1.0:
        lead += " Not a pixel is wrong."
    return _section("worst", "The worst pictures", lead, shown, scores, panels)


def sample_section(pictures: Sequence[PictureRow], scores: MaskScores, panels: Panels) -> Markup | None:
    """Pictures drawn by a hash of their names; none where the worst are all there are."""
    if len(pictures) <= _MOST_WORST:
        return None
    shown = [pictures[index] for index in draw_by_name([row.path for row in pictures], _SAMPLE)]
    lead = f"{len(shown)} held-out pictures drawn at random: what to expect of a picture like these."
    return _section("sample", "A random sample", lead, shown, scores, panels)


def _section(
    anchor: str, heading: str, lead: str, rows: Sequence[PictureRow], scores: MaskScores, panels: Panels
) -> Markup:
    made = [panels.show(row) for row in rows]
    items = [_item(row, shown, scores) for row, shown in zip(rows, made, strict=True)]
    notes = []
    lacking = sum(not shown.complete for shown in made)
    if lacking:
        notes.append(note(f"Of {lacking} of these {len(rows)}, files were moved, deleted or damaged since."))
    content = [element("ul", *items[:_OPEN], class_="quads")]
    if len(items) > _OPEN:
        content.append(folded(f"The next {len(items) - _OPEN}", element("ul", *items[_OPEN:], class_="quads")))
    return section(anchor, heading, lead, *content, *notes)


def _item(row: PictureRow, shown: Shown, scores: MaskScores) -> Markup:
    texts = {
        "picture": (shown.picture, row.path),
        "truth": (shown.truth, _in_words(shown.truth_shares, scores)),
        "prediction": (shown.predicted, _in_words(shown.predicted_shares, scores)),
        "disagreement": (shown.disagreement, _kinds_in_words(shown.kinds)),
    }
    height, width = shown.sides
    proportion = min(_WIDEST, max(1 / _TALLEST, width / height))
    style = f"aspect-ratio:{proportion:.4f}"
    panels = [
        element(
            "figure",
            frame(uri, f"{name}: {words or row.path}", row.path, _absent(name), style),
            element("figcaption", name),
            class_=None if name == "picture" else "squares",
        )
        for name, (uri, words) in texts.items()
    ]
    return element("li", element("div", *panels, class_="four"), _said(row, shown, scores))


def _absent(name: str) -> str:
    return "picture no longer there" if name == "picture" else f"no {name} kept"


def _said(row: PictureRow, shown: Shown, scores: MaskScores) -> Markup:
    """Its scores and the kinds of its mistakes; with more than two classes which ones are in it."""
    said = f"IoU {percent(row.miou)}, {percent(row.pixel_accuracy)} of the pixels right"
    if not math.isfinite(row.miou):
        said = "No pixel of it is labelled"
    wrong = f"{_kinds_in_words(shown.kinds)} \N{MIDDLE DOT} " if shown.kinds else ""
    parts = [
        element("span", said, class_="said"),
        element("span", f"{wrong}{shorten(row.path, 80)}", class_="truth"),
    ]
    if len(scores.class_names) > 2:
        for name, shares in (("truth", shown.truth_shares), ("prediction", shown.predicted_shares)):
            if shares:
                parts.append(element("span", f"{name}: ", *_chips(shares, scores), class_="truth chips"))
    return element("p", *parts)


def _chips(shares: dict[int, float], scores: MaskScores) -> list[Markup]:
    chips = [
        element("span", swatch(scores.colours[index]), shorten(scores.class_names[index], 30))
        for index in list(shares)[:_MOST_CLASSES]
    ]
    more = len(shares) - _MOST_CLASSES
    return [join(chip, " ") for chip in chips] + ([element("span", f"and {more} more")] if more > 0 else [])


def _in_words(shares: dict[int, float], scores: MaskScores) -> str:
    named = [f"{shorten(scores.class_names[k], 30)} {percent(shares[k], 0)}" for k in list(shares)[:_MOST_CLASSES]]
    return ", ".join(named)


def _kinds_in_words(kinds: tuple[float, ...]) -> str:
    if not kinds:
        return ""
    named = zip(("right", "missed", "added", "confused"), kinds, strict=True)
    words = [f"{percent(share)} {name}" for name, share in named if share and name != "right"]
    return ", ".join(words) or "nothing wrong"
