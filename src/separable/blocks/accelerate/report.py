"""What was changed in a model, what was left, and why."""

from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

__all__ = ["AccelerationReport", "Change", "Choices", "Left"]

Choices = dict[str, dict[str, str]]
"""Module name -> mode, such as "train backward bfloat16" -> "cpu" or "reference"."""


@dataclass(frozen=True)
class Change:
    """A module that computes by the kernels where `choices` say so; `seconds` (plain, fast) by mode, where timed."""

    name: str
    what: str
    choices: Mapping[str, str]
    seconds: Mapping[str, tuple[float, float]]


@dataclass(frozen=True)
class Left:
    """A module that stays as it was."""

    name: str
    what: str
    why: str


@dataclass(frozen=True)
class AccelerationReport:
    """`changed` and `left` in the model's order; `note` is about the whole model, or empty."""

    changed: tuple[Change, ...]
    left: tuple[Left, ...]
    note: str = ""

    @property
    def choices(self) -> Choices:
        """What to hand to `accelerate(..., choices=)` for the identical bits."""
        return {change.name: dict(change.choices) for change in self.changed}

    def to_json(self) -> dict[str, Any]:
        """Plain values."""
        changed = [
            {
                "name": one.name,
                "what": one.what,
                "choices": dict(one.choices),
                "seconds": {mode: list(pair) for mode, pair in one.seconds.items()},
            }
            for one in self.changed
        ]
        left = [{"name": one.name, "what": one.what, "why": one.why} for one in self.left]
        return {"changed": changed, "left": left, "note": self.note}

    def to_text(self) -> str:
        """Each kind of change and each reason on a line, with how often and the first name."""
        lines = [self.note] if self.note else []
        changed = Counter(f"{one.what}{_modes(one)}" for one in self.changed)
        left = Counter(f"{one.what}: {one.why}" for one in self.left)
        first = {f"{one.what}{_modes(one)}": one.name for one in reversed(self.changed)}
        first |= {f"{one.what}: {one.why}": one.name for one in reversed(self.left)}
        for title, counted in (("Changed", changed), ("Left as it was", left)):
            if counted:
                lines.append(f"{title}:")
                lines += [f"  {number:>3} x {what} ({_named(first[what], number)})" for what, number in counted.items()]
        return "\n".join(lines)


def _modes(change: Change) -> str:
    fast = [mode for mode, choice in change.choices.items() if choice == "cpu"]
    return f" [{', '.join(fast)}]" if fast else ""


def _named(name: str, number: int) -> str:
    return (name or "the model itself") + (", ..." if number > 1 else "")
