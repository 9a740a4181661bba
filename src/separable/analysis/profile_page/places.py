"""Where parameters, multiply-adds, activations, bytes and time go: by stage and by kind of layer."""

import math
from collections.abc import Sequence

from separable.analysis.page.html import figure, section
from separable.analysis.page.wording import amount
from separable.analysis.plots import ShareRow, share_chart
from separable.analysis.plots.markup import Markup
from separable.analysis.profile_page.subject import COSTS, Part, Subject
from separable.analysis.profile_page.wording import milliseconds, size

__all__ = ["kinds_section", "stages_section"]

_MOST_KINDS = 14


def stages_section(subject: Subject) -> Markup:
    """A row for each stage of the network, in its order."""
    lead = "Each stage's share of the network's totals. All columns have one scale."
    if subject.measured:
        lead += " A bar in the last column that is longer than the others marks a stage that is slow for what it does."
    return section("stages", "Where it goes", lead, figure(_chart(subject, subject.by_stage, "By stage")))


def kinds_section(subject: Subject) -> Markup:
    """A row for each kind of layer, the most expensive first."""
    parts = subject.by_kind
    rest = parts[_MOST_KINDS:-1] if subject.measured else parts[_MOST_KINDS:]
    if len(rest) > 1:
        together = Part(
            f"{len(rest)} other kinds",
            tuple(layer for part in rest for layer in part.layers),
            sum(part.seconds for part in rest),
        )
        parts = [*parts[:_MOST_KINDS], together, *(parts[-1:] if subject.measured else [])]
    lead = (
        "The same by what a layer does. Normalisation, activations and pooling have no multiply-adds, but every one of "
        "them reads and writes its whole map."
    )
    return section("kinds", "Kinds of layers", lead, figure(_chart(subject, parts, "By kind of layer")))


def _chart(subject: Subject, parts: Sequence[Part], name: str) -> Markup:
    columns = [column for column, _ in COSTS] + (["time"] if subject.measured else [])
    return share_chart(
        [_row(subject, part) for part in parts], columns, name=name, accent_last=subject.measured is not None
    )


def _row(subject: Subject, part: Part) -> ShareRow:
    shares, notes = [], []
    for column, cost in COSTS:
        total = sum(cost(layer) for layer in subject.layers)
        own = sum(cost(layer) for layer in part.layers)
        shares.append(own / total if total and part.layers else math.nan)
        written = size(own) if column == "bytes moved" else amount(own)
        notes.append(f"{part.label}: {written} {'' if column == 'bytes moved' else column}".rstrip())
    if subject.measured:
        shares.append(part.seconds / subject.measured.watched)
        notes.append(f"{part.label}: {milliseconds(part.seconds)}")
    return ShareRow(part.label, shares, notes)
