"""When to answer "I do not know": the smallest confidence above which the answers are right often enough."""

import math
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from separable.analysis.distributions import binomial_lower_bound, binomial_tail
from separable.errors import UsageError

__all__ = ["RejectRule", "confidence_pairs", "reject_threshold"]

Floats = npt.NDArray[np.float64]


@dataclass(frozen=True)
class RejectRule:
    """Answer where the confidence is at least `threshold`, else "I do not know"; None where no threshold will do.

    `accepted`, `right` and `bound` (the accuracy that holds with `certainty`) describe the pictures it was fitted on.
    """

    threshold: float | None
    target: float
    certainty: float
    accepted: int
    right: int
    bound: float
    reason: str | None


def reject_threshold(
    confidence: npt.ArrayLike, correct: npt.ArrayLike, target: float = 0.95, certainty: float = 0.95
) -> RejectRule:
    """The smallest threshold whose accepted pictures (confidence >= threshold) are right often enough, with certainty.

    Often enough: the one-sided Clopper-Pearson bound of their accuracy reaches `target`. Accepting every picture is
    the threshold 0. The certainty is that of one threshold; picking the smallest of many costs little, since they
    share their pictures (simulated: the true accuracy falls short in 0.5 to 5 % of fits at a certainty of 0.95).
    """
    if not (0 < target < 1 and 0 < certainty < 1):
        raise UsageError("Target and certainty lie strictly between 0 and 1", got=f"{target} and {certainty}")
    sure, right = confidence_pairs(confidence, correct)
    order = np.argsort(-sure, kind="stable")
    ranked, total = sure[order], np.cumsum(right[order]).astype(np.int64)
    # A threshold cannot separate equal confidences, so only the last of each run is a candidate.
    ends = np.flatnonzero(np.append(ranked[1:] != ranked[:-1], True)) if len(ranked) else np.zeros(0, np.int64)
    for end in ends[::-1]:
        accepted, hits = int(end) + 1, int(total[end])
        if hits < target * accepted or binomial_tail(hits, accepted, target) > 1 - certainty:
            continue
        threshold = 0.0 if accepted == len(ranked) else float(ranked[end])
        bound = binomial_lower_bound(hits, accepted, certainty)
        return RejectRule(threshold, target, certainty, accepted, hits, bound, None)
    return RejectRule(None, target, certainty, 0, 0, float("nan"), _why_not(len(ranked), target, certainty))


def confidence_pairs(confidence: npt.ArrayLike, correct: npt.ArrayLike) -> tuple[Floats, npt.NDArray[np.bool_]]:
    """Both as arrays of shape (N,), checked.

    Raises:
        UsageError: a confidence outside 0..1 or NaN, or series of different length.
    """
    sure, right = np.asarray(confidence, np.float64), np.asarray(correct).astype(bool)
    if sure.ndim != 1 or sure.shape != right.shape:
        raise UsageError("Every answer needs one confidence", got=f"shapes {sure.shape} and {right.shape}")
    if not ((sure >= 0) & (sure <= 1)).all():
        raise UsageError("A confidence lies between 0 and 1", got=f"{sure.min()} to {sure.max()}")
    return sure, right


def _why_not(n: int, target: float, certainty: float) -> str:
    needed = math.ceil(math.log(1 - certainty) / math.log(target))
    aim = f"{target:.0%} right with {certainty:.0%} certainty"
    if n < needed:
        return f"{n} pictures cannot show {aim}: even without a mistake it takes {needed}."
    return f"At no confidence are the accepted pictures {aim}."
