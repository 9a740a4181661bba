"""Where a training stands, as its checkpoints keep it."""

from collections.abc import Mapping
from dataclasses import dataclass, field, fields
from typing import Any

__all__ = ["Progress"]


@dataclass
class Progress:
    """The sums run since the present epoch began; `chosen` is what the first step settled.

    `loss_sum` is of the pictures `seen` that count in it (`Objective.counting`), `correct` are answers of those
    `judged`: pictures, or labelled pixels.
    """

    step: int = 0
    epochs_done: int = 0
    loss_sum: float = 0.0
    correct: int = 0
    judged: int = 0
    seen: int = 0
    seconds: float = 0.0
    best: dict[str, Any] | None = None
    chosen: dict[str, Any] = field(default_factory=dict)

    @classmethod
    def restored(cls, saved: Mapping[str, Any]) -> "Progress":
        """From what `fits` says yes to. Runs begun before there were several tasks have one answer a picture."""
        return cls(**{"judged": saved["seen"], **saved})

    @classmethod
    def fits(cls, saved: Mapping[str, Any]) -> bool:
        """Whether this or an earlier version wrote it."""
        return {*saved, "judged"} == {entry.name for entry in fields(cls)}
