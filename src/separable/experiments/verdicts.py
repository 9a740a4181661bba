"""What became of a claim, in a word and in a sentence."""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

import numpy as np

from separable.experiments.power import smallest_difference
from separable.experiments.results import ClaimResult, Verdict
from separable.experiments.schema import MEASURES, Claim
from separable.experiments.statistics import Difference, compare_paired, compare_seeds, compare_unpaired
from separable.experiments.wording import TIMED, difference_text, interval_text, size_text, sure_text, value_text

__all__ = ["Sample", "judge"]

_SAME = 1e-4
"""How near the mean of the pictures' scores has to be to a measure to be its parts: fp32 sums in another order are."""


@dataclass(frozen=True)
class Sample:
    """What is known of one arm in one measure.

    `values` are by seed (of a timing: by round; of an exact count there is one), `pictures` the scores of the held-out
    pictures by seed, in one order, which are paired where their mean is the value. `failed` says by seed why there
    is nothing.
    """

    values: Mapping[int, float] = field(default_factory=dict)
    pictures: Mapping[int, Sequence[float]] = field(default_factory=dict)
    failed: Mapping[int, str] = field(default_factory=dict)
    ensemble: bool = False
    """One value, of all seeds' networks together: it is set against each seed of the other arm."""

    @property
    def mean(self) -> float | None:
        """Over what there is."""
        return sum(self.values.values()) / len(self.values) if self.values else None


def judge(claim: Claim, left: Sample, right: Sample, published: float | None = None) -> ClaimResult:
    """Judge a claim.

    "holds" and "reversed" need the whole 95 % interval on one side; where the claim has a margin, beyond it, and for
    "same" inside or outside of it. With one seed an arm nothing is judged: the interval is of two networks then.

    Args:
        published: left minus right as printed.
    """
    if left.mean is None or right.mean is None:
        return _result(claim, published, None, "not measured", _nothing(claim, left, right))
    if _is_exact(claim):
        return _counted(claim, left.mean, right.mean, published)
    difference = _compare(claim.measure, left, right)
    if difference is None:
        return _result(claim, published, None, "not measured", "not measured here: the arms have no seed in common")
    verdict = _verdict(claim, difference)
    words = _sentence(claim, difference, verdict) + _left_out(claim, left, right)
    return _result(claim, published, difference, verdict, words)


def _compare(measure: str, left: Sample, right: Sample) -> Difference | None:
    """By picture where all seeds have them, else by seed; timings by rounds."""
    if measure in TIMED:
        return compare_unpaired(list(left.values.values()), list(right.values.values()))
    if left.ensemble != right.ensemble:
        left, right = (_spread_out(one, other) for one, other in ((left, right), (right, left)))
    seeds = [seed for seed in left.values if seed in right.values]
    if not seeds:
        return None
    first, second = ([_parts(side, seed) for seed in seeds] for side in (left, right))
    lengths = {None if one is None else len(one) for one in (*first, *second)}
    if len(lengths) == 1 and None not in lengths:
        return compare_paired(np.asarray(first, np.float64), np.asarray(second, np.float64))
    return compare_seeds([left.values[seed] for seed in seeds], [right.values[seed] for seed in seeds])


def _parts(side: Sample, seed: int) -> Sequence[float] | None:
    """The pictures' scores, if their mean is the value: a measure weighted by class, say, is something else."""
    scores, value = side.pictures.get(seed), side.values[seed]
    if scores is None or len(scores) < 2:
        return None
    return scores if abs(float(np.mean(scores)) - value) <= _SAME * max(1.0, abs(value)) else None


def _spread_out(one: Sample, other: Sample) -> Sample:
    """An ensemble's measurement as if every seed of `other` had it."""
    if not one.ensemble:
        return one
    value, pictures = next(iter(one.values.values())), next(iter(one.pictures.values()), None)
    rows = {} if pictures is None else dict.fromkeys(other.values, pictures)
    return Sample(dict.fromkeys(other.values, value), rows, one.failed)


def _verdict(claim: Claim, found: Difference) -> Verdict:
    if not found.known or (found.seeds < 2 and claim.measure not in TIMED):
        return "not seen"
    low, high, margin = found.low, found.high, claim.margin
    if claim.relation == "same":
        inside, outside = -margin <= low and high <= margin, low > margin or high < -margin
        return "holds" if inside else "reversed" if outside else "not seen"
    if claim.relation == "below":
        low, high = -high, -low
    return "holds" if low > margin else "reversed" if high < -margin else "not seen"


