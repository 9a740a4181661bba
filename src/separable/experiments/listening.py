"""What a person is told while an experiment runs."""

from collections.abc import Callable
from typing import final

from separable.experiments.campaign import Campaign
from separable.experiments.outcomes import Outcome
from separable.experiments.pool import Job, Listener
from separable.experiments.wording import value_text
from separable.training.display import Display, LiveDisplay, format_seconds

__all__ = ["Telling"]


@final
class Telling(Listener):
    """A line where a cell begins and where it ends, and on a terminal a bar below them.

    Args:
        saved: called after each cell, so that what stands is on the disk.
    """

    def __init__(self, campaign: Campaign, display: Display, processes: int, saved: Callable[[], object]) -> None:
        self._campaign, self._display, self._processes, self._saved = campaign, display, processes, saved
        self._work = self._seconds = 0.0

    def begins(self, job: Job) -> None:
        """See `Listener`."""
        self._display.note(f"{self._name}: {job.title} ...")
        self._move()

    def ends(self, job: Job, seconds: float, problem: str | None) -> None:
        """See `Listener`."""
        outcome = self._campaign.outcome(job.cell)
        self._work, self._seconds = self._work + job.work, self._seconds + seconds * (job.work > 0)
        came_to = problem or self._came_to(outcome)
        self._display.note(f"{self._name}: {job.title}: {came_to} ({format_seconds(seconds)}; {self._left()})")
        self._move()
        self._saved()

    def note(self, text: str) -> None:
        """See `Listener`."""
        self._display.warn(text)

    @property
    def _name(self) -> str:
        return self._campaign.experiment.name

    def _came_to(self, outcome: Outcome | None) -> str:
        if outcome is None:
            return "gone"
        measure = self._campaign.first_measure
        if outcome.failed is not None or measure not in outcome.measures:
            return outcome.failed or "measured"
        return f"{value_text(measure, outcome.measures[measure], unit=True)}"

    def _left(self) -> str:
        count, work = self._campaign.left()
        if not count or not self._work:
            return f"{count} left"
        seconds = self._seconds / self._work * work / self._processes
        return f"{count} left, about {format_seconds(seconds)}"

    def _move(self) -> None:
        if isinstance(self._display, LiveDisplay):
            total = self._campaign.total()
            count, _ = self._campaign.left()
            self._display.counted(f"trainings; {self._left()}", total - count, max(total, 1))
