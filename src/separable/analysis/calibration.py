"""Does a confidence of 0.9 mean nine in ten right? Measured, and mended by one temperature.

Calibration error and temperature after Guo et al., "On Calibration of Modern Neural Networks", arXiv:1706.04599.
`calibrate` fits on one half of the pictures and scores on the other, so that no number is judged on what chose it.
"""

import math
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from separable.analysis.rejection import RejectRule, confidence_pairs, reject_threshold
from separable.data.order import shuffled
from separable.errors import UsageError

__all__ = [
    "Calibration",
    "ConfidenceBin",
    "apply_temperature",
    "calibrate",
    "expected_calibration_error",
    "fit_temperature",
    "reliability_bins",
]

Floats = npt.NDArray[np.float64]

_COLDEST, _HOTTEST = 0.05, 20.0
_SMALLEST_PROBABILITY = 1e-30
FEWEST_TO_FIT = 100
"""Pictures that a temperature is fitted on at least: the mistakes among them decide it, and they are few. Simulated
for a network that is 97 % right and whose confidences need no correction, the fit lies between 0.8 and 1.25 in 78 % of
600 draws of 100 pictures, in 31 % of 25, and in 10 % of 12."""


@dataclass(frozen=True)
class ConfidenceBin:
    """Pictures whose confidence lies in (low, high]; the means are NaN where `count` is 0."""

    low: float
    high: float
    confidence: float
    accuracy: float
    count: int


@dataclass(frozen=True)
class Calibration:
    """What `calibrate` found. `ece` and `bins` describe the probabilities as given, over every picture.

    `temperature` and `reject` come from the fitting half; `ece_held` (before the temperature), `ece_scaled` (after it),
    `coverage` (share of pictures that are answered) and `accepted_accuracy` from the other half, which fitted nothing.
    The threshold is compared with the confidence after the temperature. NaN where there was nothing to measure.
    `uncorrected` says why the temperature is 1, where it was not simply fitted.
    """

    n: int
    left_out: int
    ece: float
    bins: tuple[ConfidenceBin, ...]
    temperature: float
    ece_scaled: float
    reject: RejectRule
    coverage: float
    accepted_accuracy: float
    held_out: int
    ece_held: float
    uncorrected: str | None

    def to_json(self) -> dict[str, object]:
        """The `calibration` entry of `evaluation.json`; NaN, which JSON does not have, becomes None."""
        numbers = {
            "ece": self.ece,
            "temperature": self.temperature,
            "ece_before_temperature": self.ece_held,
            "ece_after_temperature": self.ece_scaled,
            "reject_threshold": self.reject.threshold,
            "reject_target": self.reject.target,
            "reject_certainty": self.reject.certainty,
            "reject_bound": self.reject.bound,
            "reject_coverage": self.coverage,
            "reject_accuracy": self.accepted_accuracy,
        }
        return {
            "n": self.n,
            "left_out": self.left_out,
            "held_out": self.held_out,
            **{name: _number(value) for name, value in numbers.items()},
            "temperature_reason": self.uncorrected,
            "reject_reason": self.reject.reason,
            "bins": [{key: _number(value) for key, value in vars(one).items()} for one in self.bins],
        }


def reliability_bins(confidence: npt.ArrayLike, correct: npt.ArrayLike, bins: int = 15) -> tuple[ConfidenceBin, ...]:
    """Equal-width bins over (0, 1], each closed at its upper end (section 2 of the paper); 0 joins the first.

    Args:
        confidence: (N,), in 0..1.
        correct: (N,), truthy where the answer was right.
        bins: how many.

    Raises:
        UsageError: a confidence outside 0..1 or NaN, or series of different length.
    """
    sure, right = confidence_pairs(confidence, correct)
    if bins < 1:
        raise UsageError("A reliability diagram needs bins", got=bins, expected="1 or more")
    edges = np.arange(bins + 1) / bins
    place = np.clip(np.searchsorted(edges, sure, side="left") - 1, 0, bins - 1)
    count = np.bincount(place, minlength=bins)
    with np.errstate(invalid="ignore"):
        mean_sure = np.bincount(place, weights=sure, minlength=bins) / count
        mean_right = np.bincount(place, weights=right, minlength=bins) / count
    return tuple(
        ConfidenceBin(float(edges[b]), float(edges[b + 1]), float(mean_sure[b]), float(mean_right[b]), int(count[b]))
        for b in range(bins)
    )


