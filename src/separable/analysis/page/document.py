"""A page as one file: header, sections with links to them, footer, style and script inside."""

from collections.abc import Sequence

from separable.analysis.page.style import POLICY, SCRIPT, STYLE
from separable.analysis.plots.markup import Markup, element

__all__ = ["Section", "document"]

Section = tuple[str, str, Markup]
"""The anchor, what the link to it says, the content."""


def document(title: str, header: Markup, sections: Sequence[Section], footer: str | Markup, style: str = "") -> str:
    """The text of an XHTML page that needs no network and no other file.

    Args:
        title: what the browser's tab says.
        header: above the links to the sections.
        style: rules of this page alone, after the common ones.
    """
    head = element(
        "head",
        element("meta", charset="utf-8"),
        element("meta", name="viewport", content="width=device-width, initial-scale=1"),
        element("meta", http_equiv="Content-Security-Policy", content=POLICY),
        element("title", title),
        element("style", Markup(STYLE + style)),
    )
    links = [element("a", words, href=f"#{anchor}") for anchor, words, _ in sections]
    body = element(
        "body",
        element("header", header, element("nav", *links, aria_label="Parts of this page")),
        element("main", *(content for _, _, content in sections)),
        element("footer", footer),
        element("script", Markup(SCRIPT)),
    )
    return f"<!DOCTYPE html>\n{element('html', head, body, lang='en', xmlns='http://www.w3.org/1999/xhtml')}\n"
