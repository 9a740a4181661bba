"""Tables of GitHub's Markdown, with everything in them as the text that it is."""

from collections.abc import Iterable, Sequence

__all__ = ["escaped", "markdown_table", "one_line"]

_MARKS = ("\\", "|", "<", ">", "*", "_", "`", "[", "]", "#", "~")


def markdown_table(header: Sequence[str], rows: Iterable[Sequence[str]], words: int = 1) -> str:
    """The first `words` columns hold words, the others numbers."""
    aligned = ["---" if index < words else "---:" for index in range(len(header))]
    return "\n".join([_row(header), f"| {' | '.join(aligned)} |", *map(_row, rows)])


def escaped(text: str) -> str:
    """One line in which nothing is a mark."""
    text = one_line(text)
    for mark in _MARKS:
        text = text.replace(mark, f"\\{mark}")
    return text.replace("&", "&amp;")


def one_line(text: str) -> str:
    """Without control characters and marks of the reading direction; a fence cannot be closed from inside."""
    return "".join(mark if mark.isprintable() else " " for mark in text).replace("```", "'''")


def _row(cells: Sequence[str]) -> str:
    return f"| {' | '.join(map(escaped, cells))} |"
