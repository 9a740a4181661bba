"""What a training says while it runs: a live line on a terminal, plain lines elsewhere, nothing in a library call."""

import math
import os
import sys
import time
import warnings
from abc import ABC, abstractmethod
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TextIO, final

from rich.console import Console
from rich.progress import BarColumn, Progress, TaskID, TextColumn
from rich.table import Column

__all__ = [
    "Display",
    "LiveDisplay",
    "PlainDisplay",
    "SilentDisplay",
    "StepView",
    "format_seconds",
    "make_display",
    "resident_memory",
]


@dataclass(frozen=True)
class StepView:
    """One step as a person wants it: `seconds` is the step's own time, waiting for data included.

    `right` is the share of answers that were right, None where there was nothing to answer, and `measure` its name.
    """

    step: int
    total_steps: int
    epoch: int
    loss: float
    right: float | None
    count: int
    seconds: float
    measure: str = "top-1"


class Display(ABC):
    """Where a training's words go. `train` says nothing but through this."""

    @abstractmethod
    def note(self, text: str) -> None:
        """A sentence: what was chosen, how to go on."""

    @abstractmethod
    def warn(self, text: str) -> None:
        """Something that went otherwise than hoped, such as a damaged checkpoint."""

    def counted(self, what: str, done: int, total: int) -> None:  # noqa: B027 - older displays say nothing of it
        """Before the first step: so much of the data has been looked at, such as "masks counted"."""

    @abstractmethod
    def step(self, view: StepView) -> None:
        """A step is done."""

    @abstractmethod
    def epoch(self, row: dict[str, Any], text: str) -> None:
        """An epoch is done; `row` is its line in `metrics.jsonl`, `text` the same as a sentence."""

    @abstractmethod
    def close(self) -> None:
        """The training is over, well or not."""


@final
class SilentDisplay(Display):
    """For library calls and tests."""

    def note(self, text: str) -> None:
        """Nothing."""

    def warn(self, text: str) -> None:
        """A Python warning."""
        warnings.warn(text, stacklevel=2)

    def step(self, view: StepView) -> None:
        """Nothing."""

    def epoch(self, row: dict[str, Any], text: str) -> None:
        """Nothing."""

    def close(self) -> None:
        """Nothing."""


class _Pace:
    """Loss, accuracy and pictures a second over the last steps, weighted by their pictures."""

    def __init__(self, keep: float = 0.9) -> None:
        self._keep, self._sums = keep, [0.0] * 5

    def add(self, view: StepView) -> None:
        judged = 0.0 if view.right is None else float(view.count)
        new = (view.loss * view.count, (view.right or 0.0) * judged, judged, float(view.count), view.seconds)
        self._sums = [self._keep * old + value for old, value in zip(self._sums, new, strict=True)]

    def text(self, view: StepView) -> str:
        loss, correct, judged, count, seconds = self._sums
        rate = count / seconds if seconds else math.nan
        left = (view.total_steps - view.step) * view.count / rate if rate else math.nan
        memory = resident_memory()
        right = f"{100 * correct / judged:.1f}" if judged else "?"
        parts = [f"loss {loss / count:.4f}", f"{view.measure} {right} %", f"{rate:.1f} images/s"]
        parts.append(f"{format_seconds(left)} left")
        if memory:
            parts.append(f"{memory / 2**30:.1f} GiB")
        return ", ".join(parts)


@final
class PlainDisplay(Display):
    """Whole lines, for a log file or a pipe: every epoch, and a step at most every `interval` seconds."""

    def __init__(
        self, stream: TextIO | None = None, *, interval: float = 10.0, clock: Callable[[], float] = time.monotonic
    ) -> None:
        self._stream, self._interval, self._clock = stream or sys.stderr, interval, clock
        self._pace, self._last = _Pace(), clock()

    def note(self, text: str) -> None:
        """The sentence on a line."""
        print(text, file=self._stream, flush=True)

    def warn(self, text: str) -> None:
        """The sentence on a line, marked."""
        self.note(f"Warning: {text}")

    def counted(self, what: str, done: int, total: int) -> None:
        """A line when the last one is old enough."""
        now = self._clock()
        if now - self._last >= self._interval:
            self._last = now
            self.note(f"{done:,} of {total:,} {what}")

    def step(self, view: StepView) -> None:
        """A line when the last one is old enough."""
        self._pace.add(view)
        now = self._clock()
        if now - self._last >= self._interval:
            self._last = now
            self.note(f"step {view.step}/{view.total_steps}, epoch {view.epoch + 1}: {self._pace.text(view)}")

    def epoch(self, row: dict[str, Any], text: str) -> None:
        """A line each; a step line right after it would be noise."""
        self._last = self._clock()
        self.note(text)

    def close(self) -> None:
        """Nothing to put away."""


@final
class LiveDisplay(Display):
    """A progress bar that stays at the bottom of a terminal, with epochs and notes scrolling above it."""

    def __init__(self, console: Console | None = None) -> None:
        self._console = console or Console(stderr=True)
        self._pace = _Pace()
        self._progress: Progress | None = None
        self._task: TaskID | None = None

    def note(self, text: str) -> None:
        """The sentence above the bar."""
        self._console.print(text, highlight=False, markup=False)

    def warn(self, text: str) -> None:
        """The sentence above the bar, marked."""
        self.note(f"Warning: {text}")

    def counted(self, what: str, done: int, total: int) -> None:
        """Move the bar, and put it away at the end."""
        self._move(done, total, f"{done:,} of {total:,} {what}", "")
        if done == total:
            self.close()

    def step(self, view: StepView) -> None:
        """Move the bar."""
        self._pace.add(view)
        where = f"epoch {view.epoch + 1} {view.step}/{view.total_steps}"
        self._move(view.step, view.total_steps, where, self._pace.text(view))

    def _move(self, done: int, total: int, description: str, status: str) -> None:
        if self._progress is None:
            bar = [BarColumn(bar_width=20)] if self._console.width >= 110 else []
            column = TextColumn("{task.fields[status]}", table_column=Column(overflow="fold"))
            columns = (TextColumn("{task.description}"), *bar, column)
            self._progress = Progress(*columns, console=self._console, refresh_per_second=5)
            self._progress.start()
            self._task = self._progress.add_task("", total=total, status="")
        assert self._task is not None
        self._progress.update(self._task, completed=done, description=description, status=status)

    def epoch(self, row: dict[str, Any], text: str) -> None:
        """A line above the bar."""
        self.note(text)

    def close(self) -> None:
        """Leave the bar where it stands."""
        if self._progress is not None:
            self._progress.stop()
            self._progress = None


def make_display(stream: TextIO | None = None) -> Display:
    """Live on a terminal, plain lines elsewhere."""
    stream = stream or sys.stderr
    if stream.isatty():
        return LiveDisplay(Console(file=stream))
    return PlainDisplay(stream)


def format_seconds(seconds: float) -> str:
    """3.2 s, 4 min 05 s, 2 h 03 min."""
    if not math.isfinite(seconds):
        return "? s"
    if seconds < 60:
        return f"{seconds:.1f} s"
    if seconds < 3600:
        return f"{int(seconds // 60)} min {int(seconds % 60):02d} s"
    return f"{int(seconds // 3600)} h {int(seconds % 3600 // 60):02d} min"


def resident_memory() -> int:
    """Bytes of memory this process holds now; 0 where the system does not say (it does on Linux)."""
    try:
        pages = int(Path("/proc/self/statm").read_text(encoding="ascii").split()[1])
    except (OSError, ValueError, IndexError):
        return 0
    return pages * os.sysconf("SC_PAGE_SIZE")
