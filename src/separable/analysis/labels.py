"""Pictures whose label is probably wrong: those where a classifier that never saw them is sure of another class.

Confident learning (Northcutt, Jiang and Chuang, "Confident Learning: Estimating Uncertainty in Dataset Labels",
arXiv:1911.00068) on frozen features: every picture's class probabilities come from a logistic regression fitted on the
other folds; a class counts as confidently seen where its probability reaches the mean that it has among the pictures
labelled with it, so that a class the classifier finds hard is held to less. A picture whose confidently seen class is
not its label is a suspect.
"""

import csv
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt

from separable.analysis.distributions import binomial_tail
from separable.analysis.logistic import choose_penalty, fit_logistic
from separable.data.order import shuffled
from separable.errors import UsageError
from separable.files import write_atomically

__all__ = ["Suspect", "find_label_problems", "out_of_fold_probabilities", "write_suspects"]

FOLDS = 5
FEWEST = 5
"""Pictures a class needs for its pictures to be judged, and for others to be suspected of belonging to it."""

CERTAINTY = 0.99
"""With which the classifier has to beat naming the most frequent class always, before it may accuse anybody."""

MOST_ACCUSED = 0.2
"""Share of the judged pictures that is listed at most. Of the labels of ten well-known test sets 0.15 to 10 % are wrong
(Northcutt, Athalye and Mueller, arXiv:2103.14749): a list twice as long as the worst of them speaks of features that
tell the classes badly apart, and nobody looks through it."""

Floats = npt.NDArray[np.float64]


@dataclass(frozen=True)
class Suspect:
    """A picture labelled `given` that looks like `suggested`; `score`, 0 to 1, rises with the likelihood."""

    path: str
    given: str
    suggested: str
    score: float


def find_label_problems(
    features: npt.ArrayLike,
    labels: npt.ArrayLike,
    class_names: Sequence[str],
    paths: Sequence[str],
    seed: int = 0,
) -> list[Suspect]:
    """Suspects, likeliest first.

    Args:
        features: (N, D), what the network computes before its classifier. Better features find more and accuse fewer;
            features of a network trained on these very labels have seen the wrong ones, too, so stop it early.
        labels: (N,), indices into `class_names`.
        class_names, paths: names for the answer.
        seed: of the folds.

    Pictures with a NaN or infinite feature and classes with fewer than 5 pictures are not judged. Copies of one
    picture vouch for each other's label: delete them first (`separable check`). Nobody is suspected where the
    classifier is not better, with a certainty of 99 %, than naming the most frequent class, and never more than a fifth
    of the pictures.
    """
    table, truth = np.asarray(features, np.float32), np.asarray(labels, np.int64)
    if table.ndim != 2 or not (len(table) == len(truth) == len(paths)):
        raise UsageError(
            "Features, labels and paths do not fit", got=f"shape {table.shape}, {len(truth)} and {len(paths)}"
        )
    if len(truth) and not (truth.min() >= 0 and truth.max() < len(class_names)):
        raise UsageError("A label is outside the classes", got=f"{truth.min()} to {truth.max()}")
    judged = np.flatnonzero(np.isfinite(table).all(axis=1))
    frequent = np.bincount(truth[judged], minlength=len(class_names)) >= FEWEST
    judged = judged[frequent[truth[judged]]]
    known = np.flatnonzero(frequent)
    if len(known) < 2:
        return []
    own = np.searchsorted(known, truth[judged])
    chances = out_of_fold_probabilities(table[judged], own, len(known), seed)
    if not _knows_something(chances, own):
        return []
    seen = _confidently_seen(chances, own)
    rows = np.flatnonzero((seen >= 0) & (seen != own))
    # The normalised margin of the paper, turned so that 1 is certainly wrong and 0 certainly right.
    scores = (1 + chances[rows, seen[rows]] - chances[rows, own[rows]]) / 2
    ranked = sorted(zip(rows, scores, strict=True), key=lambda pair: (-pair[1], paths[judged[pair[0]]]))
    return [
        Suspect(
            path=paths[judged[row]],
            given=class_names[known[own[row]]],
            suggested=class_names[known[seen[row]]],
            score=float(score),
        )
        for row, score in ranked[: max(1, int(MOST_ACCUSED * len(own)))]
    ]


def out_of_fold_probabilities(
    features: npt.NDArray[np.float32], labels: npt.NDArray[np.int64], num_classes: int, seed: int
) -> Floats:
    """(N, C): each picture's class probabilities by a logistic regression that was fitted without its fold.

    Folds are stratified and keyed by (seed, class). The penalty is the one, of a short list, that predicts best out of
    fold; no further split is spent on that single number.
    """
    fold = _folds(labels, num_classes, seed)
    penalty = choose_penalty(features, labels, num_classes, fold)
    chances = np.zeros((len(labels), num_classes))
    for held in range(FOLDS):
        inside, outside = fold != held, fold == held
        if outside.any():
            model = fit_logistic(features[inside], labels[inside], num_classes, penalty)
            chances[outside] = model.probabilities(features[outside])
    return chances


def write_suspects(suspects: Sequence[Suspect], path: Path) -> None:
    """A CSV with the columns path, label, suggested, score. `label` is the one given now.

    Correct the `label` column by hand (empty: leave the picture out) and hand the file back as `labels_csv` of
    `read_folder`: rows that were not touched change nothing.

    Raises:
        OutputError: the file cannot be written.
    """

    def write(temporary: Path) -> None:
        # Linux lets a file name hold any bytes; surrogates carry those that are no UTF-8 through Python.
        with temporary.open("w", newline="", encoding="utf-8", errors="surrogateescape") as handle:
            lines = csv.writer(handle)
            lines.writerow(["path", "label", "suggested", "score"])
            for one in suspects:
                lines.writerow([one.path, one.given, one.suggested, f"{one.score:.4f}"])

    write_atomically(path, write)


def _knows_something(chances: Floats, labels: npt.NDArray[np.int64]) -> bool:
    """Whether the answers are right more often than luck would have the most frequent class be (binomial test)."""
    right, majority = int((chances.argmax(axis=1) == labels).sum()), int(np.bincount(labels).max())
    return binomial_tail(right, len(labels), majority / len(labels)) < 1 - CERTAINTY


def _confidently_seen(chances: Floats, labels: npt.NDArray[np.int64]) -> npt.NDArray[np.int64]:
    """Of the classes that reach their own mean self-confidence, the likeliest; -1 where none does (section 3.1)."""
    counts = np.bincount(labels, minlength=chances.shape[1])
    own = chances[np.arange(len(labels)), labels]
    threshold = np.bincount(labels, weights=own, minlength=chances.shape[1]) / np.maximum(counts, 1)
    reached = np.where(chances >= threshold, chances, -1.0)
    return np.where(reached.max(axis=1) >= 0, reached.argmax(axis=1), -1)


def _folds(labels: npt.NDArray[np.int64], num_classes: int, seed: int) -> npt.NDArray[np.int64]:
    fold = np.zeros(len(labels), np.int64)
    for c in range(num_classes):
        members = np.flatnonzero(labels == c)
        if len(members):
            fold[members] = shuffled(len(members), seed, epoch=c) % FOLDS
    return fold
