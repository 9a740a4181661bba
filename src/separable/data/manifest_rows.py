r"""The lines of a manifest: a picture's path and the names of what it shows, as CSV or as JSONL.

In a CSV the labels stand in one cell, separated by `;` or `|`; a backslash before one of these, or before a backslash,
takes it as it is: `black\;white` is one label. Spaces around a label do not belong to it. JSONL has a list of texts.
"""

import json
import re
from array import array
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path, PureWindowsPath
from posixpath import normpath
from typing import Any

from separable.data.splits import HELD_OUT_NAMES
from separable.data.tables import read_table, text_start
from separable.errors import DataFolderError

__all__ = ["MANIFEST_ENDINGS", "Listed", "Names", "join_labels", "read_listed", "split_labels"]

MANIFEST_ENDINGS = (".csv", ".jsonl")
_PART = re.compile(r"\\[\\;|]|[;|]|[^\\;|]+|\\")
_CONTROL = re.compile(r"[\x00-\x1f\x7f\x85\u2028\u2029]")
_TRAIN_NAMES = ("train", "training")

_Row = tuple[int, str, list[str], str | None]
"""Line, path, labels, what the entry `set` says (None where there is no such entry)."""


def split_labels(text: str) -> list[str]:
    """The labels in one cell of a CSV; parts without a character are none."""
    labels, current = [], ""
    for part in _PART.findall(text):
        if part in (";", "|"):
            labels.append(current)
            current = ""
        else:
            current += part[1:] if len(part) == 2 and part[0] == "\\" else part
    return [label for label in (one.strip() for one in (*labels, current)) if label]


def join_labels(names: list[str]) -> str:
    """One cell of a CSV, which `split_labels` takes apart."""
    return "; ".join(re.sub(r"([\\;|])", r"\\\1", name) for name in names)


@dataclass
class Names:
    """Classes by name: those there are, or, unless they are `fixed`, all that are met."""

    index: dict[str, int]
    fixed: str | None
    """Where they come from, for an error: "classes.txt", "the model"."""

    def of(self, name: str, where: str) -> int:
        """The number of a class.

        Raises:
            DataFolderError: there is none of that name.
        """
        if name in self.index:
            return self.index[name]
        if self.fixed is not None:
            # Of 17,000 names a few, those that begin alike: the likeliest slip is another ending or another case.
            near = [one for one in self.index if one[:3].lower() == name[:3].lower()][:3] or list(self.index)[:3]
            raise DataFolderError(
                f"{where} names a class that {self.fixed} does not have",
                got=repr(name),
                expected=f"one of its {len(self.index)}, such as {', '.join(near)}",
            )
        if _CONTROL.search(name) or not _is_text(name):
            raise DataFolderError(
                f"{where} has a label that is no line of text", got=ascii(name), expected="a name in UTF-8"
            )
        return self.index.setdefault(name, len(self.index))


@dataclass
class Listed:
    """What one manifest lists, in its order: the labels of all pictures end to end, those of picture k up to `ends[k]`.

    `held_out` has a 1 for every picture that is not to train on; None where the manifest does not say which.
    """

    source: Path
    paths: list[str] = field(default_factory=list)
    lines: "array[int]" = field(default_factory=lambda: array("q"))
    indices: "array[int]" = field(default_factory=lambda: array("i"))
    ends: "array[int]" = field(default_factory=lambda: array("q"))
    held_out: bytearray | None = None
    doubled: "array[int]" = field(default_factory=lambda: array("q"))
    """Lines that name a label twice."""

    def notes(self) -> list[str]:
        """Sentences on what was taken otherwise than it is written."""
        if not self.doubled:
            return []
        count = "1 line names" if len(self.doubled) == 1 else f"{len(self.doubled)} lines name"
        return [f"{self.source.name}: {count} a label twice, taken once; the first is line {self.doubled[0]}."]


def read_listed(path: Path, names: Names, seen: dict[str, str]) -> Listed:
    """Read one manifest; nothing is opened but the file itself.

    Args:
        path: of a name that ends with one of `MANIFEST_ENDINGS`.
        names: the classes, which grow where they are not fixed.
        seen: where each path was named so far; grows.

    Raises:
        DataFolderError: each way the manifest can be wrong has its own sentence.
    """
    listed = Listed(path)
    rows = _json_rows(path) if path.suffix.lower() == ".jsonl" else _csv_rows(path)
    for line, written, labels, part in rows:
        where = f"{path}, line {line},"
        name = _checked_path(written, where)
        if name in seen:
            raise DataFolderError(
                f"{where} names a picture a second time",
                got=f"{name}, as in {seen[name]}",
                expected="one line for a picture, with all of its labels",
            )
        if listed.paths and (part is None) != (listed.held_out is None):
            raise DataFolderError(
                f"{where} says {'no' if part is None else 'a'} set, unlike the lines before it",
                expected="train or val in each line, or in none",
            )
        seen[name] = f"{path.name}, line {line}"
        classes = sorted({names.of(label, where) for label in labels})
        if len(classes) < len(labels):
            listed.doubled.append(line)
        listed.paths.append(name)
        listed.lines.append(line)
        listed.indices.extend(classes)
        listed.ends.append(len(listed.indices))
        if part is not None:
            listed.held_out = bytearray() if listed.held_out is None else listed.held_out
            listed.held_out.append(_is_held_out(part, where))
    if not listed.paths:
        raise DataFolderError(f"{path} lists no picture", expected="a line for each: its path and its labels")
    return listed


