"""Building XML from values: whatever is not already markup is escaped, so no file or class name can inject any."""

import re
import unicodedata

__all__ = ["Markup", "element", "join", "plain", "shorten", "text_width"]

_EMPTY_IN_HTML = {"area", "br", "col", "hr", "img", "input", "link", "meta", "wbr"}
_EMPTY_IN_SVG = {"circle", "line", "path", "polyline", "rect"}
# Illegal in XML 1.0 and useless on a page, as are the marks that reverse the reading direction of what follows.
_UNPRINTABLE = re.compile("[\x00-\x08\x0b\x0c\x0e-\x1f\x7f-\x9f\u202a-\u202e\u2066-\u2069\ud800-\udfff\ufffe\uffff]")


class Markup(str):
    """Text that already is well-formed markup and must not be escaped again."""

    __slots__ = ()


def element(tag: str, /, *children: str | None, **attributes: str | float | None) -> Markup:
    """`<tag attribute="value">children</tag>`: strings are escaped, `Markup` is kept, None is left out.

    Attribute names lose a trailing underscore (`class_`) and have the inner ones turned into hyphens.
    """
    opening = tag
    for key, value in attributes.items():
        if value is not None:
            opening += f' {key.rstrip("_").replace("_", "-")}="{_attribute(value)}"'
    if tag in _EMPTY_IN_HTML or (tag in _EMPTY_IN_SVG and not children):
        return Markup(f"<{opening}/>")
    return Markup(f"<{opening}>{join(*children)}</{tag}>")


def join(*children: str | None) -> Markup:
    """The children one after the other, escaped where they are plain text."""
    return Markup("".join(str(c) if isinstance(c, Markup) else _escape(c) for c in children if c is not None))


def plain(text: str) -> str:
    """`text` with what XML cannot hold, and undecodable bytes of file names, as U+FFFD."""
    return _UNPRINTABLE.sub("\N{REPLACEMENT CHARACTER}", text)


def shorten(text: str, columns: int) -> str:
    """`text` cut in its middle to at most `columns` columns, so that both ends of a file name stay readable."""
    if text_width(text) <= columns:
        return text
    head = _start_of(text, columns // 2)
    tail = _start_of(text[::-1], columns - columns // 2 - 1)[::-1]
    return f"{head}\N{HORIZONTAL ELLIPSIS}{tail}"


def _start_of(text: str, columns: int) -> str:
    """The longest start of `text` that takes at most `columns` columns."""
    taken = 0
    for index, character in enumerate(text):
        taken += text_width(character)
        if taken > columns:
            return text[:index]
    return text


def text_width(text: str) -> int:
    """Columns the text takes: two for an East Asian wide character, none for a combining one."""
    return sum(0 if unicodedata.combining(c) else 2 if unicodedata.east_asian_width(c) in "WF" else 1 for c in text)


def _escape(text: str) -> str:
    return plain(text).replace("&", "&amp;").replace("<", "&lt;").replace(">", "&gt;")


def _attribute(value: str | float) -> str:
    if isinstance(value, str):
        return _escape(value).replace('"', "&quot;").replace("\n", "&#10;").replace("\t", "&#9;")
    return f"{value:.2f}".rstrip("0").rstrip(".") if isinstance(value, float) else str(value)
