"""Every layer in a table that its column heads sort."""

import math
from collections.abc import Callable

from separable.analysis.page.html import Column, table
from separable.analysis.page.wording import amount
from separable.analysis.plots.markup import Markup, element
from separable.analysis.profile_page.subject import Subject
from separable.analysis.profile_page.wording import milliseconds, share, size, times
from separable.analysis.roofline import MeasuredLayer

__all__ = ["layers_section"]

_COUNTED = (
    Column("layer"),
    Column("what it is"),
    Column("output", True, "Sorted by the number of elements"),
    Column("parameters", True),
    Column("multiply-adds", True),
    Column("activations", True, "Elements that convolutions and matrix products put out"),
    Column("bytes", True, "Read and written by its operations, weights included"),
)
_MEASURED = (
    Column("time", True, "Median of several runs, children's time taken off"),
    Column("limit", True, "Multiply-adds at the best rate measured or bytes at that of a copy, the longer"),
    Column("set by", False, "Which of the two is the longer"),
    Column("reached", True, "Limit over time"),
)
_Cell = tuple[str, float | None]


def layers_section(subject: Subject) -> Markup:
    """The table; the sums of its columns are in the caption."""
    columns = [*_COUNTED, *(_MEASURED if subject.measured else ())]
    rows = [_cells(layer, bool(subject.measured)) for layer in subject.layers]
    if subject.measured:
        blank: _Cell = ("", None)
        outside = [("outside of layers", None), ("Python, freeing memory", None), *([blank] * 5)]
        rows.append([*outside, _number(milliseconds, subject.measured.outside), blank, blank, blank])
    lead = "In the order of execution. Click a head to sort by its column."
    words = element("div", element("h2", "Every layer"), element("p", lead, class_="lead"), class_="words")
    content = element("div", table(columns, rows, _caption(subject)), class_="content")
    return element("section", words, content, id="layers", class_="wide")


def _cells(layer: MeasuredLayer, measured: bool) -> list[_Cell]:
    name = layer.name if layer.call == 0 else f"{layer.name} (call {layer.call + 1})"
    cells: list[_Cell] = [
        (name, None),
        (layer.kind, None),
        (times(layer.output_shape), float(math.prod(layer.output_shape)) if layer.output_shape else 0.0),
        *(_number(_count, float(number)) for number in (layer.parameters, layer.macs, layer.activations)),
        _number(size, float(layer.bytes)),
    ]
    if measured:
        cells += [
            _number(milliseconds, layer.seconds),
            _number(milliseconds, layer.limit),
            ("" if layer.bound == "nothing" else layer.bound, None),
            _number(share, layer.share),
        ]
    return cells


def _count(number: float) -> str:
    return amount(number) if number else "0"


def _number(write: Callable[[float], str], value: float) -> _Cell:
    return write(value), value


def _caption(subject: Subject) -> str:
    totals = subject.profile
    words = (
        f"{len(subject.layers)} rows: {totals.parameters:,} parameters, {totals.macs:,} multiply-adds, "
        f"{totals.activations:,} activations, {totals.bytes:,} bytes"
    )
    if subject.measured:
        measured = subject.measured
        words += (
            f"; {milliseconds(measured.inside)} inside layers and {milliseconds(measured.outside)} outside make "
            f"{milliseconds(measured.watched)} with a stopwatch at every layer; {milliseconds(measured.whole)} without"
        )
    return words + "."
