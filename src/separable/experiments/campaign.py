"""Everything an experiment needs at a scale: which cells, in which order, and what is there of them already."""

from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

from separable.experiments.carrying_out import CellPlace
from separable.experiments.cells import Cell, cell_of, evaluation_of
from separable.experiments.counts import scaled_counts
from separable.experiments.outcomes import Outcome
from separable.experiments.pool import Job
from separable.experiments.results import Trial
from separable.experiments.schema import MEASURES, Arm, Experiment, Setup
from separable.experiments.solutions import Solutions
from separable.experiments.sources import Source
from separable.experiments.wording import trained_measures

__all__ = ["Campaign"]

_OVERHEAD = 3_000_000
"""Multiply-adds that a picture costs beside those of its network: reading, and what small layers waste."""
_TUNING_SHARE = 0.7
"""A trial of a learning rate costs so much of a training: it sees fewer pictures."""


@dataclass
class Campaign:
    """An experiment with a setup, seeds and pictures; cells lie below `home`."""

    experiment: Experiment
    setup: Setup
    seeds: tuple[int, ...]
    source: Source
    home: Path
    solved: Solutions | None = None
    """Widths that the arms have from here; they are in `setup` already."""
    _outcomes: dict[str, Outcome] = field(default_factory=dict)
    _cells: dict[tuple[str, int | None, float], Cell] = field(default_factory=dict)

    @property
    def trained_arms(self) -> list[Arm]:
        """Those that have trainings of their own."""
        if self.experiment.kind == "count":
            return []
        return [arm for arm in self.experiment.arms if arm.like is None]

    @property
    def first_measure(self) -> str:
        """What learning rates are chosen by: the first column that trainings have, else the task's own."""
        own = {"classify": "top1", "tag": "map100", "segment": "miou"}[self.experiment.task]
        return next(iter(trained_measures(self.experiment.measures)), own)

    @property
    def tunes(self) -> bool:
        """Whether learning rates are tried at all."""
        return len(self.setup.learning_rates) > 1

    def trial(self, arm: Arm, factor: float) -> Cell:
        """The training that tries a factor on the learning rate."""
        return self._training(arm, None, factor)

    def trials(self, arm: Arm) -> tuple[Trial, ...]:
        """The factors that have been tried; without tuning none."""
        found = [(factor, self.outcome(self.trial(arm, factor))) for factor in self.setup.learning_rates if self.tunes]
        return tuple(Trial(factor, one.measures.get(self.first_measure)) for factor, one in found if one is not None)

    def factor(self, arm: Arm) -> float | None:
        """The best one of an arm, the first of equally good ones; None as long as not all have been tried.

        Where all diverge it is the smallest: that is then the arm's result.
        """
        rates = self.setup.learning_rates
        if not self.tunes:
            return rates[0]
        trials = self.trials(arm)
        if len(trials) < len(rates):
            return None
        scored = [(one.score, one.factor) for one in trials if one.score is not None]
        if not scored:
            return min(rates)
        best = _best(self.first_measure, [score for score, _ in scored])
        return next(factor for score, factor in scored if score == best)

    def cell(self, arm: Arm, seed: int) -> Cell | None:
        """Of an arm's seed; None as long as it is not known what that is. Of an ensemble all seeds are one cell."""
        if arm.like is None:
            factor = self.factor(arm)
            return None if factor is None else self._training(arm, seed, factor)
        base = self.experiment.arm(arm.like)
        cells = [self.cell(base, one) for one in (self.seeds if arm.ensemble else (seed,))]
        found = [(one, self.outcome(one)) for one in cells if one is not None]
        whole = [one for one, outcome in found if outcome is not None and outcome.failed is None]
        if len(found) < len(cells) or any(outcome is None for _, outcome in found) or not whole:
            return None
        return evaluation_of(whole[0], tuple(one.key for one in whole), arm)

    def note_of(self, arm: Arm) -> str:
        """What is to be said of an arm's network."""
        solved = "" if self.solved is None else self.solved.note(arm.name)
        return ". ".join(text for text in (arm.note, solved) if text)

    def seeds_of(self, arm: Arm) -> tuple[int, ...]:
        """An ensemble has one figure for all."""
        return self.seeds[:1] if arm.ensemble else self.seeds

    def outcome(self, cell: Cell) -> Outcome | None:
        """What a cell came to, if it is done."""
        key = cell.key
        if key not in self._outcomes:
            found = CellPlace(self.home, key).read()
            if found is None:
                return None
            self._outcomes[key] = found
        return self._outcomes[key]

    def outcomes(self) -> list[Outcome]:
        """Of everything that is trained here and done, trials of learning rates included."""
        cells = {job.key: job.cell for job in self._jobs()}
        return [outcome for cell in cells.values() if (outcome := self.outcome(cell)) is not None]

    def wanted(self) -> list[Job]:
        """What can be done next, the most urgent first: learning rates, then a seed of every arm after the other."""
        jobs = [job for job in self._jobs() if self.outcome(job.cell) is None]
        unique = {job.key: job for job in reversed(jobs)}
        return sorted(unique.values(), key=lambda job: jobs.index(job))

    def left(self) -> tuple[int, float]:
        """How many trainings are not done, and their work, those included of which it is not known what they are."""
        count, work = 0, 0.0
        for arm in self.trained_arms:
            todo = len(self.setup.learning_rates) - len(self.trials(arm)) if self.tunes else 0
            cells = [self.cell(arm, seed) for seed in self.seeds]
            seeds = sum(one is None or self.outcome(one) is None for one in cells)
            count += todo + seeds
            work += self.work(arm) * (_TUNING_SHARE * todo + seeds)
        return count, work

    def total(self) -> int:
        """Trainings in all."""
        return len(self.trained_arms) * (len(self.seeds) + (len(self.setup.learning_rates) if self.tunes else 0))

    def work(self, arm: Arm) -> float:
        """Of one training, in multiply-adds."""
        macs = scaled_counts(self.setup, arm, len(self.source.class_names)).macs
        return (macs + _OVERHEAD) * self.setup.epochs * (3.0 * self.source.train + self.source.held_out)

    def finished(self) -> bool:
        """Whether everything that is trained is there."""
        return all(
            (cell := self.cell(arm, seed)) is not None and self.outcome(cell) is not None
            for arm in self.experiment.arms
            for seed in self.seeds_of(arm)
            if self.experiment.kind != "count" and not self._is_lost(arm)
        )

    def _is_lost(self, arm: Arm) -> bool:
        """Whether an arm that measures another one's networks has none, since all diverged."""
        if arm.like is None:
            return False
        cells = [self.cell(self.experiment.arm(arm.like), seed) for seed in self.seeds]
        found = [None if cell is None else self.outcome(cell) for cell in cells]
        return all(one is not None and one.failed is not None for one in found)

    def _jobs(self) -> Iterator[Job]:
        for factor in self.setup.learning_rates if self.tunes else ():
            for arm in self.trained_arms:
                title = f"{arm.name}, learning rate x {factor:g}"
                yield self._job(self.trial(arm, factor), title, _TUNING_SHARE * self.work(arm))
        if self.experiment.kind == "count":
            return
        for seed in self.seeds:
            for arm in self.experiment.arms:
                cell = self.cell(arm, seed) if seed in self.seeds_of(arm) else None
                if cell is not None:
                    what = "all seeds" if arm.ensemble else f"seed {seed}"
                    yield self._job(cell, f"{arm.name}, {what}", 0.0 if cell.of else self.work(arm))

    def _training(self, arm: Arm, seed: int | None, factor: float) -> Cell:
        """Made once: this is asked for over and over."""
        wanted = arm.name, seed, factor
        if wanted not in self._cells:
            self._cells[wanted] = cell_of(self.setup, arm, self.source, seed, factor)
        return self._cells[wanted]

    def _job(self, cell: Cell, title: str, work: float) -> Job:
        return Job(cell, cell.key, title, work)


def _best(measure: str, scores: list[float]) -> float:
    return min(scores) if MEASURES[measure].better == "lower" else max(scores)
