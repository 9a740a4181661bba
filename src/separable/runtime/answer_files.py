"""Files of answers, a picture a row: CSV, JSON lines or Parquet by the ending of the name."""

import csv
import json
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Generic, Literal, TypeVar

from separable.errors import MissingExtraError, UsageError
from separable.files import make_directory, write_atomically

__all__ = ["Kind", "Table", "check_ending", "write_answers"]

_PARQUET_ROWS = 8192

Answer = TypeVar("Answer")
Kind = Literal["text", "number", "flag"]


@dataclass(frozen=True)
class Table(Generic[Answer]):
    """How an answer is written: as an object to JSON lines, as cells to the others."""

    columns: Mapping[str, Kind]
    """In their order."""
    document: Callable[[Answer], dict[str, Any]]
    cells: Callable[[Answer], dict[str, Any]]
    """By column; None where there is nothing to say. `path` may hold bytes that are no UTF-8."""


def check_ending(path: Path) -> None:
    """Find out before the work whether `write_answers` can write `path`.

    Raises:
        UsageError: an ending that is not known.
        MissingExtraError: Parquet without pyarrow.
    """
    if path.suffix.lower() not in _WRITERS:
        raise UsageError(f"Cannot tell the format of {path}", expected="a name that ends in .csv, .jsonl or .parquet")
    if path.suffix.lower() == ".parquet":
        _pyarrow()


def write_answers(path: Path, answers: Iterable[Answer], table: Table[Answer]) -> None:
    """Write as they come, in memory that does not grow; `path` appears when the last one is written.

    Raises:
        OutputError: the place is not writable or the disk is full. What `check_ending` raises.
    """
    check_ending(path)
    make_directory(path.parent)
    write = _WRITERS[path.suffix.lower()]
    write_atomically(path, lambda temporary: write(temporary, answers, table))


def _write_csv(path: Path, answers: Iterable[Any], table: Table[Any]) -> None:
    # surrogateescape gives back the bytes of file names that are not UTF-8.
    with open(path, "w", newline="", encoding="utf-8", errors="surrogateescape") as handle:
        writer = csv.DictWriter(handle, list(table.columns), lineterminator="\n")
        writer.writeheader()
        writer.writerows(table.cells(answer) for answer in answers)


def _write_jsonl(path: Path, answers: Iterable[Any], table: Table[Any]) -> None:
    with open(path, "w", encoding="utf-8", errors="backslashreplace") as handle:
        for answer in answers:
            handle.write(json.dumps(table.document(answer), ensure_ascii=False) + "\n")


def _write_parquet(path: Path, answers: Iterable[Any], table: Table[Any]) -> None:
    pyarrow, parquet = _pyarrow()
    kinds = {"text": pyarrow.string(), "number": pyarrow.float32(), "flag": pyarrow.bool_()}
    schema = pyarrow.schema([(name, kinds[kind]) for name, kind in table.columns.items()])
    with parquet.ParquetWriter(path, schema) as writer:
        for rows in _batches(answers, table):
            writer.write_table(pyarrow.Table.from_pylist(rows, schema=schema))


def _batches(answers: Iterable[Any], table: Table[Any]) -> Iterator[list[dict[str, Any]]]:
    rows: list[dict[str, Any]] = []
    for answer in answers:
        row = table.cells(answer)
        row["path"] = (
            row["path"].encode("utf-8", "backslashreplace").decode()
        )  # Arrow's text is UTF-8, names may not be
        rows.append(row)
        if len(rows) == _PARQUET_ROWS:
            yield rows
            rows = []
    if rows:
        yield rows


def _pyarrow() -> tuple[Any, Any]:
    try:
        import pyarrow
        import pyarrow.parquet
    except ImportError as error:
        raise MissingExtraError(
            "Parquet is written by pyarrow, which is not installed",
            fix='pip install "separable[shards]", or choose a name that ends in .csv or .jsonl',
        ) from error
    return pyarrow, pyarrow.parquet


_Writer = Callable[[Path, Iterable[Any], Table[Any]], None]
_WRITERS: dict[str, _Writer] = {".csv": _write_csv, ".jsonl": _write_jsonl, ".parquet": _write_parquet}
