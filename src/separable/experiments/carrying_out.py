"""Carrying out one cell: an ordinary training in an ordinary run folder, and its outcome beside."""

import functools
import json
from collections.abc import Callable
from contextlib import suppress
from dataclasses import replace
from pathlib import Path
from typing import Any, cast

from separable.data.loader import LoaderConfig
from separable.errors import DivergedError
from separable.experiments.cells import Cell
from separable.experiments.made import made_here
from separable.experiments.outcomes import Outcome, measured, read_outcome, trained
from separable.experiments.sources import Source, open_source, tuning_part
from separable.files import make_directory, write_text_atomically
from separable.segmentation.task import SegmentTask
from separable.training.classification import Classification
from separable.training.config import DataConfig
from separable.training.crops import evaluate_crops
from separable.training.display import Display, StepView
from separable.training.evaluate import Evaluation, EvaluationStopped
from separable.training.lock import file_lock
from separable.training.loop import train
from separable.training.signals import StopRequest
from separable.training.tagging import Tagging
from separable.training.task import AnyTask, TaskData
from separable.weights import load_model

__all__ = ["CellPlace", "carry_out", "task_of"]

_EARLY = "early.json"


class CellPlace:
    """Where a cell's files are below `home`: its run folder, and beside it what it is, and its lock."""

    def __init__(self, home: Path, key: str) -> None:
        cells = home / "cells"
        self.run, self.spec, self.lock = cells / key, cells / f"{key}.json", cells / f"{key}.lock"
        self.outcome = self.run / "outcome.json"

    def read(self) -> Outcome | None:
        """What the cell came to, if it is done."""
        return read_outcome(self.outcome)


def carry_out(cell: Cell, home: Path, stop: StopRequest) -> bool:
    """Train, or go on with what was begun, and leave the outcome; False where `stop` came first.

    A training that diverges has an outcome, too: another try would do the same.

    Raises:
        RunFolderError: another process is at it.
        SeparableError: whatever a training can raise.
    """
    place = CellPlace(home, cell.key)
    make_directory(place.run.parent)
    with file_lock(place.lock, place.run):
        if place.read() is not None:
            return True
        try:
            outcome = _evaluated(cell, home, stop) if cell.of else _trained(cell, place.run, stop)
        except EvaluationStopped:
            return False
        except DivergedError as error:
            outcome = Outcome(failed=f"It diverged: {error.what.rstrip('.')}.")
        if outcome is None:
            return False
        make_directory(place.run)
        replace(outcome, made=made_here(cell.config.device)).write(place.outcome)
    return True


def _trained(cell: Cell, run: Path, stop: StopRequest) -> Outcome | None:
    data = _data(cell.source, cell.part)
    decoder: Any = cell.source.decoder or "auto"
    roots = DataConfig(cell.source.root, str(data.train.root), str(data.val.root), decoder=decoder)
    config = replace(cell.config, run=str(run), data=roots)
    watched = _Watched(task_of(cell.source.task))
    display = _EarlyDisplay(run / _EARLY, cell.early, watched)
    result = train(config, data, task=cast(AnyTask, watched), resume=True, display=display, stop=stop)
    if result.interrupted:
        return None
    return trained(watched.answer, run, cell.source.task, None if cell.early is None else _early(run))


def _early(run: Path) -> tuple[float, ...] | None:
    """Which pictures were right early; None where the file is gone: a finished run is not thrown away for it."""
    with suppress(OSError, ValueError, TypeError):
        return tuple(float(one) for one in json.loads((run / _EARLY).read_text(encoding="utf-8"))) or None
    return None


def _evaluated(cell: Cell, home: Path, stop: StopRequest) -> Outcome:
    """The held-out pictures through several networks, or many crops of each."""
    data: Any = _data(cell.source, "all")
    models = [load_model(CellPlace(home, key).run / "model").to(cell.config.device) for key in cell.of]
    decoder = cell.source.decoder or "auto"
    loader = LoaderConfig(cell.config.batch_size, cell.config.machine.workers, decoder=decoder)
    answer = evaluate_crops(models, data.val, loader, crops=cell.crops, should_stop=lambda: stop.requested)
    return measured(answer)


@functools.lru_cache(maxsize=4)
def _data(source: Source, part: str) -> TaskData:
    """Read once for all cells of a process."""
    data = open_source(source)
    return data if part == "all" else tuning_part(data)


def task_of(name: str) -> AnyTask:
    """What a training learns, by its name."""
    if name == "segment":
        return SegmentTask()
    if name == "tag":
        return Tagging()
    return Classification()


class _Watched:
    """A task that remembers what was last measured, at full precision as the final figures are, so that those of early
    epochs can be set beside them; everything else it leaves to the task itself."""

    def __init__(self, task: AnyTask) -> None:
        self._task = task
        self.answer: Any = None

    def __getattr__(self, name: str) -> Any:
        return getattr(self._task, name)

    def measure(self, model: Any, held_out: Any, objective: Any, precision: str, should_stop: Any) -> Any:
        """See `Task`; `precision` is that of the training alone."""
        return self._kept(self._task.measure, model, held_out, objective, "fp32", should_stop)

    def write_results(self, *args: Any) -> Any:
        """See `Task`."""
        return self._kept(self._task.write_results, *args)

    def _kept(self, measure: Callable[..., Any], *args: Any) -> Any:
        self.answer = measure(*args)
        return self.answer


class _EarlyDisplay(Display):
    """Says nothing, and keeps which pictures were right after some epochs.

    An epoch is shown before it counts as done: no checkpoint is past it without the file.
    """

    def __init__(self, path: Path, early: int | None, watched: _Watched) -> None:
        self._path, self._early, self._watched = path, early, watched

    def note(self, text: str) -> None:
        """Nothing."""

    def warn(self, text: str) -> None:
        """Nothing: the runner says what matters."""

    def step(self, view: StepView) -> None:
        """Nothing."""

    def epoch(self, row: dict[str, Any], text: str) -> None:
        """Write the file after the early epoch."""
        if self._early == row["epoch"] + 1:
            assert isinstance(self._watched.answer, Evaluation)
            right = measured(self._watched.answer).pictures["top1"]
            write_text_atomically(self._path, json.dumps(right))

    def close(self) -> None:
        """Nothing."""
