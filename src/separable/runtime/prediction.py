"""One picture's answer, and files of such answers."""

from collections.abc import Iterable
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

from separable.runtime.answer_files import Kind, Table, write_answers

__all__ = ["Prediction", "write_predictions"]


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


def write_predictions(path: Path, predictions: Iterable[Prediction], top: int, reject: bool = False) -> None:
    """See `write_answers`. CSV and Parquet have the columns path, answer, confidence, (with `reject` rejected,) error,
    class_1, probability_1 up to `top`.

    Raises:
        OutputError: the place is not writable or the disk is full.
    """
    columns: dict[str, Kind] = {"path": "text", "answer": "text", "confidence": "number"}
    columns |= {"rejected": "flag"} if reject else {}
    columns["error"] = "text"
    for rank in range(1, top + 1):
        columns |= {f"class_{rank}": "text", f"probability_{rank}": "number"}
    document = partial(Prediction.to_json, reject=reject)
    write_answers(path, predictions, Table(columns, document, partial(_flat, top=top, reject=reject)))


def _flat(prediction: Prediction, top: int, reject: bool) -> dict[str, Any]:
    row = prediction.to_json(reject)
    pairs = row.pop("top")
    for rank in range(top):
        pair = pairs[rank] if rank < len(pairs) else {"class": None, "probability": None}
        row[f"class_{rank + 1}"], row[f"probability_{rank + 1}"] = pair["class"], pair["probability"]
    return row
