"""What the colours mean: of the classes in truth and prediction, and of where these disagree."""

from separable.analysis.page.html import folded, section
from separable.analysis.page.wording import count_of
from separable.analysis.plots.markup import Markup, element, join, shorten
from separable.segmentation.labels import background_of
from separable.segmentation.report.record import MaskScores
from separable.segmentation.views import DISAGREEMENT

__all__ = ["colour_section", "swatch"]

_MOST_OPEN = 24


def colour_section(scores: MaskScores) -> Markup:
    """A legend for the pictures that follow."""
    order = sorted(range(len(scores.class_names)), key=lambda k: (-_pixels(scores, k), k))
    classes = [_entry(scores.colours[k], f"{shorten(scores.class_names[k], 60)}") for k in order]
    content = [element("h3", "Classes in truth and prediction"), _list(classes[:_MOST_OPEN])]
    if len(classes) > _MOST_OPEN:
        more = count_of(len(classes) - _MOST_OPEN, "more class", "more classes")
        content.append(folded(f"{more}, of fewer pixels", _list(classes[_MOST_OPEN:])))
    nothing = background_of(scores.class_names)
    background = "" if nothing is None else shorten(scores.class_names[nothing], 60)
    words = (
        "right",
        f"missed: the prediction says {background}, the truth shows another class",
        f"added: the prediction shows a class where the truth is {background}",
        "confused: one class taken for another",
        "not labelled: does not count",
    )
    kinds = [_entry(colour, text) for colour, text in zip(DISAGREEMENT, words, strict=True)]
    if nothing is None:
        kinds = kinds[:1] + kinds[3:]
    elif len(scores.class_names) <= 2:
        kinds = kinds[:3] + kinds[4:]
    content += [element("h3", "Where they disagree"), _list(kinds)]
    lead = "The same in every picture below."
    if len(scores.class_names) > 8:
        lead += " So many colours cannot all be told apart: below each picture its classes are named."
    if scores.recoloured:
        lead += " The mask files themselves carry Pascal VOC's palette, as index PNGs do; what they hold is the same."
    return section("colours", "Colours", lead, *content)


def swatch(colour: tuple[int, int, int]) -> Markup:
    """A square of the colour."""
    return element("i", "", style="background:#{:02x}{:02x}{:02x}".format(*colour))


def _entry(colour: tuple[int, int, int], words: str) -> Markup:
    return element("li", join(swatch(colour), words))


def _list(entries: list[Markup]) -> Markup:
    return element("ul", *entries, class_="legend")


def _pixels(scores: MaskScores, index: int) -> int:
    return scores.per_class[index].pixels if index < len(scores.per_class) else 0