def expected_calibration_error(confidence: npt.ArrayLike, correct: npt.ArrayLike, bins: int = 15) -> float:
    """Mean over pictures of |accuracy - confidence| of their bin (equation 3 of the paper); NaN for no pictures."""
    filled = [one for one in reliability_bins(confidence, correct, bins) if one.count]
    total = sum(one.count for one in filled)
    return sum(one.count * abs(one.accuracy - one.confidence) for one in filled) / total if total else float("nan")


def fit_temperature(logits: npt.ArrayLike, labels: npt.ArrayLike) -> float:
    """The T that minimises the mean of -log softmax(logits / T)[label]; logarithms of probabilities serve as logits.

    The loss is convex in 1/T, so its slope has one zero, found by Newton steps kept inside a shrinking bracket. Where
    every answer is right the loss falls for ever as T falls; the result stays within 0.05 to 20. 1.0 for no pictures.

    Args:
        logits: (N, C), finite.
        labels: (N,), integers in 0..C-1.
    """
    scores, truth = np.asarray(logits, np.float64), np.asarray(labels, np.int64)
    if scores.ndim != 2 or truth.shape != scores.shape[:1]:
        raise UsageError("Logits and labels do not fit", got=f"shapes {scores.shape} and {truth.shape}")
    if not len(truth):
        return 1.0
    if not np.isfinite(scores).all():
        raise UsageError("A temperature cannot be fitted to logits that are infinite or NaN")
    own = np.take_along_axis(scores, truth[:, None], axis=1)[:, 0]
    low, high = 1 / _HOTTEST, 1 / _COLDEST
    inverse = 1.0
    for _ in range(100):
        slope, curvature = _slope(scores, own, inverse)
        low, high = (low, inverse) if slope > 0 else (inverse, high)
        following = inverse - slope / curvature if curvature > 0 else math.inf
        if not low < following < high:
            following = (low + high) / 2
        if abs(following - inverse) <= 1e-12 * inverse:
            break
        inverse = following
    return float(1 / inverse)


def apply_temperature(probabilities: npt.ArrayLike, temperature: float) -> Floats:
    """softmax(log(probabilities) / temperature), (N, C) in float64; the order of the classes stays."""
    if not temperature > 0:
        raise UsageError("A temperature is positive", got=temperature)
    return _softmax(_logarithm(probabilities) / temperature)


