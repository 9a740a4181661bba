"""What became of a claim, in a word and in a sentence."""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace

import numpy as np

from separable.experiments.learnt import at_chance, why_not_judged
from separable.experiments.power import smallest_difference
from separable.experiments.results import ClaimResult, Verdict
from separable.experiments.schema import MEASURES, Claim
from separable.experiments.statistics import Difference, compare_paired, compare_seeds, compare_unpaired, holm
from separable.experiments.wording import (
    TIMED,
    difference_text,
    interval_text,
    seen_text,
    size_text,
    sure_text,
    value_text,
)

__all__ = ["Sample", "judge", "marked"]

_LEVEL = 0.05
_EARLY = ("early_top1",)
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
    """One value, of all seeds' networks together."""
    chance: float | None = None
    """The share that is right without a look at the pictures, where it is known."""

    @property
    def mean(self) -> float | None:
        """Over what there is."""
        return sum(self.values.values()) / len(self.values) if self.values else None


def judge(claim: Claim, left: Sample, right: Sample, published: float | None = None) -> ClaimResult:
    """Judge a claim.

    "holds" and "reversed" need the whole 95 % interval on one side; where the claim has a margin, beyond it, and for
    "same" inside or outside of it. With one seed an arm nothing is judged: the interval is of two networks then. Nor
    is where an arm did not train (`experiments.learnt`), except after a quarter of the epochs: that one of two arms
    has not begun to learn by then is what such a claim is about, and is said.

    Args:
        published: left minus right as printed.
    """
    if left.mean is None or right.mean is None:
        return _result(claim, published, None, "not measured", _nothing(claim, left, right))
    if _is_exact(claim):
        return _counted(claim, left.mean, right.mean, published)
    together = left.ensemble != right.ensemble
    difference = _against_ensemble(left, right) if together else _compare(claim.measure, left, right)
    if difference is None:
        return _result(claim, published, None, "not measured", "not measured here: the arms have no seed in common")
    doubts = _doubts(claim, left, right)
    if doubts:
        here = difference_text(claim.measure, difference.mean)
        words = f"not judged: {doubts} (the difference of the means is {here})" + _left_out(claim, left, right)
        return _result(claim, published, difference, "not judged", words)
    many = together or difference.seeds > 1 or claim.measure in TIMED
    verdict = _verdict(claim, difference, many)
    words = _sentence(claim, difference, verdict, many)
    if together:
        words += "; of this one ensemble and these networks, other seeds are not judged"
    words += _late(claim, left, right) + _left_out(claim, left, right)
    return _result(claim, published, difference, verdict, words, many)


def marked(claims: Sequence[ClaimResult]) -> tuple[ClaimResult, ...]:
    """Claims of one experiment, of which those that "hold" or are "reversed" by themselves alone say so.

    Each verdict is at 5 % for its own claim. By Holm's correction over all that were tested, those without a remark
    are right together in 95 % of the cases.
    """
    tested = [place for place, claim in enumerate(claims) if claim.p_value is not None]
    corrected = dict(zip(tested, holm([claims[place].p_value or 0.0 for place in tested]), strict=True))
    remark = f"; by itself: not after Holm's correction for the {len(tested)} claims tested here"
    return tuple(
        replace(claim, sentence=claim.sentence + remark)
        if claim.verdict in ("holds", "reversed") and corrected.get(place, 0.0) > _LEVEL
        else claim
        for place, claim in enumerate(claims)
    )


def _compare(measure: str, left: Sample, right: Sample) -> Difference | None:
    """By picture where all seeds have them, else by seed; timings by round, in which the arms took turns."""
    if measure in TIMED:
        ours, theirs = list(left.values.values()), list(right.values.values())
        return compare_seeds(ours, theirs) if len(ours) == len(theirs) else compare_unpaired(ours, theirs)
    seeds = [seed for seed in left.values if seed in right.values]
    if not seeds:
        return None
    first, second = ([_parts(side, seed) for seed in seeds] for side in (left, right))
    lengths = {None if one is None else len(one) for one in (*first, *second)}
    if len(lengths) == 1 and None not in lengths:
        return compare_paired(np.asarray(first, np.float64), np.asarray(second, np.float64))
    return compare_seeds([left.values[seed] for seed in seeds], [right.values[seed] for seed in seeds])


def _against_ensemble(left: Sample, right: Sample) -> Difference:
    """The networks' mean against their ensemble, over the pictures alone.

    One ensemble is one draw, however many single networks it is set against: its value repeated for each of them would
    be taken for as many. So this says nothing about other trainings.
    """
    rows = [[_parts(side, seed) for seed in side.values] for side in (left, right)]
    lengths = {None if one is None else len(one) for side in rows for one in side}
    if len(lengths) == 1 and None not in lengths:
        first, second = (np.asarray(side, np.float64).mean(0, keepdims=True) for side in rows)
        return compare_paired(first, second)
    return compare_seeds([left.mean or 0.0], [right.mean or 0.0])


