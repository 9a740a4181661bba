"""What is taken for what: the confusion matrix, and its largest cells off the diagonal in words."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass

from separable.analysis.page.html import Column, figure, note, section, table
from separable.analysis.page.wording import percent
from separable.analysis.plots import heat_map
from separable.analysis.plots.markup import Markup, element, shorten

__all__ = ["Confusion", "confusion_section"]

_MOST_IN_MATRIX = 40
_MOST_WRITTEN = 20
_MOST_BESIDE = 6
_MOST_PAIRS = 15


@dataclass(frozen=True)
class Confusion:
    """Counts by truth (rows) and prediction (columns), and how to speak of them."""

    counts: Sequence[Sequence[int]]
    names: Sequence[str]
    things: str
    """What is counted: "pictures", "pixels"."""
    none_wrong: str
    """The sentence where nothing lies off the diagonal."""
    write: Callable[[int, int], str] = lambda count, _total: str(count)
    """The text of a cell, from its count and the sum of its row."""

    def most_confused(self, most: int = _MOST_PAIRS) -> list[tuple[str, str, int, int]]:
        """(truth, prediction, count, count of that truth), the most frequent first; ties in class order."""
        pairs = [
            (row, column, count)
            for row, counts in enumerate(self.counts)
            for column, count in enumerate(counts)
            if row != column and count > 0
        ]
        pairs.sort(key=lambda pair: (-pair[2], pair[0], pair[1]))
        sums = [sum(row) for row in self.counts]
        return [(self.names[row], self.names[column], count, sums[row]) for row, column, count in pairs[:most]]

    @property
    def wrong(self) -> int:
        """What lies off the diagonal."""
        return sum(sum(row) - row[index] for index, row in enumerate(self.counts))


def confusion_section(confusion: Confusion) -> Markup | None:
    """The matrix where it can be read, and the most frequent mistakes in words always."""
    if not confusion.counts:
        return None
    n = len(confusion.names)
    pairs = confusion.most_confused()
    content = []
    if n <= _MOST_IN_MATRIX:
        written = n <= _MOST_WRITTEN
        plot = heat_map(confusion.counts, confusion.names, write_counts=written, write=confusion.write)
        content.append(figure(plot, "Each row is shaded by its own sum, so small classes show as well as large ones."))
    else:
        content.append(note(f"A matrix of {n:,} classes could not be read; here are its largest off-diagonal cells."))
    if pairs and n > 2:
        content.append(_pair_table(pairs, confusion))
    if n <= _MOST_BESIDE:
        content = [element("div", *content, class_="pair")]
    return section("confusion", "What is taken for what", _lead(pairs, confusion), *content)


def _lead(pairs: Sequence[tuple[str, str, int, int]], confusion: Confusion) -> str:
    if not pairs:
        return confusion.none_wrong
    truth, predicted, count, total = pairs[0]
    return f"Most often confused: {shorten(truth, 40)} taken for {shorten(predicted, 40)}, {count:,} of {total:,}."


def _pair_table(pairs: Sequence[tuple[str, str, int, int]], confusion: Confusion) -> Markup:
    wrong, shown = confusion.wrong, sum(pair[2] for pair in pairs)
    columns = [Column("truly"), Column("taken for"), Column(confusion.things, True), Column("of that class", True)]
    rows = [[(t, None), (p, None), (f"{c:,}", float(c)), (percent(c / n), c / n)] for t, p, c, n in pairs]
    few = "All" if shown == wrong else f"The most frequent {shown:,} of"
    caption = "The only mistake" if wrong == 1 else f"{few} {wrong:,} mistakes, by kind"
    return element("div", table(columns, rows, caption), class_="apart")
