"""A result as GitHub's Markdown."""

from collections.abc import Mapping
from types import MappingProxyType
from urllib.parse import quote

from separable.analysis.markdown import escaped, markdown_table, one_line
from separable.experiments.render.facts import arms_in_words, facts, missing
from separable.experiments.render.tables import (
    Table,
    headed,
    power_sentence,
    tables_of,
)
from separable.experiments.results import Result
from separable.experiments.wording import setting_text

__all__ = ["to_markdown"]


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
        f"{heading} {escaped(headed(result))}",
        _list([f"{name}: {text}" for name, text in said if text and context]),
        _list(missing(result)),
        *(f"{part} {escaped(table.title)}\n\n{_table(table)}" for table in tables_of(result, published=context)),
        *(f"![{escaped(f'{name}, {setting_text(result)}')}]({quote(file)})" for name, file in plots.items()),
        escaped(power_sentence(result)),
        f"{part} Networks\n\n" + _list([f"{name}: {text}" for name, text in arms_in_words(result)]),
        f"{part} Again\n\n" + _list([f"{name}: {text}" for name, text in facts(result)]),
        f"```\n{one_line(result.command)}\n```" if result.command else "",
    ]
    return "\n\n".join(text for text in parts if text) + "\n"


def _table(table: Table) -> str:
    lines = markdown_table(table.header, table.rows, table.words)
    return f"{lines}\n\n{escaped(table.note)}" if table.note else lines


def _list(lines: list[str]) -> str:
    return "\n".join(f"- {escaped(line)}" for line in lines)
