"""Integrated gradients (M. Sundararajan, A. Taly, Q. Yan, arXiv:1703.01365): each value's share in the answer."""

from collections.abc import Callable
from dataclasses import dataclass
from functools import partial

import torch
from torch import Tensor, nn

from separable.analysis.explain.examined import (
    Scores,
    Targets,
    class_scores,
    demand_classes,
    examined,
    prepared,
    targets_of,
)
from separable.errors import UsageError

__all__ = ["LARGEST_GAP", "LARGEST_STEPS", "Attribution", "integrated_gradients"]

LARGEST_GAP = 0.05
"""The share of the logit difference up to which the attributions may miss it: the paper's own, section 5."""
LARGEST_STEPS = 432
_FIRST_STEPS = 16
_CHUNK_PIXELS = 300_000  # pictures along the path run together while they have no more positions than this


@dataclass(frozen=True)
class Attribution:
    """What `integrated_gradients` found; one entry of each tensor for each picture.

    Completeness (proposition 1 of the paper): with endless steps the values would sum to `difference`.
    """

    values: Tensor
    """(N, C, H, W), in units of the logit."""
    target: Tensor
    """(N,) the class whose logit is explained."""
    difference: Tensor
    """(N,) float64, the logit of the picture minus that of the baseline."""
    gap: Tensor
    """(N,) float64, the sum of the values minus the difference: 0 if the integral were exact."""
    steps: tuple[int, ...]
    """Points of each picture's path at which the gradient was taken."""

    @property
    def share(self) -> Tensor:
        """(N,) the size of the gap as a share of the size of the difference; infinite where only that is zero."""
        return torch.where(self.gap == 0, 0.0, self.gap.abs() / self.difference.abs())


def integrated_gradients(
    model: nn.Module,
    inputs: Tensor,
    target: Targets = None,
    baseline: Tensor | float = 0.0,
    steps: int | None = None,
    *,
    largest_gap: float = LARGEST_GAP,
    progress: Callable[[int, int | None], None] | None = None,
    scores: Scores = class_scores,
) -> Attribution:
    """Equation 1 of the paper: (x - x') times the mean of the logit's gradient along the straight path from the
    baseline x' to the picture x, by the midpoint rule: the gradients at x' + (i + 1/2) / steps (x - x').

    Each picture is done by itself, so none depends on the others of its batch. The model is run in evaluation mode, and
    left as it was found.

    Args:
        inputs: (N, C, H, W), as the network takes them.
        target: a class number, one for each picture, or None for the class with the largest logit.
        baseline: what counts as no picture, as the network takes it: a number, or a tensor that broadcasts to `inputs`.
        steps: of the midpoint rule; None triples them from 16 on (each step is kept) until the gap is at most
            `largest_gap` of the difference, or 432 are done.
        progress: called with (steps done of this picture, steps in all or None).
        scores: what is explained in place of the logits, such as those of a region, see `regions.RegionScores`.

    Raises:
        UsageError: no such class, fewer steps than one, or a baseline of another shape.
    """
    if steps is not None and steps < 1:
        raise UsageError("A path needs a step", got=f"{steps} steps", expected="1 or more")
    demand_classes(model)
    pictures = prepared(inputs)
    start = _baseline(baseline, pictures)
    with examined(model):
        with torch.no_grad():
            logits = scores(model, pictures.clone())  # clones: a first layer may work in place
            chosen = targets_of(target, logits)
            differences = (_of_class(logits, chosen) - _of_class(scores(model, start.clone()), chosen)).double()
        paths = [
            _Path(partial(scores, model), start[i : i + 1], pictures[i : i + 1], int(chosen[i]), progress)
            for i in range(len(pictures))
        ]
        done = [
            path.follow(steps, float(difference), largest_gap)
            for path, difference in zip(paths, differences, strict=True)
        ]
    values = torch.cat([value for value, _ in done])
    gap = values.double().sum((1, 2, 3)) - differences
    return Attribution(values, chosen, differences, gap, tuple(taken for _, taken in done))


class _Path:
    """One picture's way from its baseline."""

    def __init__(
        self,
        scores: Callable[[Tensor], Tensor],
        start: Tensor,
        end: Tensor,
        target: int,
        progress: Callable[[int, int | None], None] | None,
    ) -> None:
        self.scores, self.start, self.way, self.target = scores, start, end - start, target
        self.progress = progress
        self.chunk = max(1, min(64, _CHUNK_PIXELS // max(1, end.shape[2] * end.shape[3])))
        self.done = 0

    def follow(self, steps: int | None, difference: float, largest_gap: float) -> tuple[Tensor, int]:
        """The attributions and the steps they took."""
        count = steps or _FIRST_STEPS
        total = self._sum([(index + 0.5) / count for index in range(count)], steps)
        while steps is None and count < LARGEST_STEPS:
            gap = float((self.way * total).double().sum()) / count - difference
            if abs(gap) <= largest_gap * abs(difference):
                break
            # The midpoint of a third of a step is new, except in the middle third, where it is the step's own.
            fresh = [(index + 0.5) / (3 * count) for index in range(3 * count) if index % 3 != 1]
            total = total + self._sum(fresh, None)
            count *= 3
        if self.progress is not None:
            self.progress(self.done, self.done)
        return self.way * (total / count), count

    def _sum(self, places: list[float], steps: int | None) -> Tensor:
        """The sum of the gradients at `places` (0: baseline, 1: picture): (1, C, H, W)."""
        total = torch.zeros_like(self.way, dtype=torch.promote_types(self.way.dtype, torch.float32))
        for first in range(0, len(places), self.chunk):
            part = torch.tensor(places[first : first + self.chunk], device=self.way.device, dtype=torch.float64)
            points = self.start + part.to(self.way.dtype)[:, None, None, None] * self.way
            points = points.contiguous(memory_format=_layout(self.way)).requires_grad_()
            score = self.scores(points.clone())[:, self.target].sum()
            if not score.requires_grad:
                raise UsageError(
                    "The network's answer cannot be differentiated by its picture",
                    expected="a network without a break in its gradients",
                )
            (slopes,) = torch.autograd.grad(score, points)
            total += slopes.sum(0, keepdim=True)
            self.done += len(part)
            if self.progress is not None:
                self.progress(self.done, steps)
        return total


def _of_class(logits: Tensor, chosen: Tensor) -> Tensor:
    return logits.gather(1, chosen[:, None])[:, 0]


def _baseline(baseline: Tensor | float, pictures: Tensor) -> Tensor:
    given = torch.as_tensor(baseline, dtype=pictures.dtype, device=pictures.device).detach()
    try:
        return given.expand_as(pictures).clone(memory_format=_layout(pictures))
    except RuntimeError as error:
        raise UsageError(
            "The baseline does not fit the pictures",
            got=f"shape {tuple(given.shape)}",
            expected=f"a number, or a tensor that broadcasts to {tuple(pictures.shape)}",
        ) from error


def _layout(tensor: Tensor) -> torch.memory_format:
    last = tensor.is_contiguous(memory_format=torch.channels_last) and not tensor.is_contiguous()
    return torch.channels_last if last else torch.contiguous_format
