"""What a run folder says about itself, in typed records; what is missing or damaged is left out and named."""

import csv
import json
import math
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeVar

import yaml

from separable.errors import RunFolderError
from separable.training.report.wording import count_of

__all__ = [
    "Calibration",
    "ClassScore",
    "Epoch",
    "Evaluation",
    "Predicted",
    "Quarantined",
    "RunRecord",
    "Step",
    "Suspected",
    "read_run",
    "value_at",
]

_CALIBRATION_NUMBERS = (
    "ece",
    "temperature",
    "ece_after_temperature",
    "reject_threshold",
    "reject_target",
    "reject_coverage",
    "reject_accuracy",
)

Fields = Mapping[str, Any]
T = TypeVar("T")


@dataclass(frozen=True)
class Step:
    """One line of metrics.jsonl about an optimiser step; NaN where it says nothing."""

    step: int
    loss: float
    learning_rate: float
    images_per_second: float


@dataclass(frozen=True)
class Epoch:
    """One line of metrics.jsonl about an epoch, counted from 0; NaN where it says nothing."""

    epoch: int
    step: int
    train_loss: float
    train_top1: float
    val_loss: float
    val_top1: float
    seconds: float


@dataclass(frozen=True)
class ClassScore:
    """Precision, recall and F1 of a class (NaN: undefined) over its `support` pictures."""

    name: str
    precision: float
    recall: float
    f1: float
    support: int


@dataclass(frozen=True)
class Calibration:
    """How far stated confidences can be believed; bins are (low, high, confidence, accuracy, count).

    The threshold is NaN where no confidence promises `reject_target`; `reject_reason` then says why.
    """

    bins: Sequence[tuple[float, float, float, float, int]]
    reject_reason: str
    ece: float
    temperature: float
    ece_after_temperature: float
    reject_threshold: float
    reject_target: float
    reject_coverage: float
    reject_accuracy: float


@dataclass(frozen=True)
class Evaluation:
    """evaluation.json: the measurement on held-out pictures. Rows of `confusion` are the truth."""

    set_name: str
    n: int
    loss: float
    top1: float
    top5: float
    class_names: Sequence[str]
    per_class: Sequence[ClassScore]
    confusion: Sequence[Sequence[int]]
    calibration: Calibration | None
    bad: Sequence[tuple[str, str]]


@dataclass(frozen=True)
class Predicted:
    """One row of predictions.csv."""

    path: str
    label: str
    predicted: str
    confidence: float
    correct: bool


@dataclass(frozen=True)
class Suspected:
    """One row of suspects.csv: a picture whose given label is probably wrong."""

    path: str
    given: str
    suggested: str
    score: float


@dataclass(frozen=True)
class Quarantined:
    """One row of quarantine.csv: a picture that could not be read."""

    path: str
    cause: str


@dataclass(frozen=True)
class RunRecord:
    """Everything a report needs. `complaints` names the files that are there and could not be used."""

    run: Path
    config: Fields
    config_text: str
    steps: Sequence[Step]
    epochs: Sequence[Epoch]
    evaluation: Evaluation | None
    predictions: Sequence[Predicted]
    suspects: Sequence[Suspected] | None
    quarantine: Sequence[Quarantined]
    check: Fields | None
    profile: Fields | None
    environment: Fields | None
    complaints: Sequence[str]

    @property
    def measured(self) -> Evaluation | None:
        """The evaluation, if there was a picture to evaluate on."""
        return self.evaluation if self.evaluation is not None and self.evaluation.n > 0 else None


def read_run(run: Path) -> RunRecord:
    """Read a run folder, finished or not.

    Raises:
        RunFolderError: `run` is no folder, or nothing in it says that a training took place.
    """
    if not run.is_dir():
        raise RunFolderError("There is no such run folder", got=run, fix="Name the folder that `separable train` made")
    if not (run / "config.yaml").is_file() and not (run / "metrics.jsonl").is_file():
        raise RunFolderError(
            "This folder is not a run", got=run, expected="a folder with config.yaml and metrics.jsonl in it"
        )
    reader = _Reader(run)
    lines = list(reader.lines("metrics.jsonl"))
    return RunRecord(
        run=run,
        config=reader.parse("config.yaml", lambda text: _mapping(yaml.safe_load(text))) or {},
        config_text=reader.parse("config.yaml", str) or "",
        steps=reader.each("metrics.jsonl", _step, (line for line in lines if line.get("kind") == "step")),
        epochs=reader.each("metrics.jsonl", _epoch, (line for line in lines if line.get("kind") == "epoch")),
        evaluation=reader.parse("evaluation.json", lambda text: _evaluation(json.loads(text))),
        predictions=reader.each("predictions.csv", _predicted, reader.rows("predictions.csv") or []),
        suspects=reader.optional("suspects.csv", _suspected),
        quarantine=reader.each("quarantine.csv", _quarantined, reader.rows("quarantine.csv") or []),
        check=reader.parse("check.json", lambda text: _mapping(json.loads(text))),
        profile=reader.parse("profile.json", lambda text: _mapping(json.loads(text))),
        environment=reader.parse("environment.json", lambda text: _mapping(json.loads(text))),
        complaints=reader.complaints,
    )


def value_at(fields: Mapping[str, Any] | None, *keys: str) -> Any:
    """fields[a][b]...; None where any of them is missing."""
    found: Any = fields
    for key in keys:
        found = found.get(key) if isinstance(found, Mapping) else None
    return found


