"""What the check of the data found, and the pictures that could not be read."""

from collections.abc import Iterator, Sequence

from separable.analysis.page.html import Column, figure, key_values, note, section, table
from separable.analysis.page.wording import count_of, listed, percent
from separable.analysis.plots import Bar, bar_chart
from separable.analysis.plots.markup import Markup, element, shorten
from separable.files import path_from
from separable.training.report.record import Check, CheckGroup, Quarantined, RunRecord, value_at
from separable.training.report.thumbnails import Gallery

__all__ = ["data_section", "unreadable_section"]

_MOST_ROWS = 100
_MOST_REMARKS = 40
_MOST_BARS = 24
_MOST_PAIRS = 4
_MOST_EXAMPLES = 5
_SHOWN_AS_PAIRS = ("leak", "conflict", "near-conflict", "duplicate", "near-duplicate")


def data_section(check: Check, gallery: Gallery) -> Markup:
    """What the pictures are, then what is wrong with them, worst first, with pictures where these show it."""
    serious = [one for one in check.groups if one.severity != "note"]
    content = [key_values(list(_facts(check)))]
    content += [_group(one, gallery) for one in serious]
    if 1 < len(check.classes) <= _MOST_BARS:
        content.append(element("div", figure(_classes_chart(check)), class_="apart"))
    if check.notes:
        content += [element("h3", "Good to know"), _list(check.notes)]
    return section("data", "The data", _data_lead(check, serious), *content)


def _classes_chart(check: Check) -> Markup:
    """What there is of each class to learn from: area where there are masks, else pictures."""
    shares = sorted(_area_shares(check), key=lambda one: -one[1])
    if shares:
        return bar_chart([Bar(name, share) for name, share in shares], name="area to learn from", write=percent)
    counts = sorted(check.classes, key=lambda one: -one[1])
    return bar_chart([Bar(name, float(train)) for name, train, _ in counts], name="pictures to learn from")


def _area_shares(check: Check) -> list[tuple[str, float]]:
    total = sum(pixels for _, pixels in check.areas)
    return [(name, pixels / total) for name, pixels in check.areas] if total else []


def _data_lead(check: Check, serious: Sequence[CheckGroup]) -> str:
    if check.misleading:
        kinds = [one.kind for one in serious if one.severity == "error"]
        return f"Training on these pictures misleads ({listed(kinds)}): mend this before trusting any number above."
    if serious:
        return f"Nothing that would mislead, but {count_of(len(serious), 'thing')} to look at."
    return "The check found nothing that would mislead."


def _facts(check: Check) -> Iterator[tuple[str, str]]:
    yield "pictures", f"{check.train:,} to learn from, {check.val:,} held out"
    if check.classes:
        yield "classes", _classes_in_words(check)
    sides = [check.sides.get(key) for key in ("shorter_least", "shorter_median", "shorter_greatest")]
    if all(isinstance(side, int) for side in sides):
        yield "shorter side", f"{sides[0]} to {sides[2]} pixels, half of them up to {sides[1]}"
    if check.formats:
        yield "formats", ", ".join(f"{shorten(str(n), 20)} {c}" for n, c in list(check.formats.items())[:12])


def _classes_in_words(check: Check) -> str:
    """How many, and from which to which size."""
    shares = _area_shares(check)
    if shares:
        (small, low), (large, high) = (choose(shares, key=lambda one: one[1]) for choose in (min, max))
        ends = f"{percent(low)} ({shorten(small, 40)}) to {percent(high)} ({shorten(large, 40)}) of the labelled area"
        return f"{len(shares):,}, of {ends} to learn from"
    least, most = (choose(check.classes, key=lambda one: one[1]) for choose in (min, max))
    ends = f"{least[1]:,} ({shorten(least[0], 40)}) to {most[1]:,} ({shorten(most[0], 40)})"
    return f"{len(check.classes):,}, of {ends} pictures to learn from"


def _group(group: CheckGroup, gallery: Gallery) -> Markup:
    shown = [element("p", element("strong", group.what[:500]), f" {group.fix[:500]}")]
    if group.kind in _SHOWN_AS_PAIRS:
        pairs = [_pair(example, gallery) for example in group.examples[:_MOST_PAIRS]]
        shown.append(element("ul", *pairs, class_="shots twins"))
    elif group.examples:
        lines = [" ".join(filter(None, example)) for example in group.examples[:_MOST_EXAMPLES]]
        more = group.count - len(lines)
        shown.append(_list(lines + ([f"and {more:,} more in check.csv"] if more > 0 else [])))
    return element("div", *shown, class_="finding")


def _pair(example: tuple[str, str, str], gallery: Gallery) -> Markup:
    one, other, detail = example
    pictures = element("span", gallery.show(one, one), gallery.show(other, other) if other else None, class_="two")
    names = element("span", f"{shorten(one, 44)} = {shorten(other, 44)}" if other else shorten(one, 44), class_="truth")
    return element("li", pictures, names, element("span", detail[:200], class_="truth") if detail else None)


def unreadable_section(record: RunRecord, bad: Sequence[tuple[str, str]] = ()) -> Markup | None:
    """Every picture that was left out, with its cause; `bad` are (path, cause) of an evaluation."""
    rows = {row.path: row for row in record.quarantine}
    root, held_out = (str(value_at(record.config, "data", key) or "") for key in ("root", "val_root"))
    for name, cause in bad:
        path = path_from(root, held_out, name)  # as quarantine.csv calls it
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


def _list(texts: Sequence[str]) -> Markup:
    shown = [element("li", text[:500]) for text in texts[:_MOST_REMARKS]]
    if len(texts) > _MOST_REMARKS:
        shown.append(element("li", f"and {len(texts) - _MOST_REMARKS:,} more in check.json"))
    return element("ul", *shown, class_="plain")
