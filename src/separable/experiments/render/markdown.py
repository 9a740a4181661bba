"""A result as GitHub's Markdown."""

from collections.abc import Mapping
from types import MappingProxyType
from urllib.parse import quote

from separable.experiments.render.tables import (
    Table,
    arms_in_words,
    facts,
    headed,
    missing,
    power_sentence,
    tables_of,
)
from separable.experiments.results import Result
from separable.experiments.wording import scale_text

__all__ = ["to_markdown"]

_MARKS = ("\\", "|", "<", ">", "*", "_", "`", "[", "]", "#", "~")


def to_markdown(
    result: Result, *, level: int = 1, plots: Mapping[str, str] = MappingProxyType({}), context: bool = True
) -> str:
    """Headings, tables, power, the networks, and how to repeat it; whatever came from outside is escaped.

    Args:
        level: of the first heading; those of the parts are one deeper.
        context: what was published and read as what, too; a page may have said that already.
        plots: by the names of `plots.plots_of`, where the files lie that they were written to.
    """
    heading, part = "#" * level, "#" * (level + 1)
    said = (("Source", result.source), ("It says", result.says), ("Read as", result.reading))
    parts = [
        f"{heading} {_escaped(headed(result))}",
        _list([f"{name}: {text}" for name, text in said if text and context]),
        _list(missing(result)),
        *(f"{part} {_escaped(table.title)}\n\n{_table(table)}" for table in tables_of(result, published=context)),
        *(f"![{_escaped(f'{name}, {scale_text(result.scale)}')}]({quote(file)})" for name, file in plots.items()),
        _escaped(power_sentence(result)),
        f"{part} Networks\n\n" + _list([f"{name}: {text}" for name, text in arms_in_words(result)]),
        f"{part} Again\n\n" + _list([f"{name}: {text}" for name, text in facts(result)]),
        f"```\n{_line(result.command)}\n```" if result.command else "",
    ]
    return "\n\n".join(text for text in parts if text) + "\n"


def _table(table: Table) -> str:
    aligned = ["---" if index < table.words else "---:" for index in range(len(table.header))]
    lines = [_row(table.header), f"| {' | '.join(aligned)} |", *map(_row, table.rows)]
    return "\n".join(lines) + (f"\n\n{_escaped(table.note)}" if table.note else "")


def _row(cells: tuple[str, ...]) -> str:
    return f"| {' | '.join(map(_escaped, cells))} |"


def _list(lines: list[str]) -> str:
    return "\n".join(f"- {_escaped(line)}" for line in lines)


def _escaped(text: str) -> str:
    text = _line(text)
    for mark in _MARKS:
        text = text.replace(mark, f"\\{mark}")
    return text.replace("&", "&amp;")


def _line(text: str) -> str:
    """One line without control characters; a fence cannot be closed from inside."""
    shown = "".join(mark if mark.isprintable() else " " for mark in text)
    return shown.replace("```", "'''")