class _Reader:
    """Reads the files of one folder and collects what was wrong with them."""

    def __init__(self, run: Path) -> None:
        self.run = run
        self.complaints: list[str] = []

    def parse(self, name: str, make: Callable[[str], T]) -> T | None:
        text = self._text(name)
        if text is None:
            return None
        try:
            return make(text)
        except (ValueError, TypeError, KeyError, AttributeError, RecursionError, yaml.YAMLError) as error:
            self.complaints.append(f"{name} could not be used: {type(error).__name__}: {error}"[:300])
            return None

    def lines(self, name: str) -> Iterator[dict[str, Any]]:
        """The JSON objects of a file of lines; a process that was killed leaves half a line at its end."""
        broken = 0
        for line in (self._text(name) or "").splitlines():
            try:
                value = json.loads(line)
            except (ValueError, RecursionError):
                broken += 1
                continue
            if isinstance(value, dict):
                yield value
        if broken > 1:
            self.complaints.append(f"{name}: {count_of(broken, 'line')} could not be read")

    def rows(self, name: str) -> list[dict[str, str]] | None:
        text = self._text(name)
        if text is None:
            return None
        try:
            return list(csv.DictReader(text.splitlines(keepends=True)))
        except csv.Error as error:
            self.complaints.append(f"{name} could not be used: {error}")
            return []

    def each(self, name: str, make: Callable[[Any], T], rows: Iterator[Any] | Sequence[Any]) -> list[T]:
        made, broken = [], 0
        for row in rows:
            try:
                made.append(make(row))
            except (ValueError, TypeError, KeyError, OverflowError):
                broken += 1
        if broken:
            self.complaints.append(f"{name}: {count_of(broken, 'row')} could not be used")
        return made

    def optional(self, name: str, make: Callable[[Any], T]) -> list[T] | None:
        """None where the file is missing, an empty list where it lists nothing: the report tells these apart."""
        rows = self.rows(name)
        return None if rows is None else self.each(name, make, rows)

    def _text(self, name: str) -> str | None:
        try:
            # File names need not be UTF-8; this brings their bytes through, so that the pictures can be opened.
            with open(self.run / name, encoding="utf-8", errors="surrogateescape", newline="") as handle:
                return handle.read()
        except FileNotFoundError:
            return None
        except OSError as error:
            self.complaints.append(f"{name} could not be read: {error.strerror}")
            return None


def _mapping(value: object) -> Fields:
    if not isinstance(value, dict):
        raise ValueError(f"a {type(value).__name__} where a mapping was expected")
    return value


def _number(value: object) -> float:
    """A float; NaN for what is missing, null or no number."""
    if isinstance(value, int | float) and not isinstance(value, bool):
        return float(value)
    try:
        return float(value) if isinstance(value, str) else math.nan
    except ValueError:
        return math.nan


def _step(line: Fields) -> Step:
    timing = line.get("timing") or {}
    return Step(
        int(line["step"]),
        _number(line.get("loss")),
        _number(line.get("learning_rate")),
        _number(timing.get("images_per_second")) if isinstance(timing, dict) else math.nan,
    )


def _epoch(line: Fields) -> Epoch:
    names = ("train_loss", "train_top1", "val_loss", "val_top1", "seconds")
    return Epoch(int(line["epoch"]), int(line["step"]), *(_number(line.get(name)) for name in names))


def _evaluation(fields: Fields) -> Evaluation:
    names = [str(name) for name in fields["class_names"]]
    confusion = [[int(count) for count in row] for row in fields.get("confusion") or []]
    if confusion and (len(confusion) != len(names) or any(len(row) != len(names) for row in confusion)):
        raise ValueError(f"the confusion matrix is not {len(names)} x {len(names)}")
    return Evaluation(
        set_name=str(fields.get("set", "val")),
        n=int(fields["n"]),
        loss=_number(fields.get("loss")),
        top1=_number(fields.get("top1")),
        top5=_number(fields.get("top5")),
        class_names=names,
        per_class=[_class_score(row) for row in fields.get("per_class") or []],
        confusion=confusion,
        calibration=_calibration(fields["calibration"]) if fields.get("calibration") else None,
        bad=[(str(row.get("path", "")), str(row.get("cause", ""))) for row in fields.get("bad") or []],
    )


def _class_score(row: Fields) -> ClassScore:
    precision, recall, f1 = (_number(row.get(name)) for name in ("precision", "recall", "f1"))
    return ClassScore(str(row["name"]), precision, recall, f1, int(row.get("support") or 0))


def _calibration(fields: Fields) -> Calibration:
    numbers = {key: _number(fields.get(key)) for key in _CALIBRATION_NUMBERS}
    return Calibration([_bin(b) for b in fields.get("bins") or []], str(fields.get("reject_reason") or ""), **numbers)


def _bin(fields: Fields) -> tuple[float, float, float, float, int]:
    low, high, confidence, accuracy = (_number(fields.get(key)) for key in ("low", "high", "confidence", "accuracy"))
    return low, high, confidence, accuracy, int(fields.get("count") or 0)


def _predicted(row: Mapping[str, str]) -> Predicted:
    correct = row["correct"].strip().lower() in ("1", "true", "yes")
    return Predicted(row["path"], row["label"], row["predicted"], _number(row["confidence"]), correct)


def _suspected(row: Mapping[str, str]) -> Suspected:
    return Suspected(row["path"], row.get("label") or row["given"], row["suggested"], _number(row["score"]))


def _quarantined(row: Mapping[str, str]) -> Quarantined:
    return Quarantined(row["path"], row["cause"])
