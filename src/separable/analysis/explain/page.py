"""The page that shows why: the picture as it is seen, the answers, the evidence, maps and filters, and the method."""

from collections.abc import Mapping
from datetime import UTC, datetime

from separable import __version__
from separable.analysis.explain.evidence import evidence_section
from separable.analysis.explain.method import method_section
from separable.analysis.explain.subject import Subject
from separable.analysis.explain.views import filters_section, maps_section, seen_section
from separable.analysis.page import document
from separable.analysis.page.html import tile
from separable.analysis.page.wording import listed, percent
from separable.analysis.plots.markup import Markup, element, join, shorten

__all__ = ["explanation_page"]

_STYLE = """
.looks{display:grid;grid-template-columns:repeat(auto-fill,minmax(min(100%,230px),1fr));gap:20px 22px;margin:0 0 34px;
max-width:900px}
.looks figure{max-width:340px}
.looks img,.grid img,.seen{display:block;width:100%;height:auto}
.look{display:block}
.squares{image-rendering:pixelated}
.grid img{max-width:900px}
.legend{display:grid;grid-template-columns:1fr auto;gap:3px 10px;font-size:12.5px;color:var(--soft);
font-variant-numeric:tabular-nums;margin-top:8px}
.legend .ramp{grid-column:1/-1;height:9px;print-color-adjust:exact;-webkit-print-color-adjust:exact}
.why{margin:0 0 10px;font-size:17px;font-weight:650;overflow-wrap:anywhere}
.why span{color:var(--soft);font-weight:400}
.formula{font-family:var(--mono);font-size:.92em}
"""


def explanation_page(subject: Subject, images: Mapping[str, bytes]) -> str:
    """The text of a self-contained XHTML page.

    Args:
        subject: what was explained.
        images: of `drawn_images`.
    """
    built = [
        ("seen", "What it sees", seen_section(subject, images)),
        ("evidence", "The evidence", evidence_section(subject, images)),
        ("maps", "Feature maps", maps_section(subject, images)),
        ("filters", "First filters", filters_section(subject, images)),
        ("method", "Method", method_section(subject)),
    ]
    sections = [(anchor, words, content) for anchor, words, content in built if content is not None]
    best = subject.name(subject.explanation.top[0])
    title = f"{'Pixels of' if subject.of_pixels else best + ':'} {subject.title}"
    return document(shorten(title, 120), _header(subject), sections, _footer(), _STYLE)


def _header(subject: Subject) -> Markup:
    found = subject.explanation
    best = found.top[0]
    dot = " \N{MIDDLE DOT} "
    return join(
        element("p", dot.join(("separable", "explanation", subject.network, subject.title)), class_="eyebrow"),
        element("h1", "Why these pixels?" if subject.of_pixels else f"Why {shorten(subject.name(best), 60)}?"),
        element("p", _summary(subject), class_="summary"),
        element(
            "p", f"picture: {shorten(subject.source, 90)}{dot}model: {shorten(subject.model, 90)}", class_="eyebrow"
        ),
        *[element("p", text, class_="alert") for text in subject.alerts()],
        element("dl", *_tiles(subject), class_="tiles"),
    )


def _summary(subject: Subject) -> str:
    found = subject.explanation
    best = found.top[0]
    sure = percent(float(found.probabilities[best]))
    if subject.of_pixels:
        shares = [f"{percent(float(found.probabilities[k]))} for {shorten(subject.name(k), 60)}" for k in found.top]
        seen = "the {}x{} pixels that it sees of this picture".format(*subject.contract.size)
        return f"Of {seen} {subject.network} takes {', '.join(shares)}. Below is what in them made it so."
    if subject.of_tags:
        tags = [f"{shorten(subject.name(k), 60)} ({percent(float(found.probabilities[k]))})" for k in found.top]
        return f"The most probable tags that {subject.network} finds: {listed(tags)}. Below is what made it so."
    words = f"{subject.network} takes this picture for {shorten(subject.name(best), 60)} with a confidence of {sure}"
    if len(found.top) > 1:
        second = found.top[1]
        words += f", and next for {shorten(subject.name(second), 60)} ({percent(float(found.probabilities[second]))})"
    return f"{words}. Below is what in the picture made it so."


def _tiles(subject: Subject) -> list[Markup]:
    found = subject.explanation
    what = "of the pixels it sees" if subject.of_pixels else subject.sureness
    tiles = [tile(percent(float(found.probabilities[found.top[0]])), what, subject.name(found.top[0])[:60])]
    if subject.layer is not None and subject.shows_cam:
        layer = subject.layer
        tiles.append(tile(f"{layer.height}x{layer.width}", "positions of the heat map", f"of {layer.name}"))
    first = found.evidence[0].attribution
    if first is not None:
        tiles.append(tile(percent(float(first.share)), "completeness gap", f"after {first.steps[0]} steps of the path"))
    return tiles


def _footer() -> str:
    when = datetime.now(UTC).strftime("%Y-%m-%d %H:%M UTC")
    return f"Written by separable {__version__} on {when}. Nothing on this page was fetched from a network."
