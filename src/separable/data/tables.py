"""Tables that people write: comma-separated text with named columns, and a sentence for each thing that is none."""

import csv
import re
from collections.abc import Iterator
from pathlib import Path

from separable.errors import DataFolderError

__all__ = ["column_names", "read_table", "text_start"]

_CONTROL = re.compile(rb"[\x00-\x08\x0e-\x1a\x1c-\x1f]")
"""Bytes that no text holds, of those that every picture, archive and spreadsheet soon does."""


def read_table(path: Path, columns: tuple[str, ...], what: str) -> Iterator[tuple[int, dict[str, str]]]:
    """(number of its last line, fields by column) of every row; bytes that are no UTF-8 are kept as surrogates.

    A field that a row is too short for is None, what it has too much is listed under the key None, as `csv` does it.

    Args:
        path: the file.
        columns: have to be there; further ones may be.
        what: the table is, for an error: "a list of labels".

    Raises:
        DataFolderError: it cannot be read, is no CSV, or lacks a column.
    """
    try:
        text_start(path, "a CSV text file", f"lines of text with the columns {_and(columns)}", "comma-separated values")
        # A byte order mark is what spreadsheet programs write; surrogates are how odd file names survive.
        with path.open(newline="", encoding="utf-8-sig", errors="surrogateescape") as handle:
            rows = csv.DictReader(handle)
            _demand_columns(path, list(rows.fieldnames or []), columns, what)
            for row in rows:
                yield rows.line_num, row
    except OSError as error:
        raise DataFolderError(f"Cannot read {path}", got=error.strerror or str(error)) from error
    except csv.Error as error:
        raise DataFolderError(f"{path} is not a CSV file", got=str(error)) from error


def column_names(path: Path) -> tuple[str, ...]:
    """Those of the first line; none where it is no table that can be read."""
    try:
        with path.open(newline="", encoding="utf-8-sig", errors="surrogateescape") as handle:
            return tuple(next(csv.reader(handle), ()))
    except (OSError, csv.Error):
        return ()


def text_start(path: Path, kind: str, expected: str, form: str) -> bytes:
    """The first 64 KiB of a text file.

    Raises:
        DataFolderError: the file is no text in an encoding that holds ASCII.
        OSError: it cannot be read.
    """
    with path.open("rb") as raw:
        start = raw.read(1 << 16)
    if start.startswith((b"\xff\xfe", b"\xfe\xff")):
        got, fix = "UTF-16 text", f"Save it as {form} in UTF-8"
    elif _CONTROL.search(start):
        got, fix = "a binary file", f"Save it as {form}, if it is a spreadsheet"
    else:
        return start
    raise DataFolderError(f"{path} is not {kind}", got=got, expected=expected, fix=fix)


def _demand_columns(path: Path, found: list[str], wanted: tuple[str, ...], what: str) -> None:
    if set(wanted) <= set(found):
        return
    for mark, name in ((";", "semicolons"), ("\t", "tabs")):
        if len(found) == 1 and set(wanted) <= {part.strip(' "') for part in found[0].split(mark)}:
            raise DataFolderError(
                f"{path} is separated by {name}",
                expected="commas",
                fix=f"Save it comma-separated: {','.join(wanted)}",
            )
    shown = ", ".join(column[:30] for column in found[:6]) if found else "an empty file"
    raise DataFolderError(
        f"{path} is not {what}", got=f"the columns {shown}" if found else shown, expected=_and(wanted)
    )


def _and(names: tuple[str, ...]) -> str:
    return " and ".join(names)
