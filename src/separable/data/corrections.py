"""Labels corrected by hand: a CSV that goes over what the folders say."""

import csv
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

from separable.data.tables import read_table
from separable.errors import DataFolderError
from separable.files import write_atomically

__all__ = ["Corrections", "merge_corrections", "read_corrections"]


@dataclass
class Corrections:
    """New labels by path. A path is relative to the data folder, or else to the folder of the set it is in.

    An empty label leaves the picture out. What was used is remembered for the notes.
    """

    base: Path
    labels: dict[str, int]
    """Class index; -1 leaves the picture out."""
    used: set[str] = field(default_factory=set)
    changed: int = 0
    dropped: int = 0

    def label_of(self, root: Path, path: str, label: int) -> int:
        """The label of the picture `root`/`path`, given that its folder says `label`."""
        for name in (self._from_base(root, path), path):
            if name in self.labels:
                self.used.add(name)
                new = self.labels[name]
                self.changed += 0 <= new != label
                self.dropped += new < 0
                return new
        return label

    def _from_base(self, root: Path, path: str) -> str:
        return path if root == self.base else (root.relative_to(self.base) / path).as_posix()

    def demand_use(self, source: Path, example: str) -> None:
        """Raise DataFolderError where there are corrections and not one of them names a picture."""
        if self.labels and not self.used:
            raise DataFolderError(
                f"No row of {source} names a picture of {self.base}",
                got=min(self.labels),
                expected=f"paths such as {example}",
                fix="Write the paths as they are from that folder on",
            )

    def notes(self) -> list[str]:
        """One sentence on what the corrections did, one on those that name no picture here."""
        notes = [f"Corrected labels: {self.changed} changed, {self.dropped} pictures left out."]
        unused = sorted(set(self.labels) - self.used)
        if unused:
            notes.append(f"{len(unused)} corrections name no picture here, the first: {unused[0]}.")
        return notes


def read_corrections(path: Path, class_names: tuple[str, ...], base: Path) -> Corrections:
    """Read a CSV with the columns `path` and `label`; further columns are ignored.

    Raises:
        DataFolderError: it cannot be read, is no CSV, lacks a column, names a class that there is not, or gives one
            picture two labels.
    """
    index = {name: i for i, name in enumerate(class_names)}
    labels: dict[str, int] = {}
    lines: dict[str, int] = {}
    for line, row in _rows(path):
        label = (row["label"] or "").strip()
        if label and label not in index:
            raise DataFolderError(
                f"{path}, line {line}, names a class that there is not",
                got=repr(label),
                expected=f"one of {', '.join(class_names)}, or nothing to leave the picture out",
            )
        name = _name(row)
        if not name and not label:  # an empty line, as spreadsheet programs write it
            continue
        new = index.get(label, -1)
        if labels.setdefault(name, new) != new:
            said = " and ".join(class_names[c] if c >= 0 else "nothing" for c in (labels[name], new))
            raise DataFolderError(
                f"{path}, lines {lines[name]} and {line}, contradict each other on {name}",
                got=said,
                expected="one label for a picture",
                fix="Remove one of the two lines",
            )
        lines.setdefault(name, line)
    return Corrections(base, labels)


def merge_corrections(earlier: Path, suspects: Path, into: Path) -> None:
    """Write the rows of `suspects`, then those of `earlier` about other pictures: one file with all corrections.

    Raises:
        DataFolderError: one of the two cannot be read.
        OutputError: `into` cannot be written.
    """
    columns = ("path", "label", "suggested", "score")
    rows = [row for _, row in _rows(suspects)]
    known = {_name(row) for row in rows}
    rows += [{"path": _name(row), "label": row["label"]} for _, row in _rows(earlier) if _name(row) not in known]

    def write(temporary: Path) -> None:
        with temporary.open("w", newline="", encoding="utf-8", errors="surrogateescape") as handle:
            lines = csv.DictWriter(handle, columns, restval="", extrasaction="ignore")
            lines.writeheader()
            lines.writerows(rows)

    write_atomically(into, write)


def _name(row: dict[str, str]) -> str:
    return (row["path"] or "").strip().replace("\\", "/")


def _rows(path: Path) -> Iterator[tuple[int, dict[str, str]]]:
    return read_table(path, ("path", "label"), "a list of labels")
