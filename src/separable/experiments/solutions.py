"""Widths that were solved for on a machine, as the folder of an experiment keeps them.

A width that makes a network as fast as another one depends on the machine, and cells hang on widths: so each is solved
for once, written down, and from then on it is what the file says.
"""

import json
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from separable.errors import RunFolderError, SeparableError
from separable.experiments.schema import Setup
from separable.experiments.wording import value_text
from separable.files import write_text_atomically
from separable.training.codec import from_plain, to_plain

__all__ = ["Solution", "Solutions", "StoppedError", "read_solutions"]


@dataclass(frozen=True)
class Solution:
    """The width at which an arm's picture took `milliseconds`, in turns with that of the arm `like`: `target`."""

    like: str
    width: float
    milliseconds: float
    target: float


@dataclass(frozen=True)
class Solutions:
    """By the names of arms; `machine` and `date` say where and when the first was found."""

    machine: dict[str, Any]
    date: str
    arms: dict[str, Solution]

    def laid_over(self, setup: Setup) -> Setup:
        """The setup in which the arms have these widths."""
        widths = {
            name: {**setup.arm_options.get(name, {}), "width": solution.width} for name, solution in self.arms.items()
        }
        return replace(setup, arm_options={**setup.arm_options, **widths})

    def note(self, arm: str) -> str:
        """What is said beside the arm's network; nothing of one that was not solved for."""
        if arm not in self.arms:
            return ""
        found = self.arms[arm]
        took, target = (value_text("milliseconds", value) for value in (found.milliseconds, found.target))
        return f"Width {found.width:g}, solved for the {target} ms of {found.like}: {took} ms"

    def write(self, path: Path) -> None:
        """Write the file that `read_solutions` reads."""
        write_text_atomically(path, json.dumps(to_plain(self), indent=1) + "\n")


class StoppedError(SeparableError):
    """Somebody asked to stop before there was anything to put together."""


def read_solutions(path: Path) -> Solutions | None:
    """What `Solutions.write` left; None where there is nothing yet.

    Raises:
        RunFolderError: the file is damaged.
    """
    try:
        return from_plain(Solutions, json.loads(path.read_text(encoding="utf-8")))
    except FileNotFoundError:
        return None
    except (OSError, ValueError, SeparableError) as error:
        raise RunFolderError(
            f"{path} cannot be read as widths that were solved for",
            got=str(error),
            fix="Remove it: they are solved for again, and what has other widths then is trained again",
        ) from error
