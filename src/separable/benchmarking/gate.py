"""No speed without the right answer: how far a contestant's numbers may be from fp64 before anything is timed."""

import math
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np

from separable.benchmarking.contest import Answer

__all__ = ["Verdict", "distance", "judge"]

_ALLOWED = 2.0
"""Times plain torch's own error in the same precision: docs/numerics.md."""
_LEAST = 2e-5
"""Relative. Two fp32 implementations of one network differ by this much though both are right; in bf16 torch's own
error is a hundred times larger, and this says nothing."""
_LOSS = {"fp32": 1e-4, "bf16": 1e-2}
"""Relative, of the loss: one number, which plain torch may hit by luck."""
_ONE = 10.0
"""Times plain torch's own error for the gradient of one single parameter, which may be a few numbers."""
_ONE_MOST = {"fp32": 0.05, "bf16": 0.9}
"""Relative, what `_ONE` may come to."""
_LOST = 0.9
"""A gradient this far from the truth, relative, is another one, however large torch's own error."""
_SHARE, _LARGEST_SHARE = {"fp32": 0.02, "bf16": 0.03}, 0.2
"""How far the share of the truth in a gradient may be from torch's own and from 1: at least the first, more where
torch's noise brings more, and never more than the second. Noise as large as bf16's hides a gradient that is a quarter
too short from every distance, but not from its projection, in which noise cancels out. Measured against plain torch of
the same batch, layout and precision: up to 0.001 in fp32, 0.008 in bf16 where torch is 0.1 off, 0.03 where 0.25."""
_DEVIATIONS, _COMMON = 4.0, 0.25
"""What noise brings: so many deviations of its projection if each number had its own (of some hundred parameters one is
beyond three by chance), and this part of its length, as numbers also have noise in common: a residual's gradient
reaches every block below."""
_NOTHING = 1e-10
"""Of the length of everything: what ought to be 0, as the gradient of a bias before batch normalisation."""


@dataclass(frozen=True)
class Verdict:
    """What the gate found; `error` and `yardstick` (plain torch's) are distances from fp64 relative to its length."""

    passed: bool
    error: float
    yardstick: float
    reason: str = ""

    def to_json(self) -> dict[str, Any]:
        """The fields; a number that is none is null."""
        return {name: _number(value) for name, value in asdict(self).items()}

    @classmethod
    def from_json(cls, stored: dict[str, Any]) -> "Verdict":
        """What `to_json` made."""
        numbers = {name: math.nan if stored[name] is None else stored[name] for name in ("error", "yardstick")}
        return cls(passed=stored["passed"], reason=stored["reason"], **numbers)


def judge(
    answer: Answer,
    truth: Answer,
    yardstick: Answer,
    precision: str,
    demanded: Sequence[str] = (),
    least: float = _LEAST,
) -> Verdict:
    """Whether `answer` is right, as far as one can ask in its precision.

    Args:
        answer: of the contestant; parts of the truth may be missing.
        truth: in fp64.
        yardstick: plain torch's, in the precision of the contestant.
        demanded: parts that may not be missing.
        least: relative error that is allowed however small plain torch's own is.
    """
    missing = [name for name in demanded if name not in answer]
    strange = sorted(set(answer) - set(truth))
    if missing or strange or not answer:
        named = f"without {', '.join(missing)}" if missing else f"with {', '.join(strange[:3]) or 'nothing'}"
        return Verdict(False, math.nan, math.nan, f"the answer came {named}")
    for name, value in answer.items():
        if value.shape != truth[name].shape:
            return Verdict(False, math.nan, math.nan, f"{name} has shape {value.shape}, not {truth[name].shape}")
        if not np.isfinite(value).all():
            return Verdict(False, math.nan, math.nan, f"{name} has numbers that are not finite")
    arrays = [name for name in answer if name != "loss"]
    error, own = (distance(given, truth, arrays) for given in (answer, yardstick))
    limit = max(_ALLOWED * own, least)
    if error > limit:
        return Verdict(False, error, own, f"{error:.2g} from fp64, where {limit:.2g} is allowed (torch: {own:.2g})")
    reason = _wrong_loss(answer, truth, yardstick, precision)
    reason = reason or _lost_part(answer, truth, yardstick, precision, max(own, least))
    return Verdict(not reason, error, own, reason)


def distance(answer: Answer, truth: Answer, names: Sequence[str]) -> float:
    """Length of the difference of all `names` together, over the length of the truth; 0 for no names."""
    apart = sum(float(np.square(answer[name].astype(np.float64) - truth[name]).sum()) for name in names)
    length = sum(float(np.square(truth[name].astype(np.float64)).sum()) for name in names)
    return math.sqrt(apart / length) if length else math.sqrt(apart)


def _wrong_loss(answer: Answer, truth: Answer, yardstick: Answer, precision: str) -> str:
    if "loss" not in answer:
        return ""
    error, own = (distance(given, truth, ["loss"]) for given in (answer, yardstick))
    limit = max(_ALLOWED * own, _LOSS.get(precision, _LOSS["bf16"]))
    return "" if error <= limit else f"the loss is {error:.2g} from fp64's, where {limit:.2g} is allowed"


def _lost_part(answer: Answer, truth: Answer, yardstick: Answer, precision: str, whole: float) -> str:
    """Small parts drown in the length of the whole: each is looked at by itself, with more room.

    Torch's own error of a part may be small by luck: a ReLU that flips spoils one part and not another. So the error of
    the whole, `whole`, counts as well.
    """
    everything = math.sqrt(sum(float(np.square(truth[name]).sum()) for name in answer if name != "loss"))
    for name in answer:
        if name == "loss" or np.linalg.norm(truth[name]) <= _NOTHING * everything:
            continue
        error, own = (distance(given, truth, [name]) for given in (answer, yardstick))
        room = min(_ONE * max(own, whole), _ONE_MOST.get(precision, _LOST))
        limit = min(max(_ALLOWED * own, room), _LOST)
        if error > limit:
            lost = "; the precision itself loses it on so small pictures" if own > _LOST else ""
            return f"{name} is {error:.2g} from fp64, where {limit:.2g} is allowed (torch: {own:.2g}){lost}"
        share, torchs = (_share(given[name], truth[name]) for given in (answer, yardstick))
        least = _SHARE.get(precision, _SHARE["bf16"])
        noise = own * max(_COMMON, _DEVIATIONS / math.sqrt(truth[name].size))
        room = min(max(least, noise), _LARGEST_SHARE)
        low, high = min(1.0, torchs) - room, max(1.0, torchs) + room
        if not low <= share <= high:
            return f"{name} holds {share:.2f} of fp64's, where {low:.2f} to {high:.2f} is allowed (torch: {torchs:.2f})"
    return ""


def _share(value: np.ndarray, truth: np.ndarray) -> float:
    """How many times the truth is in it: 1 for the truth and whatever noise is at right angles to it."""
    exact = truth.astype(np.float64)
    return float((value * exact).sum() / np.square(exact).sum())


def _number(value: Any) -> Any:
    return None if isinstance(value, float) and not math.isfinite(value) else value
