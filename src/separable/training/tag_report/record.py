"""What the run folder of such a training says about its evaluation, as typed records."""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property

__all__ = ["ClassPrecision", "Decision", "TagMeasured", "TagRow", "TagScores"]


@dataclass(frozen=True)
class ClassPrecision:
    """How well the scores of a class find the `support` pictures that show it; NaN where that is undefined."""

    name: str
    support: int
    average_precision: float


@dataclass(frozen=True)
class Decision:
    """The probability from which on a tag is given, and what that comes to on the held-out pictures."""

    threshold: float
    precision: float
    recall: float
    f1: float


@dataclass(frozen=True)
class TagScores:
    """evaluation.json: the measurement on `n` held-out pictures with `tags` labels in all; NaN where undefined.

    `per_class` are the most frequent classes, the commonest first.
    """

    n: int
    tags: int
    loss: float
    map100: float
    weighted_map100: float
    precision1: float
    class_names: Sequence[str]
    per_class: Sequence[ClassPrecision]
    decision: Decision | None
    bad: Sequence[tuple[str, str]]


@dataclass(frozen=True)
class TagRow:
    """One row of predictions.csv: what a picture shows, and the classes that came first with their probabilities, best
    first; `average_precision` is NaN for one without a label."""

    path: str
    labels: tuple[str, ...]
    predicted: tuple[tuple[str, float], ...]
    average_precision: float

    @cached_property
    def is_measured(self) -> bool:
        """Whether it has a label to be found."""
        return math.isfinite(self.average_precision)

    def given(self, threshold: float) -> tuple[tuple[str, float], ...]:
        """The tags of so much probability."""
        return tuple(one for one in self.predicted if one[1] >= threshold)


@dataclass(frozen=True)
class TagMeasured:
    """The evaluation, picture by picture."""

    evaluation: TagScores | None
    pictures: Sequence[TagRow]

    @property
    def scores(self) -> TagScores | None:
        """The evaluation, if there was a picture to evaluate on."""
        return self.evaluation if self.evaluation is not None and self.evaluation.n > 0 else None

    @property
    def threshold(self) -> float:
        """From which on `predict` gives a tag."""
        decision = self.evaluation.decision if self.evaluation is not None else None
        return decision.threshold if decision is not None else 0.5
