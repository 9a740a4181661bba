"""What a training said and wrote, for tests to look at."""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from separable.data.loader import Batch
from separable.training.display import Display, StepView
from separable.training.held_out import HeldOut
from separable.training.journal import read_journal
from separable.training.signals import StopRequest


class Recorder(Display):
    """Remembers what was said, and asks to stop after a given step."""

    def __init__(self, stop_after: int = 0) -> None:
        self.notes: list[str] = []
        self.views: list[StepView] = []
        self.rows: list[dict[str, Any]] = []
        self.counts: list[tuple[str, int, int]] = []
        self.stop, self._stop_after = StopRequest(), stop_after

    def note(self, text: str) -> None:
        self.notes.append(text)

    def warn(self, text: str) -> None:
        self.notes.append(f"Warning: {text}")

    def counted(self, what: str, done: int, total: int) -> None:
        self.counts.append((what, done, total))

    def step(self, view: StepView) -> None:
        self.views.append(view)
        if view.step == self._stop_after:
            self.stop.request()

    def epoch(self, row: dict[str, Any], text: str) -> None:
        self.rows.append(row)

    def close(self) -> None:
        self.notes.append("closed")


@contextmanager
def stopping_while_measuring(said: Recorder, kind: type[HeldOut]) -> Iterator[None]:
    """Inside, somebody asks to stop as soon as the held-out set of that kind is read."""
    read = kind.read

    def interrupted(self: HeldOut) -> Iterator[Batch]:
        said.stop.request()
        return read(self)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(kind, "read", interrupted)
        yield


def losses(run: Path) -> list[tuple[Any, ...]]:
    return [
        (row["kind"], row["step"], row.get("loss"), row.get("train_loss"), row.get("val_loss"))
        for row in read_journal(run / "metrics.jsonl")
    ]
