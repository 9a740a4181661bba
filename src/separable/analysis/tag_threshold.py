"""From which probability on a tag should be given: the threshold at which answers and labels agree most.

Of all tags given on a set of pictures, precision is the share that are labels, recall the share of all labels that are
given, and F1 their harmonic mean, counted over all pictures together (micro-averaged; Manning, Raghavan and Schuetze,
"Introduction to Information Retrieval", sections 8.3 and 13.6). Few of thousands of classes are on any picture, so the
probabilities of a network that has learnt that stay low, and 0.5 is a poor threshold for most.
"""

from dataclasses import asdict, dataclass

import numpy as np
import numpy.typing as npt

from separable.errors import UsageError

__all__ = ["TagThreshold", "best_threshold"]


@dataclass(frozen=True)
class TagThreshold:
    """Tags of the probability `threshold` or more, and what they come to on the pictures that it was chosen on."""

    threshold: float
    precision: float
    recall: float
    f1: float

    def to_json(self) -> dict[str, float]:
        """By name."""
        return asdict(self)


def best_threshold(
    probabilities: npt.NDArray[np.floating], right: npt.NDArray[np.bool_], labels: int
) -> TagThreshold | None:
    """The threshold of the highest F1, of several the highest: half way to the next lower probability, so that rounding
    changes no answer. None where no label is among the answers, or a probability is NaN.

    Args:
        probabilities: (pictures, answers), such as those of each picture's first 100 classes.
        right: likewise, whether the answer is one of the picture's labels.
        labels: of all pictures together, also those that are among no answers.

    Raises:
        UsageError: shapes that do not fit, or more right answers than labels.
    """
    if probabilities.shape != right.shape or int(right.sum()) > labels:
        raise UsageError(
            "Answers and labels do not fit each other",
            got=f"probabilities {probabilities.shape}, {int(right.sum())} right of {right.shape}, {labels} labels",
        )
    values, hits = probabilities.ravel().astype(np.float64), right.ravel()
    if not hits.any() or np.isnan(values).any():
        return None
    order = np.argsort(-values, kind="stable")
    values, found = values[order], np.cumsum(hits[order])
    given = np.arange(1, len(values) + 1)
    # Equal probabilities are given together: a threshold can only lie behind the last of them.
    ends = np.append(values[1:] < values[:-1], True)
    f1 = np.where(ends, 2 * found / (given + labels), -1.0)
    last = int(f1.argmax())
    below = values[last + 1] if last + 1 < len(values) else 0.0
    count = int(found[last])
    return TagThreshold(float((values[last] + below) / 2), count / int(given[last]), count / labels, float(f1[last]))