def _csv_rows(path: Path) -> Iterator[_Row]:
    for line, row in read_table(path, ("path", "labels"), "a list of labels"):
        values: list[str | None] = [*row.values()]
        # What a row has too much is listed under the key None, what it lacks is None.
        if None in row or None in values:
            raise DataFolderError(
                f"{path}, line {line}, has {'more' if None in row else 'fewer'} fields than the first line",
                got="the last one: " + repr(next(value for value in reversed(values) if value is not None)),
                expected="a path and labels, and what else the first line names",
                fix="Separate labels by ; or |, and put a path or a label that has a comma into double quotes",
            )
        if any(value.strip() for value in row.values()):  # an empty line, as spreadsheet programs write it
            yield line, row["path"].strip(), split_labels(row["labels"]), row.get("set")


def _json_rows(path: Path) -> Iterator[_Row]:
    expected = 'an object a line, such as {"path": "a.jpg", "labels": ["cat", "sofa"]}'
    try:
        text_start(path, "a JSONL text file", expected, "JSON, one object a line,")
        with path.open(encoding="utf-8-sig", errors="surrogateescape") as handle:
            for line, text in enumerate(handle, 1):
                if not text.strip():
                    continue
                where = f"{path}, line {line},"
                try:
                    row = json.loads(text)
                except (ValueError, RecursionError) as error:
                    raise DataFolderError(f"{where} is not JSON", got=str(error), expected=expected) from error
                yield line, *_fields(row, where, expected)
    except OSError as error:
        raise DataFolderError(f"Cannot read {path}", got=error.strerror or str(error)) from error


def _fields(row: Any, where: str, expected: str) -> tuple[str, list[str], str | None]:
    if not isinstance(row, dict):
        raise DataFolderError(f"{where} is no JSON object", got=f"{row!r:.60}", expected=expected)
    missing = [name for name in ("path", "labels") if name not in row]
    if missing:
        raise DataFolderError(f"{where} has no {' and no '.join(missing)}", got=f"{row!r:.60}", expected=expected)
    path, labels, part = row["path"], row["labels"], row.get("set")
    if not isinstance(path, str):
        raise DataFolderError(f"{where} has a path that is no text", got=f"{path!r:.60}", expected=expected)
    if not isinstance(labels, list) or not all(isinstance(label, str) for label in labels):
        raise DataFolderError(f"{where} has labels that are no list of texts", got=f"{labels!r:.60}", expected=expected)
    if "set" in row and not isinstance(part, str):
        raise DataFolderError(f"{where} has a set that is no text", got=f"{part!r:.60}", expected="train or val")
    return path, [label for label in (one.strip() for one in labels) if label], part


def _is_held_out(part: str, where: str) -> bool:
    said = part.strip().lower()
    if said not in (*_TRAIN_NAMES, *HELD_OUT_NAMES):
        raise DataFolderError(f"{where} names a set that there is not", got=repr(part), expected="train or val")
    return said in HELD_OUT_NAMES


def _checked_path(written: str, where: str) -> str:
    """With plain slashes, without `./` and the like: equal for equal files, whatever links lead to."""
    path = written.replace("\\", "/")
    if not path.strip():
        raise DataFolderError(f"{where} has labels but no path", expected="the path of a picture")
    if "\0" in path or not _is_path(path):
        raise DataFolderError(f"{where} has a path that no file can have", got=ascii(written))
    expected = "a path from the folder of the manifest on, such as images/1.jpg"
    if path.startswith("/") or PureWindowsPath(path).drive:
        raise DataFolderError(f"{where} has an absolute path", got=written, expected=expected)
    path = normpath(path)
    if path == ".." or path.startswith("../"):
        raise DataFolderError(f"{where} has a path that leaves the folder", got=written, expected=expected)
    return path


def _is_text(name: str) -> bool:
    try:
        name.encode()
    except UnicodeEncodeError:
        return False
    return True


def _is_path(path: str) -> bool:
    try:
        path.encode(errors="surrogateescape")
    except UnicodeEncodeError:
        return False
    return True
