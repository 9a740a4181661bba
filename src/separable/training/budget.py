"""Choosing a network and a picture size that answer within a time, by measuring them here."""

from collections.abc import Callable
from dataclasses import asdict, dataclass, field
from typing import Any

from separable.errors import UsageError
from separable.models import build_model
from separable.training.finish import measure_latency

__all__ = ["CANDIDATES", "BudgetChoice", "Candidate", "Trial", "choose_network"]


@dataclass(frozen=True)
class Candidate:
    """A network, a picture size, and the top-1 on ImageNet that was published for the two, in per cent."""

    name: str
    size: int
    top1: float
    source: str
    options: dict[str, Any] = field(default_factory=dict)

    @property
    def title(self) -> str:
        """Such as "mobilenet_v1 width 0.5 at 160"."""
        options = "".join(f" {key} {value}" for key, value in self.options.items())
        return f"{self.name}{options} at {self.size}"


def _mobilenet(width: float, size: int, top1: float) -> Candidate:
    return Candidate("mobilenet_v1", size, top1, "TF-slim, mobilenet_v1.md", {"width": width} if width != 1 else {})


# Accuracy on ImageNet orders them: what is better there is, on the whole, better to train further (1805.08974).
CANDIDATES = (
    Candidate("xception", 299, 79.0, "1610.02357, table 1"),
    Candidate("inception_v3", 299, 78.2, "1610.02357, table 1"),
    _mobilenet(1.0, 224, 70.9),
    _mobilenet(1.0, 192, 70.0),
    _mobilenet(0.75, 224, 68.4),
    _mobilenet(1.0, 160, 68.0),
    _mobilenet(0.75, 192, 67.2),
    _mobilenet(0.75, 160, 65.3),
    _mobilenet(1.0, 128, 65.2),
    _mobilenet(0.5, 224, 63.3),
    _mobilenet(0.75, 128, 62.1),
    _mobilenet(0.5, 192, 61.7),
    _mobilenet(0.5, 160, 59.1),
    _mobilenet(0.5, 128, 56.3),
    _mobilenet(0.25, 224, 49.8),
    _mobilenet(0.25, 192, 47.7),
    _mobilenet(0.25, 160, 45.5),
    _mobilenet(0.25, 128, 41.5),
)


@dataclass(frozen=True)
class Trial:
    """One candidate, and the milliseconds that one picture took here."""

    candidate: Candidate
    milliseconds: float


@dataclass(frozen=True)
class BudgetChoice:
    """The candidate of the best published accuracy that keeps the budget, and everything that was tried before it."""

    budget_ms: float
    chosen: Candidate
    tried: tuple[Trial, ...]

    def to_json(self) -> dict[str, Any]:
        """Plain values."""
        return asdict(self) | {"tried": [asdict(trial) for trial in self.tried]}

    def to_text(self) -> str:
        """What was tried and what was taken, a line each."""
        lines = [
            f"  {one.candidate.title}: {one.milliseconds:.1f} ms, {one.candidate.top1:.1f} % on ImageNet as published"
            for one in self.tried
        ]
        head = f"Looking for the most accurate network that answers within {self.budget_ms:g} ms here (one picture):"
        return "\n".join([head, *lines, f"Taking {self.chosen.title}."])


def choose_network(
    budget_ms: float,
    num_classes: int,
    *,
    candidates: tuple[Candidate, ...] = CANDIDATES,
    measure: Callable[[Candidate, int], float] | None = None,
) -> BudgetChoice:
    """The most accurate candidate whose median latency for one picture is within the budget.

    Candidates are measured from the most accurate down, until one fits.

    Args:
        budget_ms: milliseconds from a prepared picture to its logits.
        num_classes: of the classifier that will be trained.
        candidates: in any order.
        measure: (candidate, classes) -> milliseconds; the real thing by default.

    Raises:
        UsageError: none fits; the fastest and its time are named.
    """
    if not budget_ms > 0:
        raise UsageError("The latency budget has to be positive", got=f"{budget_ms} ms")
    tried: list[Trial] = []
    for candidate in sorted(candidates, key=lambda entry: -entry.top1):
        tried.append(Trial(candidate, (measure or _measure)(candidate, num_classes)))
        if tried[-1].milliseconds <= budget_ms:
            return BudgetChoice(budget_ms, candidate, tuple(tried))
    fastest = min(tried, key=lambda trial: trial.milliseconds)
    raise UsageError(
        f"No network answers within {budget_ms:g} ms on this machine",
        got=f"{fastest.milliseconds:.1f} ms for {fastest.candidate.title}, the fastest of {len(tried)}",
        fix="Allow more milliseconds",
    )


def _measure(candidate: Candidate, num_classes: int) -> float:
    model = build_model(candidate.name, num_classes, **candidate.options)
    return 1000 * measure_latency(model, (1, 3, candidate.size, candidate.size))
