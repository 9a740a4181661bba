"""A table of fixed-width columns for logs and pipes."""

from collections.abc import Iterable, Sequence

__all__ = ["text_table"]


def text_table(rows: Iterable[Sequence[str]], left: int = 3) -> str:
    """The first of `rows` is the header and the last the totals; `left` columns are text, the others numbers."""
    rows = list(rows)
    widths = [max(len(cell) for cell in column) for column in zip(*rows, strict=True)]
    lines = []
    for row in rows:
        words = [cell.ljust(width) for cell, width in zip(row[:left], widths[:left], strict=True)]
        numbers = [cell.rjust(width) for cell, width in zip(row[left:], widths[left:], strict=True)]
        lines.append("  ".join([*words, *numbers]).rstrip())
    return "\n".join([lines[0], "-" * max(map(len, lines)), *lines[1:-1], "-" * max(map(len, lines)), lines[-1]])
