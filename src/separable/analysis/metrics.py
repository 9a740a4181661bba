"""Accuracy, per-class and multi-label scores in plain numpy.

Conventions, the same everywhere in this file:
* what would divide zero by zero is NaN (an empty set has no accuracy, a class without pictures has no recall), and a
  mean over classes leaves NaN out; nothing is silently counted as 0 or 1;
* equal scores are won by the class with the lower index, as `argmax` does;
* a score that is NaN ranks above every other one, so a network that returns NaN is never counted as right.
"""

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from separable.errors import UsageError

__all__ = [
    "PerClass",
    "average_precision",
    "confusion_matrix",
    "divide",
    "mean_average_precision",
    "mean_of_defined",
    "number_or_none",
    "per_class",
    "top_k_accuracy",
]

Floats = npt.NDArray[np.float64]
Integers = npt.NDArray[np.int64]


@dataclass(frozen=True)
class PerClass:
    """Scores of each class, arrays of shape (classes,); `support` is the number of pictures of the class.

    Precision is NaN for a class that was never predicted, recall for one without pictures, F1 where both hold.
    """

    precision: Floats
    recall: Floats
    f1: Floats
    support: Integers

    def rows(self, class_names: tuple[str, ...] | list[str]) -> list[dict[str, str | int | float | None]]:
        """One JSON-ready dict a class; NaN, which JSON does not have, becomes None."""
        if len(class_names) != len(self.support):
            raise UsageError("Class names and scores do not match", got=len(class_names), expected=len(self.support))
        return [
            {
                "name": name,
                "precision": number_or_none(self.precision[i]),
                "recall": number_or_none(self.recall[i]),
                "f1": number_or_none(self.f1[i]),
                "support": int(self.support[i]),
            }
            for i, name in enumerate(class_names)
        ]


def top_k_accuracy(scores: npt.ArrayLike, labels: npt.ArrayLike, k: int = 1) -> float:
    """Share of pictures whose label is among the `k` highest scores; NaN for no pictures.

    Args:
        scores: (N, C), any monotone score: logits or probabilities.
        labels: (N,), integers in 0..C-1.
        k: at least 1; from C on, every picture whose own score is a number is right.

    Raises:
        UsageError: shapes that do not fit, a label outside the classes, or `k` below 1.
    """
    table, truth = _scores_and_labels(scores, labels)
    if k < 1:
        raise UsageError("top-k accuracy needs a positive k", got=k, expected="1 or more")
    if not len(truth):
        return float("nan")
    own = np.take_along_axis(table, truth[:, None], axis=1)
    # `~(x < own)` instead of `x >= own`: both are false for NaN, and NaN has to rank above.
    ahead = ~(table < own)
    ahead &= (table != own) | (np.arange(table.shape[1]) < truth[:, None])
    return float(np.mean(ahead.sum(axis=1) < min(k, table.shape[1])))


def confusion_matrix(labels: npt.ArrayLike, predicted: npt.ArrayLike, num_classes: int) -> Integers:
    """Counts of shape (num_classes, num_classes): row = true class, column = predicted class.

    Raises:
        UsageError: shapes that do not fit or a class outside 0..num_classes-1.
    """
    truth, guess = _classes(labels, num_classes, "label"), _classes(predicted, num_classes, "predicted class")
    if truth.shape != guess.shape:
        raise UsageError("Labels and predictions differ in number", got=f"{len(truth)} and {len(guess)}")
    counts = np.bincount(truth * num_classes + guess, minlength=num_classes**2)
    return counts.reshape(num_classes, num_classes).astype(np.int64)


def per_class(labels: npt.ArrayLike, predicted: npt.ArrayLike, num_classes: int) -> PerClass:
    """Precision, recall, F1 and support of each class, from labels and predicted classes, both of shape (N,)."""
    confusion = confusion_matrix(labels, predicted, num_classes)
    right = np.diagonal(confusion).astype(np.float64)
    support, guessed = confusion.sum(axis=1), confusion.sum(axis=0)
    return PerClass(
        precision=divide(right, guessed),
        recall=divide(right, support),
        f1=divide(2 * right, guessed + support),
        support=support,
    )