def _sentence(claim: Claim, found: Difference, verdict: Verdict) -> str:
    measure = claim.measure
    here = difference_text(measure, found.mean)
    if not found.known:
        why = "one measurement each" if found.seeds < 2 else "the same to the last digit every time"
        return f"not decided here: {here}; {why}, so how sure that is cannot be said"
    here = f"{here} ({interval_text(measure, (found.low, found.high))})"
    if found.seeds < 2 and measure not in TIMED:
        return f"not decided here: {here} between two networks; one seed each says nothing about others"
    if verdict == "holds":
        return f"holds here: {here}, {sure_text(_confidence(claim, found))}"
    if verdict == "reversed":
        turned = "not the same here" if claim.relation == "same" else "the other way round here"
        return f"{turned}: {here}, {sure_text(_confidence_in_reverse(claim, found))}"
    seen = size_text(measure, smallest_difference(found.error, found.degrees))
    if claim.relation == "same":
        margin = size_text(measure, claim.margin)
        return f"not decided here: {here}, neither within {margin} nor beyond for sure"
    return f"not seen here: {here}; a difference below {seen} would not have been seen"


def _confidence(claim: Claim, found: Difference) -> float:
    """One-sided, in the claimed direction; of "same" that the difference lies within the margin."""
    if claim.relation == "same":
        return max(0.0, found.sure_below(claim.margin) - found.sure_below(-claim.margin))
    return found.sure_above(claim.margin) if claim.relation == "above" else found.sure_below(-claim.margin)


def _confidence_in_reverse(claim: Claim, found: Difference) -> float:
    if claim.relation == "same":
        return 1 - _confidence(claim, found)
    return found.sure_below(-claim.margin) if claim.relation == "above" else found.sure_above(claim.margin)


def _is_exact(claim: Claim) -> bool:
    return claim.measure in MEASURES and MEASURES[claim.measure].exact


def _counted(claim: Claim, left: float, right: float, published: float | None) -> ClaimResult:
    """Counts have no interval: it is so, or it is not."""
    ours = left - right
    sides = {"above": ours > claim.margin, "below": ours < -claim.margin, "same": abs(ours) <= claim.margin}
    holds = sides[claim.relation]
    numbers = f"{value_text(claim.measure, left)} against {value_text(claim.measure, right)}"
    words = f"{'exactly so' if holds else 'not so'}: {numbers} {MEASURES[claim.measure].text}"
    found = Difference(ours, ours, ours, 0.0, math.inf, 1)
    return _result(claim, published, found, "exact" if holds else "reversed", words, float(holds))


def _nothing(claim: Claim, left: Sample, right: Sample) -> str:
    failed = [
        f"{name} failed with {_seeds(side.failed)} ({next(iter(side.failed.values())).rstrip('.')})"
        for name, side in ((claim.left, left), (claim.right, right))
        if side.failed and not side.values
    ]
    return f"not measured here: {' and '.join(failed)}" if failed else "not measured here"


def _left_out(claim: Claim, left: Sample, right: Sample) -> str:
    """Arms whose failures are not in the difference look better than they are."""
    parts = [
        f"{len(side.failed)} of {len(side.failed) + len(side.values)} trainings of {name} failed and are left out"
        for name, side in ((claim.left, left), (claim.right, right))
        if side.failed
    ]
    return f"; {'; '.join(parts)}" if parts else ""


def _seeds(failed: Mapping[int, str]) -> str:
    return f"seed{'s' if len(failed) > 1 else ''} {', '.join(map(str, failed))}"


def _result(
    claim: Claim,
    published: float | None,
    found: Difference | None,
    verdict: Verdict,
    sentence: str,
    confidence: float | None = None,
) -> ClaimResult:
    interval = None
    if found is not None and found.known:
        interval = (found.low, found.high)
        if confidence is None and (found.seeds > 1 or claim.measure in TIMED):
            confidence = _confidence(claim, found)
    return ClaimResult(
        text=claim.text,
        measure=claim.measure,
        left=claim.left,
        relation=claim.relation,
        right=claim.right,
        margin=claim.margin,
        published=published,
        ours=None if found is None else found.mean,
        interval=interval,
        confidence=confidence,
        verdict=verdict,
        sentence=sentence,
    )
