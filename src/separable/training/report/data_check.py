"""What the check of the data found, and the pictures that could not be read."""

from collections.abc import Mapping, Sequence
from typing import Any

from separable.analysis.plots.markup import Markup, element
from separable.training.report.html import Column, note, section, table
from separable.training.report.record import Quarantined, RunRecord
from separable.training.report.wording import count_of

__all__ = ["data_section", "unreadable_section"]

_MOST_ROWS = 100
_MOST_REMARKS = 40


def data_section(check: Mapping[str, Any] | None) -> Markup | None:
    """Problems first, then remarks; None where the data were never checked."""
    if check is None:
        return None
    problems, notes = _texts(check.get("problems")), _texts(check.get("notes"))
    if check.get("misleading"):
        lead = "Training on these pictures misleads: see the problems before trusting any number above."
    elif problems:
        lead = f"The check found {count_of(len(problems), 'problem')}."
    else:
        lead = "The check found nothing that would mislead."
    content = []
    if problems:
        content += [element("h3", "Problems"), _list(problems)]
    if notes:
        content += [element("h3", "Remarks"), _list(notes)]
    return section("data", "The data", lead, *content)


def unreadable_section(record: RunRecord) -> Markup | None:
    """Every picture that was left out, with its cause."""
    rows = {row.path: row for row in record.quarantine}
    for path, cause in record.evaluation.bad if record.evaluation else ():
        rows.setdefault(path, Quarantined(path, cause))
    if not rows:
        return None
    shown = list(rows.values())[:_MOST_ROWS]
    body = [[(row.path, None), (row.cause, None)] for row in shown]
    content = [element("div", table([Column("picture"), Column("cause")], body, "Left out, one by one"), class_="tall")]
    if len(shown) < len(rows):
        content.append(note(f"The first {len(shown)} of {len(rows):,}; quarantine.csv has them all."))
    lead = f"{count_of(len(rows), 'picture')} could not be read and took no part. They stopped nothing."
    return section("unreadable", "Unreadable pictures", lead, *content)


def _texts(items: object) -> list[str]:
    return [str(item) for item in items] if isinstance(items, list) else []


def _list(texts: Sequence[str]) -> Markup:
    shown = [element("li", text[:500]) for text in texts[:_MOST_REMARKS]]
    if len(texts) > _MOST_REMARKS:
        shown.append(element("li", f"and {len(texts) - _MOST_REMARKS:,} more in check.json"))
    return element("ul", *shown, class_="plain")
