"""Held-out pictures with their labels and the tags they got: the worst, and a random sample."""

import math
from collections.abc import Sequence

from separable.analysis.drawing_lots import draw_by_name
from separable.analysis.page.html import folded, note, section
from separable.analysis.page.wording import count_of, percent
from separable.analysis.plots.markup import Markup, element, join, shorten
from separable.training.report.thumbnails import Gallery
from separable.training.tag_report.record import TagRow

__all__ = ["STYLE", "sample_section", "worst_section"]

_MOST_WORST, _OPEN = 24, 12
_SAMPLE = 12
_MOST_TAGS = 12
STYLE = """
.tagged{list-style:none;margin:0;padding:0;display:grid;gap:26px 30px;
grid-template-columns:repeat(auto-fill,minmax(min(100%,380px),1fr))}
.tagged>li{display:grid;grid-template-columns:128px minmax(0,1fr);gap:0 16px;min-width:0;break-inside:avoid;
font-size:13px;line-height:1.4;align-content:start}
.tagged .frame{margin:0}
.tagged p{margin:0 0 6px;font-size:13px;line-height:1.4}
.tags{display:flex;flex-wrap:wrap;gap:3px 12px;list-style:none;margin:0 0 6px;padding:0}
.tags li{overflow-wrap:anywhere}
.tags .hit::before{content:"\\2713\\00a0";color:var(--soft)}
.tags .miss::before{content:"\\2717\\00a0";color:var(--accent)}
.tags .miss{font-weight:600}
.tags .lost{color:var(--soft)}
.tags .lost::before{content:"\\25cb\\00a0";color:var(--accent)}
@media (max-width:560px){.tagged>li{grid-template-columns:96px minmax(0,1fr)}}
"""
_HOW_TO_READ = (
    "\N{CHECK MARK} a tag that is a label, \N{BALLOT X} one that is not, \N{WHITE CIRCLE} a label that it did not "
    "give, with its place in the list of all classes where it is among the first."
)


def worst_section(pictures: Sequence[TagRow], threshold: float, gallery: Gallery) -> Markup | None:
    """The pictures of the lowest average precision; of equal ones those with more labels, which say more."""
    measured = [row for row in pictures if row.is_measured]
    shown = sorted(measured, key=lambda row: (row.average_precision, -len(row.labels), row.path))[:_MOST_WORST]
    if not shown:
        return None
    lead = f"The {len(shown)} of {count_of(len(measured), 'held-out picture')} whose labels come latest, worst first."
    if len(shown) == len(measured):
        lead = f"All {count_of(len(shown), 'held-out picture')} with a label, the worst first."
    return _section("worst", "The worst pictures", lead, shown, threshold, gallery)


def sample_section(pictures: Sequence[TagRow], threshold: float, gallery: Gallery) -> Markup | None:
    """Pictures drawn by a hash of their names, those without a label too; none where the worst are all there are."""
    if len(pictures) <= _MOST_WORST:
        return None
    shown = [pictures[index] for index in draw_by_name([row.path for row in pictures], _SAMPLE)]
    lead = f"{len(shown)} held-out pictures drawn at random: what to expect of a picture like these."
    return _section("sample", "A random sample", lead, shown, threshold, gallery)


def _section(
    anchor: str, heading: str, lead: str, rows: Sequence[TagRow], threshold: float, gallery: Gallery
) -> Markup:
    items = [_item(row, threshold, gallery) for row in rows]
    content = [element("ul", *items[:_OPEN], class_="tagged")]
    if len(items) > _OPEN:
        content.append(folded(f"The next {len(items) - _OPEN}", element("ul", *items[_OPEN:], class_="tagged")))
    given = (f"Tags of {threshold:.2f} or more, as ", element("code", "predict"), f" gives them. {_HOW_TO_READ}")
    content.append(note(*given))
    gone = gallery.missing_of([row.path for row in rows])
    if gone:
        content.append(note(f"{gone} of these {len(rows)} could not be shown: they were moved or damaged since."))
    return section(anchor, heading, lead, *content)


def _item(row: TagRow, threshold: float, gallery: Gallery) -> Markup:
    given = row.given(threshold)
    labels, named = set(row.labels), {name for name, _ in given}
    places = {name: place for place, (name, _) in enumerate(row.predicted, start=1)}
    lost = sorted((name for name in row.labels if name not in named), key=lambda name: places.get(name, math.inf))
    alt = f"{row.path}: labels {', '.join(row.labels) or 'none'}; tags {', '.join(named) or 'none'}"
    tags = [_tag(f"{shorten(name, 40)} {percent(p, 0)}", "hit" if name in labels else "miss") for name, p in given]
    missing = [_tag(_at_place(name, places.get(name)), "lost") for name in lost]
    said = f"average precision {percent(row.average_precision, 0)}" if row.is_measured else "no label"
    words = [
        element("p", element("span", said, class_="said"), element("span", shorten(row.path, 60), class_="truth")),
        _listed(tags) if tags else element("p", _nothing(row), class_="truth"),
        _listed(missing) if missing else None,
    ]
    return element("li", gallery.show(row.path, alt), element("div", *words))


def _listed(tags: Sequence[Markup]) -> Markup:
    more = len(tags) - _MOST_TAGS
    rest = [element("li", f"and {more} more", class_="truth")] if more > 0 else []
    return element("ul", join(*tags[:_MOST_TAGS]), *rest, class_="tags")


def _tag(text: str, kind: str) -> Markup:
    return element("li", text, class_=kind)


def _at_place(name: str, place: int | None) -> str:
    return shorten(name, 40) if place is None else f"{shorten(name, 40)} (place {place})"


def _nothing(row: TagRow) -> str:
    if not row.predicted:
        return "no tag"
    name, probability = row.predicted[0]
    return f"no tag is probable enough; first comes {shorten(name, 40)} with {percent(probability, 0)}"