def calibrate(
    probabilities: npt.ArrayLike,
    labels: npt.ArrayLike,
    *,
    target: float = 0.95,
    certainty: float = 0.95,
    bins: int = 15,
    seed: int = 0,
) -> Calibration:
    """Measure calibration, fit temperature and reject threshold on a keyed half, and score both on the other half.

    The temperature stays 1 where it could not be fitted (fewer than 100 pictures in the half, or a loss that falls for
    ever) and where it does not lower the loss of the other half: that yes or no is all that the other half decides.

    Args:
        probabilities: (N, C) softmax outputs. Pictures with a NaN or infinity are left out and counted.
        labels: (N,), integers in 0..C-1.
        target, certainty: see `reject_threshold`.
        bins: see `reliability_bins`.
        seed: chooses the halves; the same seed and N give the same halves on every machine.
    """
    table, truth = np.asarray(probabilities, np.float64), np.asarray(labels, np.int64)
    if table.ndim != 2 or truth.shape != table.shape[:1]:
        raise UsageError("Probabilities and labels do not fit", got=f"shapes {table.shape} and {truth.shape}")
    finite = np.isfinite(table).all(axis=1)
    table, truth = table[finite], truth[finite]
    n = len(truth)
    sure, right = _answers(table, truth)
    order = shuffled(n, seed, epoch=0) if n else np.zeros(0, np.int64)
    fitting, held = order[: (n + 1) // 2], order[(n + 1) // 2 :]
    temperature, uncorrected = _trusted_temperature(_logarithm(table), truth, fitting, held)
    rule = reject_threshold(
        *_answers(apply_temperature(table[fitting], temperature), truth[fitting]), target, certainty
    )
    held_sure, held_right = _answers(apply_temperature(table[held], temperature), truth[held])
    accepted = held_sure >= (math.inf if rule.threshold is None else rule.threshold)
    return Calibration(
        n=n,
        left_out=int((~finite).sum()),
        ece=expected_calibration_error(sure, right, bins),
        bins=reliability_bins(sure, right, bins),
        temperature=temperature,
        ece_scaled=expected_calibration_error(held_sure, held_right, bins),
        reject=rule,
        coverage=float(accepted.mean()) if len(held) else float("nan"),
        accepted_accuracy=float(held_right[accepted].mean()) if accepted.any() else float("nan"),
        held_out=len(held),
        ece_held=expected_calibration_error(sure[held], right[held], bins),
        uncorrected=uncorrected,
    )


def _trusted_temperature(
    logits: Floats, labels: npt.NDArray[np.int64], fitting: npt.NDArray[np.int64], held: npt.NDArray[np.int64]
) -> tuple[float, str | None]:
    """The fitted temperature; or 1 and why."""
    if len(fitting) < FEWEST_TO_FIT:
        return 1.0, f"{len(fitting)} pictures to fit a correction on are too few: it takes {FEWEST_TO_FIT}."
    fitted = fit_temperature(logits[fitting], labels[fitting])
    if not 1.01 * _COLDEST < fitted < _HOTTEST / 1.01:
        return 1.0, "The pictures to fit a correction on ask for an endless one."
    before, after = (_loss(logits[held] / t, labels[held]) for t in (1.0, fitted))
    if not after < before:
        return 1.0, "The fitted correction did not help on the pictures that it was not fitted on."
    return fitted, None


def _loss(logits: Floats, labels: npt.NDArray[np.int64]) -> float:
    """Mean of -log softmax(logits)[label]."""
    own = np.take_along_axis(logits, labels[:, None], axis=1)[:, 0]
    return float((np.logaddexp.reduce(logits, axis=1) - own).mean())


def _slope(scores: Floats, own: Floats, inverse: float) -> tuple[float, float]:
    """First and second derivative of the loss by 1/T: the mean expected score minus the label's, and its variance."""
    share = _softmax(scores * inverse)
    expected = (share * scores).sum(axis=1)
    spread = (share * (scores - expected[:, None]) ** 2).sum(axis=1)
    return float((expected - own).mean()), float(spread.mean())


def _softmax(logits: Floats) -> Floats:
    powers: Floats = np.exp(logits - logits.max(axis=1, keepdims=True, initial=-math.inf))
    powers /= powers.sum(axis=1, keepdims=True)
    return powers


def _logarithm(probabilities: npt.ArrayLike) -> Floats:
    # A softmax in fp32 underflows to 0 at 1e-45; the floor keeps such a class possible, as its logit would.
    logs: Floats = np.log(np.maximum(np.asarray(probabilities, np.float64), _SMALLEST_PROBABILITY))
    return logs


def _answers(probabilities: Floats, labels: npt.NDArray[np.int64]) -> tuple[Floats, npt.NDArray[np.bool_]]:
    if not len(labels):
        return np.zeros(0), np.zeros(0, bool)
    return np.minimum(probabilities.max(axis=1), 1.0), probabilities.argmax(axis=1) == labels


def _number(value: float | int | None) -> float | int | None:
    return None if value is None or math.isnan(value) else value
