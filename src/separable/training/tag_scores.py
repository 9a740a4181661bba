"""What a network scored on pictures with any number of labels each, and the files that a report is made of."""

import csv
import json
import math
from dataclasses import dataclass
from pathlib import Path
from typing import Any, final

import numpy as np
import numpy.typing as npt

from separable.analysis.average_precision import AveragePrecision
from separable.analysis.metrics import average_precision, number_or_none
from separable.analysis.tag_threshold import TagThreshold, best_threshold
from separable.data.manifest_rows import join_labels
from separable.data.manifest_set import TagSet
from separable.data.quarantine import BadPicture
from separable.files import write_atomically, write_text_atomically

__all__ = ["TagEvaluation"]

_SHOWN = 20
"""Classes that a row of `predictions.csv` has, or as many as the picture shows."""


@final
@dataclass(frozen=True)
class TagEvaluation:
    """What a network answered on the pictures of a set that could be read, `pictures`, n of them in the set's order.

    `losses` (n,) are those of each picture, see `losses.sigmoid_cross_entropy`. `ids` and `probabilities` (n, places)
    are its first classes, best first. `class_scores` (n, classes) are the logits of the classes `frequent`, those that
    most pictures of the set show. `ranking` is None where a logit is NaN: then nothing can be ranked.
    """

    set_name: str
    pictures: TagSet
    losses: npt.NDArray[np.float64]
    ranking: AveragePrecision | None
    ids: npt.NDArray[np.int32]
    probabilities: npt.NDArray[np.float32]
    frequent: npt.NDArray[np.int64]
    class_scores: npt.NDArray[np.float32]
    bad: tuple[BadPicture, ...] = ()

    @property
    def n(self) -> int:
        """Pictures that could be read."""
        return len(self.pictures)

    @property
    def paths(self) -> tuple[str, ...]:
        """Theirs."""
        return self.pictures.paths

    @property
    def loss(self) -> float:
        """Mean over pictures; NaN without any."""
        return math.fsum(self.losses) / self.n if self.n else math.nan

    @property
    def map100(self) -> float:
        """MAP@100, see `analysis.average_precision`."""
        return math.nan if self.ranking is None else self.ranking.mean

    @property
    def weighted_map100(self) -> float:
        """MAP@100 with weighted classes."""
        return math.nan if self.ranking is None else self.ranking.weighted_mean

    @property
    def precision1(self) -> float:
        """Share of pictures with a label whose first class is one of theirs."""
        return math.nan if self.ranking is None else self.ranking.first_right

    @property
    def average_precision(self) -> npt.NDArray[np.float64]:
        """(n,), AP@100 of each picture; NaN where it has no label."""
        return np.full(self.n, math.nan) if self.ranking is None else self.ranking.pictures

    @property
    def weighted_average_precision(self) -> npt.NDArray[np.float64]:
        """(n,), with weighted classes."""
        return np.full(self.n, math.nan) if self.ranking is None else self.ranking.weighted_pictures

    def decision(self) -> TagThreshold | None:
        """From which probability on its tags agree best with the labels; None where none of them is a label."""
        known = np.concatenate([np.zeros((0, self.ids.shape[1]), bool), *(self._right(k)[None] for k in range(self.n))])
        return best_threshold(self.probabilities, known, len(self.pictures.indices))

    def _right(self, picture: int) -> npt.NDArray[np.bool_]:
        """Whether each of its first classes is one of its own."""
        return np.isin(self.ids[picture], self.pictures.tags(picture))

    def per_class(self) -> list[dict[str, str | int | float | None]]:
        """Of the most frequent classes, the commonest first: how many pictures show it, and the average precision with
        which its scores find them."""
        truth = np.zeros(self.class_scores.shape, bool)
        column = np.full(len(self.pictures.class_names), -1)
        column[self.frequent] = np.arange(len(self.frequent))
        places = column[self.pictures.indices]
        rows = np.repeat(np.arange(self.n), np.diff(self.pictures.offsets))
        truth[rows[places >= 0], places[places >= 0]] = True
        known = self.ranking is not None
        found = average_precision(self.class_scores, truth) if known else np.full(len(self.frequent), math.nan)
        return [
            {
                "name": self.pictures.class_names[k],
                "support": int(truth[:, place].sum()),
                "average_precision": number_or_none(found[place]),
            }
            for place, k in enumerate(self.frequent)
        ]

    def to_json(self) -> dict[str, Any]:
        """The content of `evaluation.json`."""
        decision = self.decision()
        return {
            "task": "tag",
            "set": self.set_name,
            "n": self.n,
            "tags": len(self.pictures.indices),
            "loss": number_or_none(self.loss),
            "map100": number_or_none(self.map100),
            "weighted_map100": number_or_none(self.weighted_map100),
            "precision1": number_or_none(self.precision1),
            "class_names": list(self.pictures.class_names),
            "decision": None if decision is None else decision.to_json(),
            "per_class": self.per_class(),
            "bad": [{"path": bad.path, "cause": bad.cause} for bad in self.bad],
        }

    def write(self, run: Path) -> None:
        """Write `evaluation.json` and `predictions.csv` into the run folder."""
        write_text_atomically(run / "evaluation.json", json.dumps(self.to_json(), indent=1))
        write_atomically(run / "predictions.csv", self._write_predictions)

    def _write_predictions(self, path: Path) -> None:
        names = self.pictures.class_names
        scores = self.average_precision
        with path.open("w", newline="", encoding="utf-8", errors="surrogateescape") as handle:
            rows = csv.writer(handle)
            rows.writerow(("path", "labels", "predicted", "confidence", "average_precision"))
            for k, (name, shown) in enumerate(zip(self.paths, self.pictures.shown(), strict=True)):
                count = max(_SHOWN, len(self.pictures.tags(k)))
                predicted = join_labels([names[c] for c in self.ids[k, :count]])
                confidence = "; ".join(f"{value:.6f}" for value in self.probabilities[k, :count])
                score = f"{scores[k]:.6f}" if math.isfinite(scores[k]) else ""
                rows.writerow((name, shown, predicted, confidence, score))
