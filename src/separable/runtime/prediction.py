"""One picture's answer, and files of answers: CSV, JSON lines or Parquet by the ending of the name."""

import csv
import json
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from separable.errors import MissingExtraError, UsageError
from separable.files import make_directory, write_atomically

__all__ = ["Prediction", "check_ending", "write_predictions"]

_PARQUET_ROWS = 8192


@dataclass(frozen=True)
class Prediction:
    """`classes` best first with their calibrated `probabilities`; or `error`, the cause why there are none.

    `rejected`: the confidence is below the run's calibrated threshold (never, where there is none).
    """

    source: str
    classes: tuple[str, ...] = ()
    probabilities: tuple[float, ...] = ()
    rejected: bool = False
    error: str | None = None

    def to_json(self, reject: bool = False) -> dict[str, Any]:
        """`answer` is None for a picture that failed, and with `reject` for one below the threshold."""
        row: dict[str, Any] = {"path": self.source, "answer": self.answer(reject)}
        row["confidence"] = round(self.probabilities[0], 6) if self.probabilities else None
        if reject:
            row["rejected"] = self.rejected
        row["error"] = self.error
        pairs = zip(self.classes, self.probabilities, strict=True)
        row["top"] = [{"class": name, "probability": round(value, 6)} for name, value in pairs]
        return row

    def answer(self, reject: bool = False) -> str | None:
        """The best class, or None: the picture failed, or `reject` and it is below the threshold."""
        return None if self.error or (reject and self.rejected) else self.classes[0]


def check_ending(path: Path) -> None:
    """Find out before the work whether `write_predictions` can write `path`.

    Raises:
        UsageError: an ending that is not known.
        MissingExtraError: Parquet without pyarrow.
    """
    if path.suffix.lower() not in _WRITERS:
        raise UsageError(f"Cannot tell the format of {path}", expected="a name that ends in .csv, .jsonl or .parquet")
    if path.suffix.lower() == ".parquet":
        _pyarrow()


def write_predictions(path: Path, predictions: Iterable[Prediction], top: int, reject: bool = False) -> None:
    """Write as they come, in memory that does not grow; `path` appears when the last one is written.

    CSV and Parquet have the columns path, answer, confidence, (with `reject` rejected,) error, class_1, probability_1
    up to `top`.

    Raises:
        OutputError: the place is not writable or the disk is full.
    """
    check_ending(path)
    make_directory(path.parent)
    write = _WRITERS[path.suffix.lower()]
    write_atomically(path, lambda temporary: write(temporary, predictions, top, reject))


def _columns(top: int, reject: bool) -> list[str]:
    ranks = [f"{name}_{rank}" for rank in range(1, top + 1) for name in ("class", "probability")]
    return ["path", "answer", "confidence", *(["rejected"] if reject else []), "error", *ranks]


def _flat(prediction: Prediction, top: int, reject: bool) -> dict[str, Any]:
    row = prediction.to_json(reject)
    pairs = row.pop("top")
    for rank in range(top):
        pair = pairs[rank] if rank < len(pairs) else {"class": None, "probability": None}
        row[f"class_{rank + 1}"], row[f"probability_{rank + 1}"] = pair["class"], pair["probability"]
    return row


def _write_csv(path: Path, predictions: Iterable[Prediction], top: int, reject: bool) -> None:
    # surrogateescape gives back the bytes of file names that are not UTF-8.
    with open(path, "w", newline="", encoding="utf-8", errors="surrogateescape") as handle:
        writer = csv.DictWriter(handle, _columns(top, reject), lineterminator="\n")
        writer.writeheader()
        writer.writerows(_flat(prediction, top, reject) for prediction in predictions)


def _write_jsonl(path: Path, predictions: Iterable[Prediction], _top: int, reject: bool) -> None:
    with open(path, "w", encoding="utf-8", errors="backslashreplace") as handle:
        for prediction in predictions:
            handle.write(json.dumps(prediction.to_json(reject), ensure_ascii=False) + "\n")


def _write_parquet(path: Path, predictions: Iterable[Prediction], top: int, reject: bool) -> None:
    pyarrow, parquet = _pyarrow()
    kinds = {"confidence": pyarrow.float32(), "rejected": pyarrow.bool_()}
    kinds |= {f"probability_{rank}": pyarrow.float32() for rank in range(1, top + 1)}
    schema = pyarrow.schema([(name, kinds.get(name, pyarrow.string())) for name in _columns(top, reject)])
    with parquet.ParquetWriter(path, schema) as writer:
        for rows in _batches(predictions, top, reject):
            writer.write_table(pyarrow.Table.from_pylist(rows, schema=schema))


def _batches(predictions: Iterable[Prediction], top: int, reject: bool) -> Iterator[list[dict[str, Any]]]:
    rows: list[dict[str, Any]] = []
    for prediction in predictions:
        row = _flat(prediction, top, reject)
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


_Writer = Callable[[Path, Iterable[Prediction], int, bool], None]
_WRITERS: dict[str, _Writer] = {".csv": _write_csv, ".jsonl": _write_jsonl, ".parquet": _write_parquet}
