"""All arms of a set by all of their seeds, for statements on several arms at once."""

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from separable.analysis.distributions import student_t_quantile
from separable.experiments.results import ArmResult

__all__ = ["Layout", "layout_of", "on_front"]

_Matrix = npt.NDArray[np.float64]


@dataclass(frozen=True)
class Layout:
    """A two-way layout, arms by seeds: `means` of the arms, and the mean square of what neither explains with its
    degrees of freedom, (arms - 1) (seeds - 1). Three seeds of eight arms have 14, where each pair of arms has 2."""

    means: _Matrix
    square: float
    degrees: float
    seeds: int

    def reach(self, comparisons: int) -> float:
        """Half of the 95 % interval of a difference of two arms, for so many comparisons at once (Bonferroni)."""
        error = math.sqrt(2 * self.square / self.seeds)
        return student_t_quantile(1 - 0.025 / comparisons, self.degrees) * error

    def draws(self, count: int) -> _Matrix:
        """Means as other seeds might have given them, (count, arms), always the same: a parametric bootstrap, in which
        the mean square is uncertain, too."""
        rng = np.random.default_rng(0)
        spreads = np.sqrt(self.square * self.degrees / rng.chisquare(self.degrees, (count, 1)) / self.seeds)
        drawn: _Matrix = self.means + spreads * rng.standard_normal((count, len(self.means)))
        return drawn


def layout_of(arms: Sequence[ArmResult], measure: str) -> Layout | None:
    """Over the seeds that all arms have; None of fewer than two, or where nothing varies."""
    values = [{one.seed: one.measures[measure] for one in arm.seeds if measure in one.measures} for arm in arms]
    seeds = sorted(set.intersection(*map(set, values))) if values else []
    if len(seeds) < 2 or len(arms) < 2:
        return None
    table = np.array([[column[seed] for seed in seeds] for column in values])
    rest = table - table.mean(0) - table.mean(1, keepdims=True) + table.mean()
    degrees = (len(arms) - 1.0) * (len(seeds) - 1)
    square = float((rest**2).sum()) / degrees
    return Layout(table.mean(1), square, degrees, len(seeds)) if square > 0 else None


def on_front(values: _Matrix, costs: npt.NDArray[np.float64]) -> list[float]:
    """Of each arm the share of the draws, (draws, arms), in which no other has a higher value at no higher cost."""
    shares = []
    for place, cost in enumerate(costs):
        rivals = [other for other in range(len(costs)) if other != place and costs[other] <= cost]
        beaten = (values[:, rivals] > values[:, [place]]).any(1) if rivals else np.zeros(len(values), bool)
        shares.append(float(1 - beaten.mean()))
    return shares
