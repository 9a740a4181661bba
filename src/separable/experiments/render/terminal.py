"""A result as plain lines of at most a given width."""

import textwrap
from collections.abc import Iterator, Sequence

from separable.analysis.plots.markup import text_width
from separable.analysis.text_table import text_table
from separable.experiments.render.facts import facts, missing
from separable.experiments.render.tables import (
    Table,
    claims_table,
    compared,
    headed,
    ours_table,
    power_sentence,
    published_table,
    verdict_text,
)
from separable.experiments.results import Result
from separable.experiments.wording import difference_text

__all__ = ["table_lines", "to_text"]

_NARROWEST = 40


def to_text(result: Result, width: int = 120) -> str:
    """Published, measured here, the claims, what could have been seen, and how to repeat it.

    Tables that are wider than `width` columns go on below, with the names again; words are broken between each other.
    """
    width = max(width, _NARROWEST)
    parts = [_wrapped(headed(result), width)]
    parts.append(_lines([("source", result.source), ("it says", result.says), ("read as", result.reading)], width))
    parts += ["\n".join(_wrapped(line, width) for line in missing(result))]
    parts += [table_lines(table, width) for table in (published_table(result), ours_table(result)) if table]
    parts += [_claims(result, width), _wrapped(power_sentence(result), width), _lines(facts(result), width)]
    parts.append(f"Again: {result.command}" if result.command else "")
    return "\n\n".join(_plain(part) for part in parts if part)


def table_lines(table: Table, width: int) -> str:
    """Title, columns and note; what does not fit beside each other stands below."""
    blocks = [text_table(rows, table.words, totals=False) for rows in _split(table, width)]
    return "\n".join(part for part in (_wrapped(table.title, width), *blocks, _wrapped(table.note, width)) if part)


def _split(table: Table, width: int) -> Iterator[list[list[str]]]:
    """As many columns at a time as fit, the first ones always."""
    rows = [table.header, *table.rows]
    widths = [max(text_width(row[index]) for row in rows) + 2 for index in range(len(table.header))]
    fixed = list(range(table.words))
    taken: list[int] = []
    for index in range(table.words, len(table.header)):
        if taken and sum(widths[one] for one in (*fixed, *taken, index)) > width + 2:
            yield [[row[one] for one in (*fixed, *taken)] for row in rows]
            taken = []
        taken.append(index)
    yield [[row[one] for one in (*fixed, *taken)] for row in rows]


def _claims(result: Result, width: int) -> str:
    """A claim a paragraph: sentences are too long for columns."""
    table = claims_table(result)
    if table is None:
        return ""
    lines = [_wrapped(table.title, width)]
    for claim in result.claims:
        printed = "" if claim.published is None else f"published {difference_text(claim.measure, claim.published)}; "
        lines.append(_wrapped(f"{verdict_text(result, claim).upper():<14} {claim.text}", width, 15))
        lines.append(_wrapped(f"{'':<14} {compared(claim)}: {printed}{claim.sentence}", width, 15))
    return "\n".join([*lines, _wrapped(table.note, width)])


def _lines(pairs: Sequence[tuple[str, str]], width: int) -> str:
    shown = [(name, text) for name, text in pairs if text]
    column = max((len(name) for name, _ in shown), default=0) + 2
    return "\n".join(_wrapped(f"{name:<{column}}{text}", width, column) for name, text in shown)


def _wrapped(text: str, width: int, indent: int = 0) -> str:
    return textwrap.fill(text, width, subsequent_indent=" " * indent, break_long_words=False, break_on_hyphens=False,
                         replace_whitespace=False, drop_whitespace=True, initial_indent="")  # fmt: skip


def _plain(text: str) -> str:
    """Without what would move the cursor or the colours of a terminal."""
    return "".join(mark if mark.isprintable() or mark == "\n" else "\N{REPLACEMENT CHARACTER}" for mark in text)
