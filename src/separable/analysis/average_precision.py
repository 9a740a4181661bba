r"""Mean average precision at 100 over pictures with many labels, plain and weighted, from scores that come in batches.

1610.02357, section 4.1: on FastEval14k "we use Mean Average Precision for top 100 predictions (MAP@100), and we weight
the contribution of each class to MAP@100 with a score estimating how common (and therefore important) the class is
among social media images". It prints no formula and no weights; what follows is our reading.

Of one picture, with R the classes it shows, c_1, c_2, ... all classes by falling score (equal scores: the lower index
first), rel(k) = 1 where c_k is in R and else 0, and w(c) the weight of a class:

    P_w(k)    = sum_{j <= k} w(c_j) rel(j)  /  sum_{j <= k} w(c_j)
    AP_w@100  = sum_{k <= 100} w(c_k) rel(k) P_w(k)  /  W,    W = the sum of the 100 greatest w(c) of c in R

and the plain AP@100 is that with every weight 1: the mean, over the classes of R, of the precision where each is found,
0 for one that is not among the first 100. MAP@100 is the mean over pictures. What had to be decided:

* a picture of more than 100 classes: W has no more terms than there are places, min(|R|, 100) of them in the plain
  case. So a perfect order scores 1 whatever the number of classes;
* a picture without a class has no average precision (0 / 0): NaN, and the mean is over the others. So has one whose
  classes all weigh 0, in the weighted mean. While all the classes ranked so far weigh 0, P_w(k) is 0, not 0 / 0;
* only ratios of weights matter. By default a class weighs as many pictures as show it among those that are measured.

Class by class over pictures, as detection has it, is another figure: `metrics.average_precision`.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import final

import numpy as np
import numpy.typing as npt
import torch

from separable.analysis.metrics import mean_of_defined
from separable.errors import UsageError

__all__ = ["AveragePrecision", "MeanAveragePrecision", "top_classes"]

Floats = npt.NDArray[np.float64]
Scores = npt.NDArray[np.floating] | torch.Tensor
_ELEMENTS = 1 << 20
"""Scores that are ranked at once: 4 MB of them and what they turn into stay near the processor."""


@dataclass(frozen=True)
class AveragePrecision:
    """`mean` and `weighted_mean` are fractions over the pictures where they are defined, NaN where they nowhere are.

    `pictures` and `weighted_pictures`, (pictures,), are those of each one in the order they came in, NaN where
    undefined. `first_right` is the share of pictures with a class whose first answer is one of theirs.
    """

    pictures: Floats
    weighted_pictures: Floats
    first_right: float

    @property
    def mean(self) -> float:
        """MAP, every class alike."""
        return mean_of_defined(self.pictures)

    @property
    def weighted_mean(self) -> float:
        """MAP with weighted classes."""
        return mean_of_defined(self.weighted_pictures)


@dataclass(frozen=True)
class _Part:
    """Pictures that came in together: `ids` and `found`, (pictures, places), say which classes come first and whether
    the picture shows them; `indices` are the classes of all of them end to end, `counts` of them each."""

    ids: npt.NDArray[np.int32]
    found: npt.NDArray[np.bool_]
    indices: npt.NDArray[np.int32]
    counts: npt.NDArray[np.int64]


@final
class MeanAveragePrecision:
    """Takes scores in batches and keeps of each picture its first `most` classes, 5 bytes each, and its labels.

    What comes out does not depend on how the pictures are cut into batches, not in the last bit either.
    """

    def __init__(self, num_classes: int, *, most: int = 100) -> None:
        if num_classes < 1 or most < 1:
            raise UsageError("A ranking has classes and places", got=f"{num_classes} and {most}", expected="1 or more")
        self._num_classes, self._most = num_classes, most
        self._parts: list[_Part] = []

    def add(self, scores: Scores, indices: npt.ArrayLike, offsets: npt.ArrayLike) -> npt.NDArray[np.int32]:
        """Rank the classes of some pictures.

        Args:
            scores: (pictures, classes), any monotone score; infinite ones are legal.
            indices: the classes that the pictures show, end to end, none twice for a picture.
            offsets: (pictures + 1,); those of picture k are `indices[offsets[k]:offsets[k + 1]]`.

        Returns:
            (pictures, min(most, classes)): each picture's first classes, best first.

        Raises:
            UsageError: a score is NaN, shapes do not fit, or a label is no class or stands twice.
        """
        labels, ends = np.asarray(indices, np.int64), np.asarray(offsets, np.int64)
        counts = np.diff(ends)
        if scores.ndim != 2 or tuple(scores.shape) != (len(counts), self._num_classes):
            raise UsageError(
                "Scores and labels do not fit each other",
                got=f"scores {tuple(scores.shape)}, labels of {len(counts)} pictures",
                expected=f"(pictures, {self._num_classes})",
            )
        keys = self._keys(labels, ends, counts)
        ids = top_classes(scores, self._most)
        wanted = np.arange(len(ids))[:, None] * self._num_classes + ids
        found = keys[np.minimum(np.searchsorted(keys, wanted), len(keys) - 1)] == wanted
        self._parts.append(_Part(ids, found, labels.astype(np.int32), counts))
        return ids

    def result(self, weights: npt.ArrayLike | None = None) -> AveragePrecision:
        """Of all pictures so far.

        Args:
            weights: (classes,), none below 0; None for the number of pictures so far that show each class.

        Raises:
            UsageError: `weights` are not that.
        """
        given = self._frequencies() if weights is None else np.asarray(weights, np.float64)
        if given.shape != (self._num_classes,) or not (np.isfinite(given) & (given >= 0)).all():
            raise UsageError(
                "The weights of classes have to be numbers, 0 or more each",
                got=f"shape {given.shape}, {given.min(initial=0):g} to {given.max(initial=0):g}",
                expected=f"({self._num_classes},)",
            )
        alike = np.ones(self._num_classes)
        plain, weighted = ([self._scores(part, one) for part in self._parts] for one in (alike, given))
        right = [part.found[part.counts > 0, 0] for part in self._parts]
        return AveragePrecision(
            pictures=np.concatenate([np.zeros(0), *plain]),
            weighted_pictures=np.concatenate([np.zeros(0), *weighted]),
            first_right=mean_of_defined(np.concatenate([np.zeros(0), *right])),
        )

    def _keys(
        self, labels: npt.NDArray[np.int64], ends: npt.NDArray[np.int64], counts: npt.NDArray[np.int64]
    ) -> npt.NDArray[np.int64]:
        """Picture and class of each label as one number, ascending; one more at the end that nothing is equal to."""
        if len(ends) < 1 or ends[0] != 0 or ends[-1] != len(labels) or (counts < 0).any():
            raise UsageError("The offsets do not cut the labels into pictures", got=f"{len(labels)} labels")
        if len(labels) and not 0 <= labels.min() <= labels.max() < self._num_classes:
            got, expected = f"{labels.min()} to {labels.max()}", f"0 to {self._num_classes - 1}"
            raise UsageError("A label is outside the classes", got=got, expected=expected)
        keys = np.sort(np.repeat(np.arange(len(counts)), counts) * self._num_classes + labels)
        if (keys[1:] == keys[:-1]).any():
            raise UsageError("A picture has a label twice", expected="each class once")
        return np.append(keys, -1 if not len(keys) else keys[-1] + self._num_classes * (len(counts) + 1))

    def _frequencies(self) -> Floats:
        totals = np.zeros(self._num_classes)
        for part in self._parts:
            totals += np.bincount(part.indices, minlength=self._num_classes)
        return totals

    def _scores(self, part: _Part, weights: Floats) -> Floats:
        """AP_w of each picture, as the module defines it."""
        ranked = weights[part.ids]
        gained = ranked * part.found
        passed = np.cumsum(ranked, axis=1)
        precision = np.divide(np.cumsum(gained, axis=1), passed, out=np.zeros_like(passed), where=passed > 0)
        whole = self._attainable(part, weights)
        undefined = np.full(len(whole), np.nan)
        scores: Floats = np.divide((gained * precision).sum(axis=1), whole, out=undefined, where=whole > 0)
        return scores

    def _attainable(self, part: _Part, weights: Floats) -> Floats:
        """W: what a perfect order gains."""
        own = weights[part.indices]
        rows = np.repeat(np.arange(len(part.counts)), part.counts)
        whole = np.bincount(rows, own, minlength=len(part.counts)).astype(np.float64)
        starts = np.cumsum(part.counts) - part.counts
        for row in np.flatnonzero(part.counts > self._most):
            start = starts[row]
            whole[row] = np.sort(own[start : start + part.counts[row]])[-self._most :].sum()
        return whole


def top_classes(scores: Scores, most: int = 100) -> npt.NDArray[np.int32]:
    """Each picture's first classes, best first; of equal scores the lower index comes first.

    By a threshold, the score of the last place, as `numpy.partition` finds it: that makes ties plain, costs about what
    `numpy.argpartition` does and half of `torch.topk`, which leave open who wins them
    (benchmarks/mean_average_precision.py).

    Args:
        scores: (pictures, classes).
        most: places; at most as many as there are classes are filled.

    Returns:
        (pictures, min(most, classes)) int32.

    Raises:
        UsageError: a score is NaN.
    """
    if isinstance(scores, torch.Tensor):
        # numpy has no bfloat16; in float32 and float64 the order is the same.
        scores = scores.detach().to(torch.promote_types(scores.dtype, torch.float32)).cpu().numpy()
    elif scores.dtype.kind != "f":
        scores = scores.astype(np.float64)
    classes = scores.shape[1]
    places = min(most, classes)
    parts = [_top(rows, places) for rows in _in_parts(scores, max(1, _ELEMENTS // max(1, classes)))]
    return np.concatenate([np.zeros((0, places), np.int32), *parts])


def _in_parts(scores: npt.NDArray[np.floating], rows: int) -> Iterator[npt.NDArray[np.floating]]:
    for start in range(0, len(scores), rows):
        yield np.ascontiguousarray(scores[start : start + rows])


def _top(scores: npt.NDArray[np.floating], places: int) -> npt.NDArray[np.int32]:
    pictures, classes = scores.shape
    ordered = np.partition(scores, classes - places, axis=1)[:, classes - places :]
    if np.isnan(ordered).any():  # numpy sorts NaN above every number
        raise UsageError(
            "Scores that are NaN cannot be ranked",
            got=f"one or more for {np.isnan(scores).any(axis=1).sum()} of {pictures} pictures",
        )
    last = ordered[:, :1]
    flat = np.flatnonzero(scores >= last)
    rows = flat // classes
    values = scores.ravel()[flat]
    if len(flat) > pictures * places:  # ties for the last place: the lower indices get it
        ties = values == last[rows, 0]
        above = np.bincount(rows[~ties], minlength=pictures)
        before = np.cumsum(ties) - ties
        before -= before[np.searchsorted(rows, np.arange(pictures))][rows]
        kept = ~ties | (before < (places - above)[rows])
        flat, values = flat[kept], values[kept]
    ids, values = flat.reshape(pictures, places) % classes, values.reshape(pictures, places)
    order = np.argsort(-values, axis=1, kind="stable")
    return np.take_along_axis(ids, order, axis=1).astype(np.int32)
