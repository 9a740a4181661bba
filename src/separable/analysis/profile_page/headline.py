"""What the reader came for, in a sentence and a row of numbers."""

from separable.analysis.page.html import tile
from separable.analysis.page.wording import amount, count_of, percent
from separable.analysis.plots.markup import Markup, element, join
from separable.analysis.profile_page.subject import Part, Subject
from separable.analysis.profile_page.wording import milliseconds, share, size
from separable.analysis.stages import readable_name

__all__ = ["headline"]

_DISTURBED = (
    "Something else used this machine while it was measured: whole runs took much longer than their parts do at other "
    "times. Measure again on a quiet machine before believing a figure."
)


def headline(subject: Subject) -> Markup:
    """Title, two or three sentences, and the totals."""
    summary = _measured_words(subject) if subject.measured else _counted_words(subject)
    return join(
        element("p", f"Profile: {subject.name}", class_="eyebrow"),
        element("h1", _title(subject)),
        element("p", summary, class_="summary"),
        element("dl", *_tiles(subject), class_="tiles"),
        element("p", _DISTURBED, class_="alert") if subject.measured and subject.measured.disturbed else None,
    )


def _title(subject: Subject) -> str:
    pictures = f"{count_of(subject.pictures, 'picture')} of {subject.size}"
    if subject.measured:
        return f"{milliseconds(subject.measured.whole)} for {pictures}"
    return f"{amount(subject.profile.macs)} multiply-adds for {pictures}"


def _measured_words(subject: Subject) -> str:
    measured = subject.measured
    assert measured is not None
    heaviest = max(subject.by_stage, key=lambda part: part.seconds)
    words = f"{_share_words(heaviest, measured.watched)} "
    kind = max(subject.by_kind, key=lambda part: part.seconds)
    if kind.layers:
        words += f"Of the kinds of layers, {kind.label}: {percent(kind.seconds / measured.watched)}. "
    reached = measured.limit / measured.watched
    words += (
        f"If every layer ran at this machine's limit, the whole would take {milliseconds(measured.limit)}, "
        f"{share(reached)} of what it takes."
    )
    return words


def _share_words(part: Part, whole: float) -> str:
    if not part.layers:
        return f"The largest part of the time, {percent(part.seconds / whole)}, is spent outside of any layer."
    return f"Of its parts, {_called(part)} takes the most time: {percent(part.seconds / whole)}."


def _counted_words(subject: Subject) -> str:
    totals = subject.profile
    heaviest = max(subject.by_stage, key=lambda part: sum(layer.macs for layer in part.layers))
    macs = sum(layer.macs for layer in heaviest.layers)
    if not totals.macs:
        return "Nothing was run: these are counts alone."
    return (
        f"Of its parts, {_called(heaviest)} has the most multiply-adds: {percent(macs / totals.macs)}. "
        "Nothing was run: these are counts alone."
    )


def _called(part: Part) -> str:
    return readable_name(part.label, part.layers[0].kind if len(part.layers) == 1 else "")


def _tiles(subject: Subject) -> list[Markup]:
    totals, measured = subject.profile, subject.measured
    per = "" if subject.pictures == 1 else f"of {subject.pictures} pictures"
    tiles = [
        tile(amount(totals.parameters), "parameters"),
        tile(amount(totals.macs), "multiply-adds", per),
        tile(amount(totals.activations), "activations", "outputs of convolutions and products"),
        tile(size(totals.bytes), "bytes moved", "in and out of every operation"),
    ]
    if measured:
        rate = subject.pictures / measured.whole
        tiles.append(tile(milliseconds(measured.whole), "measured", f"{rate:.3g} pictures a second"))
        tiles.append(tile(share(measured.limit / measured.watched), "of the limit", milliseconds(measured.limit)))
    return tiles
