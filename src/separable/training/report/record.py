"""What a run folder says about itself, as typed records."""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

__all__ = [
    "Answers",
    "Calibration",
    "Check",
    "CheckGroup",
    "ClassScore",
    "Epoch",
    "Evaluation",
    "Predicted",
    "Quarantined",
    "RunRecord",
    "Step",
    "Suspected",
    "value_at",
]

Fields = Mapping[str, Any]


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
    val_loss: float
    seconds: float
    scores: Mapping[str, float]
    """What else was measured, from 0 to 1: train_top1, val_top1, val_miou and so on; without what is undefined."""

    def score(self, name: str | None) -> float:
        """One of `scores`, NaN where there is none."""
        return self.scores.get(name, math.nan) if name else math.nan


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

    `ece` is of all pictures; the pair before and after the temperature is of those that did not choose it.
    `temperature_reason` says why the temperature is 1. The threshold is NaN where no confidence promises
    `reject_target`; `reject_reason` then says why.
    """

    bins: Sequence[tuple[float, float, float, float, int]]
    reject_reason: str
    temperature_reason: str
    ece: float
    temperature: float
    ece_before_temperature: float
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
class CheckGroup:
    """Findings of one kind; `severity` is error, warning or note; examples are (path, other path, detail)."""

    kind: str
    severity: str
    what: str
    fix: str
    count: int
    examples: Sequence[tuple[str, str, str]]


@dataclass(frozen=True)
class Check:
    """check.json. `classes` are (name, training pictures, held-out pictures); `sides` and `formats` as written.

    `areas` are (name, labelled training pixels) where there are masks, otherwise empty.
    """

    root: str
    misleading: bool
    train: int
    val: int
    groups: Sequence[CheckGroup]
    notes: Sequence[str]
    classes: Sequence[tuple[str, int, int]]
    areas: Sequence[tuple[str, int]]
    sides: Fields
    formats: Fields


@dataclass(frozen=True)
class RunRecord:
    """What every run has, whatever it learns. `complaints` names the files that are there and could not be used."""

    run: Path
    config: Fields
    config_text: str
    steps: Sequence[Step]
    epochs: Sequence[Epoch]
    quarantine: Sequence[Quarantined]
    check: Check | None
    profile: Fields | None
    environment: Fields | None
    complaints: Sequence[str]


@dataclass(frozen=True)
class Answers:
    """What a classification answered on its held-out pictures, and the labels that it doubts."""

    evaluation: Evaluation | None
    predictions: Sequence[Predicted]
    suspects: Sequence[Suspected] | None

    @property
    def measured(self) -> Evaluation | None:
        """The evaluation, if there was a picture to evaluate on."""
        return self.evaluation if self.evaluation is not None and self.evaluation.n > 0 else None


def value_at(fields: Mapping[str, Any] | None, *keys: str) -> Any:
    """fields[a][b]...; None where any of them is missing."""
    found: Any = fields
    for key in keys:
        found = found.get(key) if isinstance(found, Mapping) else None
    return found
