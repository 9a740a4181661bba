"""What one training came to, picture by picture: `outcome.json` in its run folder."""

import json
import math
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from separable.errors import SeparableError
from separable.experiments.schema import Task
from separable.files import write_text_atomically
from separable.segmentation.mask_evaluation import MaskEvaluation
from separable.training.codec import from_plain, to_plain
from separable.training.evaluate import Evaluation
from separable.training.journal import read_journal
from separable.training.tag_scores import TagEvaluation

__all__ = ["Outcome", "measured", "read_outcome", "trained"]

_LEAST = 1e-38
"""A probability that single precision rounds to nothing still has a logarithm."""


@dataclass(frozen=True)
class Outcome:
    """One training's figures on the held-out pictures.

    `pictures` are by measure, a number for each readable picture in the order of the set: right or wrong as 1 or 0, the
    loss, the average precision. Of masks, `counts` has for every picture and class the pixels that were "right",
    "labelled" so and "called" so. `failed` says why there is nothing: the training diverged, which another try of the
    same would do again.
    """

    measures: dict[str, float] = field(default_factory=dict)
    pictures: dict[str, tuple[float, ...]] = field(default_factory=dict)
    counts: dict[str, tuple[tuple[int, ...], ...]] = field(default_factory=dict)
    curve: dict[str, tuple[float | None, ...]] = field(default_factory=dict)
    seconds: float = 0.0
    failed: str | None = None
    made: dict[str, Any] = field(default_factory=dict)
    """With which "versions", on which "machine" and "device"; empty in files from before this was kept."""

    def write(self, path: Path) -> None:
        """Write `outcome.json`."""
        write_text_atomically(path, json.dumps(to_plain(self), separators=(",", ":"), allow_nan=False) + "\n")


def read_outcome(path: Path) -> Outcome | None:
    """What `Outcome.write` left; None where there is nothing, or nothing that can be read: it is measured again."""
    try:
        return from_plain(Outcome, json.loads(path.read_text(encoding="utf-8")))
    except (OSError, ValueError, SeparableError):
        return None


def measured(answer: Any) -> Outcome:
    """What a network answered on the held-out pictures, of any task."""
    if isinstance(answer, Evaluation):
        return _classes(answer)
    if isinstance(answer, MaskEvaluation):
        return _masks(answer)
    assert isinstance(answer, TagEvaluation)
    return _tags(answer)


def trained(answer: Any, run: Path, task: Task, early: tuple[float, ...] | None) -> Outcome:
    """The same of a whole training, whose epochs `run` has; `early` is right or wrong after a quarter of them."""
    found = measured(answer)
    rows = [row for row in read_journal(run / "metrics.jsonl") if row["kind"] == "epoch"]
    names = {"classify": ("top1",), "tag": ("map100", "weighted_map100"), "segment": ("miou", "pixel_accuracy")}[task]
    columns = {name: f"val_{name}" for name in (*names, "loss")} | {"train_loss": "train_loss"}
    curve: dict[str, tuple[float | None, ...]] = {"epoch": tuple(row["epoch"] + 1 for row in rows)}
    curve |= {name: tuple(_number(row.get(key)) for row in rows) for name, key in columns.items()}
    measures, pictures = dict(found.measures), dict(found.pictures)
    if early is not None:
        measures["early_top1"], pictures["early_top1"] = sum(early) / len(early), early
    return Outcome(measures, pictures, found.counts, curve, sum(row["seconds"] for row in rows))


def _classes(answer: Evaluation) -> Outcome:
    rows, labels = answer.probabilities, answer.labels
    own = rows[np.arange(len(labels)), labels]
    # As `top_k_accuracy` does: of equal probabilities the first class comes first.
    order = np.argsort(-rows, axis=1, kind="stable")
    place = (order == labels[:, None]).argmax(1)
    measures = {"top1": answer.top1, "top5": answer.top5, "loss": answer.loss}
    measures |= {"top1_error": 1 - answer.top1, "top5_error": 1 - answer.top5}
    pictures = {
        "top1": _numbers((place < 1).astype(np.int64)),
        "top5": _numbers((place < 5).astype(np.int64)),
        "loss": _numbers(-np.log(np.maximum(own.astype(np.float64), _LEAST)).round(6)),
    }
    return Outcome(_finite(measures), pictures)


def _tags(answer: TagEvaluation) -> Outcome:
    measures = {"map100": answer.map100, "weighted_map100": answer.weighted_map100, "loss": answer.loss}
    # A picture without a label has no average precision, the same ones in all trainings.
    scores = {"map100": answer.average_precision, "weighted_map100": answer.weighted_average_precision}
    pictures = {name: _numbers(values[~np.isnan(values)]) for name, values in scores.items()}
    return Outcome(_finite(measures), pictures | {"loss": _numbers(answer.losses.astype(np.float64).round(6))})


def _masks(answer: MaskEvaluation) -> Outcome:
    pictures = answer.pictures or ()
    measures = {"miou": answer.scores.mean_iou, "pixel_accuracy": answer.scores.pixel_accuracy, "loss": answer.loss}
    names = ("right", "labelled", "called")
    counts = {name: tuple(getattr(one, name) for one in pictures) for name in names}
    return Outcome(_finite(measures), counts=counts)


def _numbers(values: Any) -> tuple[float, ...]:
    return tuple(values.tolist())


def _number(value: Any) -> float | None:
    return float(value) if isinstance(value, int | float) and math.isfinite(value) else None


def _finite(measures: dict[str, float]) -> dict[str, float]:
    return {name: float(value) for name, value in measures.items() if value is not None and math.isfinite(value)}
