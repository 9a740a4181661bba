"""The pieces a page is made of. Every string that goes in is escaped by `element`."""

from collections.abc import Sequence
from dataclasses import dataclass

from separable.analysis.plots.markup import Markup, element, join, shorten

__all__ = ["Column", "command", "figure", "folded", "key_values", "note", "paragraph", "section", "table", "tile"]


def section(anchor: str, heading: str, lead: str | Markup, *content: Markup) -> Markup:
    """A part of the page: heading and one sentence that says what is to be seen, beside the content."""
    words = element("div", element("h2", heading), element("p", lead, class_="lead"), class_="words")
    return element("section", words, element("div", *content, class_="content"), id=anchor)


def paragraph(*children: str | Markup) -> Markup:
    return element("p", *children)


def note(*children: str | Markup) -> Markup:
    """A smaller remark below a figure or table."""
    return element("p", *children, class_="note")


def figure(plot: Markup, caption: str | Markup | None = None) -> Markup:
    """A plot with its caption; wide ones scroll inside themselves on a narrow screen."""
    inside = element("div", plot, class_="scroll")
    return element("figure", inside, None if caption is None else element("figcaption", caption))


def tile(value: str | Markup, label: str, detail: str = "") -> Markup:
    """A number worth a glance, what it is, and what to keep in mind about it."""
    return element(
        "div",
        element("dt", label),
        element("dd", element("span", value, class_="value"), element("span", detail, class_="detail")),
    )


def command(line: str) -> Markup:
    """A command to copy: one click selects it whole; it wraps between its words, never inside `--option`."""
    words = [element("span", word) for word in line.split(" ")]
    return element("pre", element("code", Markup(" ".join(words))), class_="command")


def folded(summary: str, *content: Markup, opened: bool = False) -> Markup:
    """Details that stay out of the way until asked for."""
    return element("details", element("summary", summary), *content, open="open" if opened else None)


def key_values(pairs: Sequence[tuple[str, str | Markup]]) -> Markup:
    """A quiet two-column list."""
    return element("dl", *(join(element("dt", key), element("dd", value)) for key, value in pairs), class_="pairs")


@dataclass(frozen=True)
class Column:
    """Head of a table column; numbers stand right-aligned. The explanation appears on hover."""

    title: str
    numeric: bool = False
    explanation: str = ""


def table(columns: Sequence[Column], rows: Sequence[Sequence[tuple[str, float | None]]], caption: str) -> Markup:
    """A table that its column heads sort. Each cell is its text and, where it is a number, the value to sort by."""
    heads = [
        element(
            "th",
            element("button", c.title, type="button"),
            scope="col",
            class_="numeric" if c.numeric else None,
            title=c.explanation or None,
        )
        for c in columns
    ]
    body = [_row(columns, row) for row in rows]
    whole = element(
        "table",
        element("caption", caption),
        element("thead", element("tr", *heads)),
        element("tbody", *body),
        class_="sortable",
    )
    return element("div", whole, class_="scroll", tabindex=0)


def _row(columns: Sequence[Column], row: Sequence[tuple[str, float | None]]) -> Markup:
    cells = []
    for index, (column, (text, value)) in enumerate(zip(columns, row, strict=True)):
        short = shorten(text, 48)
        cells.append(
            element(
                "td" if index else "th",
                short,
                scope=None if index else "row",
                class_="numeric" if column.numeric else None,
                data_value=None if value is None or value != value else f"{value:.9g}",
                title=shorten(text, 300) if short != text else None,
            )
        )
    return element("tr", *cells)