def _doubts(claim: Claim, left: Sample, right: Sample) -> str:
    """Why a claim is not judged, if it is not."""
    sides = ((claim.left, left), (claim.right, right))
    if claim.measure in _EARLY:
        late = [name for name, side in sides if _is_late(claim.measure, side)]
        return "neither had begun to learn by then" if len(late) == len(sides) else ""
    said = [why_not_judged(name, claim.measure, side.values, side.chance, _pictures(side)) for name, side in sides]
    return "; ".join(one for one in said if one)


def _late(claim: Claim, left: Sample, right: Sample) -> str:
    """Who had not begun to learn when a quarter was over."""
    if claim.measure not in _EARLY:
        return ""
    late = [(name, side) for name, side in ((claim.left, left), (claim.right, right))
            if _is_late(claim.measure, side)]  # fmt: skip
    return "".join(
        f"; {name} had not begun to learn by then ({value_text(claim.measure, side.mean, unit=True)}, chance is "
        f"{value_text(claim.measure, side.chance, unit=True)})"
        for name, side in late
    )


def _is_late(measure: str, side: Sample) -> bool:
    return side.mean is not None and bool(at_chance(measure, {0: side.mean}, side.chance, _pictures(side)))


def _pictures(side: Sample) -> int:
    return min((len(scores) for scores in side.pictures.values()), default=0)


def _parts(side: Sample, seed: int) -> Sequence[float] | None:
    """The pictures' scores, if their mean is the value: a measure weighted by class, say, is something else."""
    scores, value = side.pictures.get(seed), side.values[seed]
    if scores is None or len(scores) < 2:
        return None
    return scores if abs(float(np.mean(scores)) - value) <= _SAME * max(1.0, abs(value)) else None


def _verdict(claim: Claim, found: Difference, many: bool) -> Verdict:
    if not found.known or not many:
        return "not seen"
    low, high, margin = found.low, found.high, claim.margin
    if claim.relation == "same":
        inside, outside = -margin <= low and high <= margin, low > margin or high < -margin
        return "holds" if inside else "reversed" if outside else "not seen"
    if claim.relation == "below":
        low, high = -high, -low
    return "holds" if low > margin else "reversed" if high < -margin else "not seen"


def _sentence(claim: Claim, found: Difference, verdict: Verdict, many: bool) -> str:
    measure = claim.measure
    here = difference_text(measure, found.mean)
    if not found.known:
        why = "one measurement each" if found.seeds < 2 else "the same to the last digit every time"
        return f"not decided here: {here}; {why}, so how sure that is cannot be said"
    rounds = f" over {found.seeds} rounds of one process" if measure in TIMED else ""
    here = f"{here} ({interval_text(measure, (found.low, found.high))}{rounds})"
    if not many:
        return f"not decided here: {here} between two networks; one seed each says nothing about others"
    if verdict == "holds":
        return f"holds here: {here}, {sure_text(_confidence(claim, found))}"
    if verdict == "reversed":
        turned = "not the same here" if claim.relation == "same" else "the other way round here"
        return f"{turned}: {here}, {sure_text(_confidence_in_reverse(claim, found))}"
    if claim.relation == "same":
        margin = size_text(measure, claim.margin)
        return f"not decided here: {here}, neither within {margin} nor beyond for sure"
    return f"not seen here: {here}; {seen_text(measure, smallest_difference(found.error, found.degrees))}"


def _confidence(claim: Claim, found: Difference) -> float:
    """One-sided, in the claimed direction; of "same" that the difference lies within the margin."""
    if claim.relation == "same":
        return max(0.0, found.sure_below(claim.margin) - found.sure_below(-claim.margin))
    return found.sure_above(claim.margin) if claim.relation == "above" else found.sure_below(-claim.margin)


def _confidence_in_reverse(claim: Claim, found: Difference) -> float:
    if claim.relation == "same":
        return 1 - _confidence(claim, found)
    return found.sure_below(-claim.margin) if claim.relation == "above" else found.sure_above(claim.margin)


def _p_value(claim: Claim, found: Difference) -> float:
    """Two-sided, of what decides the verdict: it is at most 5 % where the interval is on one side, and only there."""
    above, below = 1 - found.sure_above(claim.margin), 1 - found.sure_below(-claim.margin)
    if claim.relation != "same":
        return min(1.0, 2 * min(above, below))
    inside = max(1 - found.sure_above(-claim.margin), 1 - found.sure_below(claim.margin))
    return min(1.0, 2 * inside, 2 * min(above, below))


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
    return _result(claim, published, found, "exact" if holds else "reversed", words)


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
    claim: Claim, published: float | None, found: Difference | None, verdict: Verdict, sentence: str, many: bool = False
) -> ClaimResult:
    """With confidence, p-value and power where something was `many` times measured, so that it could be judged."""
    interval = None if found is None or not found.known else (found.low, found.high)
    exact = _is_exact(claim) and found is not None
    sure = p_value = smallest = None
    if exact:
        sure = float(verdict == "exact")
    elif found is not None and interval is not None and many:
        sure, p_value = _confidence(claim, found), _p_value(claim, found)
        smallest = smallest_difference(found.error, found.degrees)
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
        confidence=sure,
        verdict=verdict,
        sentence=sentence,
        p_value=p_value,
        smallest=smallest,
    )