def average_precision(scores: npt.ArrayLike, targets: npt.ArrayLike) -> Floats:
    """Average precision of each class of a multi-label task: sum over thresholds of (recall gained) x precision.

    Not interpolated (the definition of TREC and scikit-learn, not of Pascal VOC 2007). Equal scores enter together.

    Args:
        scores: (N, C). A NaN is an answer that cannot be used: it raises.
        targets: (N, C), truthy where the picture shows the class; any number of classes a picture.

    Returns:
        (C,) with NaN for a class that no picture shows.
    """
    table, truth = np.asarray(scores, np.float64), np.asarray(targets).astype(bool)
    if table.ndim != 2 or table.shape != truth.shape:
        raise UsageError(
            "Multi-label scores and targets have to be two tables of the same shape",
            got=f"{table.shape} and {truth.shape}",
            expected="(pictures, classes) twice",
        )
    if np.isnan(table).any():
        raise UsageError("Average precision cannot rank scores that are NaN", got=f"{np.isnan(table).sum()} of them")
    return np.array([_average_precision(table[:, c], truth[:, c]) for c in range(table.shape[1])], np.float64)


def mean_average_precision(scores: npt.ArrayLike, targets: npt.ArrayLike) -> float:
    """Mean of `average_precision` over the classes that occur; NaN if none does."""
    return mean_of_defined(average_precision(scores, targets))


def mean_of_defined(values: npt.ArrayLike) -> float:
    """Mean of the entries that are not NaN; NaN if there are none. The macro average of a `PerClass` column."""
    array = np.asarray(values, np.float64)
    defined = array[~np.isnan(array)]
    return float(defined.mean()) if len(defined) else float("nan")


def _average_precision(scores: Floats, truth: npt.NDArray[np.bool_]) -> float:
    if not truth.any():
        return float("nan")
    order = np.argsort(-scores, kind="stable")
    ranked = scores[order]
    # The last position of each run of equal scores: a threshold cannot cut between equals.
    ends = np.flatnonzero(np.append(ranked[1:] != ranked[:-1], True))
    found = np.cumsum(truth[order])[ends].astype(np.float64)
    recall_gained = np.diff(found, prepend=0.0) / found[-1]
    return float(np.sum(recall_gained * found / (ends + 1)))


def _scores_and_labels(scores: npt.ArrayLike, labels: npt.ArrayLike) -> tuple[npt.NDArray[np.floating], Integers]:
    table = np.asarray(scores)
    if table.dtype.kind != "f":  # a table of 50,000 x 1,000 is not copied to make it wider
        table = table.astype(np.float64)
    if table.ndim != 2:
        raise UsageError("Scores have to be a table", got=f"shape {table.shape}", expected="(pictures, classes)")
    truth = _classes(labels, table.shape[1], "label")
    if len(truth) != len(table):
        raise UsageError("Scores and labels differ in number", got=f"{len(table)} and {len(truth)}")
    return table, truth


def _classes(values: npt.ArrayLike, num_classes: int, name: str) -> Integers:
    array = np.asarray(values)
    if array.ndim != 1:
        raise UsageError(f"Every picture has one {name}", got=f"shape {array.shape}", expected="(pictures,)")
    if array.size and array.dtype.kind not in "iu":
        raise UsageError(f"A {name} is a class index", got=f"{array.dtype} values", expected="integers")
    array = array.astype(np.int64)
    if array.size and (array.min() < 0 or array.max() >= num_classes):
        raise UsageError(
            f"A {name} is outside the classes",
            got=f"{array.min()} to {array.max()}",
            expected=f"0 to {num_classes - 1}",
        )
    return array


def divide(numerator: Floats, denominator: Integers) -> Floats:
    """Element by element; NaN where the denominator is 0."""
    out = np.full(numerator.shape, np.nan)
    np.divide(numerator, denominator, out=out, where=denominator > 0)
    return out


def number_or_none(value: float) -> float | None:
    """For JSON, which has no NaN."""
    return None if np.isnan(value) else float(value)
