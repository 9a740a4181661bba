"""Labels corrected by hand: a CSV that goes over what the folders say."""

import csv
from dataclasses import dataclass, field
from pathlib import Path

from separable.errors import DataFolderError

__all__ = ["Corrections", "read_corrections"]


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
        DataFolderError: it cannot be read, lacks a column, or names a class that there is not.
    """
    index = {name: i for i, name in enumerate(class_names)}
    labels: dict[str, int] = {}
    try:
        # A byte order mark is what spreadsheet programs write; surrogates are how odd file names survive.
        with path.open(newline="", encoding="utf-8-sig", errors="surrogateescape") as handle:
            rows = csv.DictReader(handle)
            columns = rows.fieldnames or []
            if not {"path", "label"} <= set(columns):
                raise DataFolderError(
                    f"{path} is not a list of labels",
                    got=f"the columns {', '.join(columns)}",
                    expected="path and label",
                )
            for row in rows:
                label = (row["label"] or "").strip()
                if label and label not in index:
                    raise DataFolderError(
                        f"{path}, line {rows.line_num}, names a class that there is not",
                        got=repr(label),
                        expected=f"one of {', '.join(class_names)}, or nothing to leave the picture out",
                    )
                labels[(row["path"] or "").strip().replace("\\", "/")] = index.get(label, -1)
    except OSError as error:
        raise DataFolderError(f"Cannot read {path}", got=error.strerror or str(error)) from error
    except csv.Error as error:
        raise DataFolderError(f"{path} is not a CSV file", got=str(error)) from error
    return Corrections(base, labels)
