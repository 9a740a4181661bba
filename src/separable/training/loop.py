"""The training loop. A step is a function of (checkpoint, batch, step number), so any kill resumes to the same bits."""

import math
import time
from collections.abc import Generator, Iterator, Mapping, Sequence
from contextlib import closing
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from separable.blocks.accelerate.swapped import plain_torch
from separable.data.loader import Batch
from separable.data.quarantine import BadPicture, Quarantine
from separable.errors import DivergedError, TooManyBadPicturesError
from separable.files import make_directory, path_from
from separable.ops.dispatch import plain_by_default
from separable.training.classification import task_for
from separable.training.config import TrainConfig
from separable.training.display import Display, SilentDisplay, StepView
from separable.training.evaluate import EvaluationStopped
from separable.training.finish import write_environment, write_results
from separable.training.lock import run_lock
from separable.training.session import Session, claim_run, has_checkpoint, open_session, refuse_occupied
from separable.training.signals import StopRequest
from separable.training.step import StepOutcome
from separable.training.task import Answer, AnyTask, Samples, TaskData
from separable.weights import load_model, save_model

__all__ = ["TrainResult", "train"]


@dataclass(frozen=True)
class TrainResult:
    """Where the run is, its last validation metrics, the steps done, and whether it was stopped before the end."""

    run: Path
    metrics: dict[str, Any]
    steps: int
    interrupted: bool


def train(
    config: TrainConfig,
    data: TaskData,
    *,
    task: AnyTask | None = None,
    resume: bool = False,
    display: Display | None = None,
    stop: StopRequest | None = None,
) -> TrainResult:
    """Train, or with `resume` go on from the newest whole checkpoint, and leave a complete run folder.

    Args:
        config: of the training; its `task` is that of `task`.
        data: what `read_folder` gives for classes, or what `task` trains on.
        task: what is learnt; None for classes of pictures.
        resume: whether the run may have begun.
        display: where words go; None for none.
        stop: asks to stop after a step; before the first one, where what is settled on the data takes long, no
            checkpoint is left, and the run begins anew.

    Raises:
        UsageError: network or settings are of another task.
        RunFolderError: the folder holds a run and `resume` is not set, it holds other things or the pictures, or
            another process trains in it.
        CheckpointError: the checkpoint belongs to another training, or all are damaged.
        DivergedError: loss or gradient is not finite; names the step and the batch's files, keeps the last checkpoint.
        TooManyBadPicturesError: more unreadable pictures than `config.data.max_bad`.
        OutputError: no space or no permission; the last checkpoint stays whole.
    """
    display, run, task = display or SilentDisplay(), Path(config.run), task_for(config, task)
    stop = stop or StopRequest()
    refuse_occupied(run, resume, config.data.root)
    make_directory(run)
    # The kernels serve what the run has chosen, whatever this process has loaded: a resume may be in another one.
    with run_lock(run), plain_by_default():
        claim_run(config, resume)
        if resume and not has_checkpoint(run):
            display.note(f"There is nothing to resume in {run}: starting from the beginning.")
        with closing(display):
            try:
                session = open_session(config, task, data, display, lambda: stop.requested)
            except EvaluationStopped:
                display.note(f"Stopped before the first step: there is nothing of the training in {run} yet.")
                return TrainResult(run, {}, 0, True)
            with closing(session):
                runtime = session.settings.since_start().to_json()
                write_environment(run, config, session.progress.chosen, runtime=runtime)
                return _Loop(session, display, stop).run()


class _Loop:
    """Steps, epochs and checkpoints over a session."""

    def __init__(self, session: Session, display: Display, stop: StopRequest) -> None:
        self.session, self.progress, self.display, self.stop = session, session.progress, display, stop
        self.config, self.task = session.config, session.task
        self.quarantine = Quarantine(session.run / "quarantine.csv", warn=display.warn)
        self.val = self.task.held_out(session.data, session.model.input_contract, session.loader)

    def run(self) -> TrainResult:
        """Until the last epoch is done or somebody asks to stop."""
        self.reopen_quarantine()
        with closing(self.batches()) as batches:
            self.go(batches)
        self.session.save()
        return self.finish() if self.done else self.pause()

    def go(self, batches: Iterator[Batch]) -> None:
        saved = (self.progress.step, time.monotonic(), 0.0)
        while not self.done and not self.stop.requested:
            if self.progress.step == (self.progress.epochs_done + 1) * self.session.steps_per_epoch:
                self.end_epoch()
            else:
                self.step(batches)
            if self.is_due(*saved):
                begun = time.monotonic()
                self.session.save()
                saved = (self.progress.step, time.monotonic(), time.monotonic() - begun)

    @property
    def done(self) -> bool:
        return self.progress.epochs_done >= self.config.total_epochs

    def batches(self) -> Generator[Batch, None, None]:
        """From where the run stands on. Nothing is started before the first one is asked for."""
        session = self.session
        start = self.progress.step * session.batch_size
        augment, contract = self.config.recipe.augment, session.model.input_contract
        yield from self.task.training_batches(session.data, contract, augment, session.loader, start)

    def is_due(self, step: int, moment: float, cost: float) -> bool:
        machine = self.config.machine
        if machine.checkpoint_steps is not None:
            return self.progress.step - step >= machine.checkpoint_steps
        # Never more than 2 % of the time goes into checkpoints.
        return time.monotonic() - moment >= max(machine.checkpoint_seconds, 50 * cost)

    def step(self, batches: Iterator[Batch]) -> None:
        begun = time.perf_counter()
        batch = next(batches)
        waited = time.perf_counter() - begun
        self.set_aside(self.session.data.train, batch.bad)
        try:
            outcome = self.session.stepper.run(batch, self.progress.step)
        except DivergedError as error:
            raise self.diverged(batch, error) from error
        seconds = time.perf_counter() - begun
        self.count(outcome, seconds)
        right, named = _share(outcome.correct, outcome.judged), self.task.right
        self.session.journal.append(
            {
                "kind": "step",
                "step": self.progress.step,
                "epoch": self.progress.epochs_done,
                "loss": outcome.loss,
                "learning_rate": outcome.learning_rate,
                named.key: right,
                "timing": {"images_per_second": outcome.count / seconds, "data_seconds": waited},
            }
        )
        total, epoch = self.session.total_steps, self.progress.epochs_done
        view = StepView(self.progress.step, total, epoch, outcome.loss, right, outcome.count, seconds, named.text)
        self.display.step(view)

    def set_aside(self, pictures: Samples, bad: Sequence[BadPicture]) -> None:
        """List unreadable pictures of a set, by their paths from the data folder on; too many of them stop the run."""
        if bad:
            base = self.config.data.root
            self.quarantine.add(*(replace(one, path=path_from(base, pictures.root, one.path)) for one in bad))
            self.check_readable()

    def reopen_quarantine(self) -> None:
        """A run does not get past --max-bad by being started again, unless its pictures have been mended."""
        try:
            self.check_readable()
        except TooManyBadPicturesError:
            session, root = self.session, Path(self.config.data.root)
            self.quarantine.forget(self.task.mended(root, session.data, session.loader.decoder))
            self.check_readable()

    def check_readable(self) -> None:
        data = self.session.data
        self.quarantine.check(len(data.train) + len(data.val), self.config.data.max_bad)

    def count(self, outcome: StepOutcome, seconds: float) -> None:
        progress = self.progress
        progress.step += 1
        progress.loss_sum += outcome.loss * outcome.counting
        progress.correct += outcome.correct
        progress.judged += outcome.judged
        progress.seen += outcome.counting
        progress.seconds += seconds

    def end_epoch(self) -> None:
        """Validate with the weights that count, write the epoch's line, remember the best."""
        begun, progress = time.perf_counter(), self.progress
        with self.session.averaged():
            try:
                answer = self.measure()
            except EvaluationStopped:  # the epoch ends when the run goes on
                return
            self.remember(answer)
        self.set_aside(self.session.data.val, answer.bad)
        row = {
            "kind": "epoch",
            "epoch": progress.epochs_done,
            "step": progress.step,
            "train_loss": progress.loss_sum / progress.seen if progress.seen else None,
            f"train_{self.task.right.key}": _share(progress.correct, progress.judged),
            **self.task.scores(answer),
            "seconds": progress.seconds + time.perf_counter() - begun,
        }
        self.session.journal.append(row)
        self.display.epoch(row, self.task.epoch_text(row))
        progress.epochs_done += 1
        progress.loss_sum, progress.correct, progress.judged, progress.seen, progress.seconds = 0.0, 0, 0, 0, 0.0

    def measure(self) -> Answer:
        session, precision = self.session, self.config.precision
        objective = session.stepper.objective
        answer: Answer = self.task.measure(session.model, self.val, objective, precision, lambda: self.stop.requested)
        return answer

    def remember(self, answer: Answer) -> None:
        before, now = self.progress.best, self.task.best(answer)
        if before is None or self.rank(now) > self.rank(before):
            self.progress.best = {"epoch": self.progress.epochs_done, **now}
            if self.config.recipe.select != "last":
                save_model(self.session.model, self.session.run / "checkpoints" / "best")

    def rank(self, best: Mapping[str, Any]) -> tuple[float, ...]:
        if self.config.recipe.select == "lowest_loss":
            return (-math.inf if best["val_loss"] is None else -best["val_loss"],)
        return self.task.rank(best)

    def diverged(self, batch: Batch, error: DivergedError) -> DivergedError:
        names = [self.session.data.train.paths[i] for i in batch.samples.tolist()]
        listed = ", ".join(names[:16]) + (f" and {len(names) - 16} more" if len(names) > 16 else "")
        kept = f"the checkpoint of step {self.session.store.steps()[-1]} is kept"
        return DivergedError(
            f"{error.what.rstrip('.')} at step {self.progress.step + 1}",
            got=f"{error.got} on the pictures {listed}",
            fix=f"Look at them, or lower the learning rate; {kept}",
        )

    def pause(self) -> TrainResult:
        step, total = self.progress.step, self.session.total_steps
        self.display.note(f"Stopped after step {step} of {total} and saved in {self.session.run}.")
        return TrainResult(self.session.run, dict(self.progress.best or {}), step, True)

    def finish(self) -> TrainResult:
        session, run = self.session, self.session.run
        model = session.model
        # By plain torch: the figures that stay do not hang on what was faster here, and layers can be looked into.
        with session.averaged(), plain_torch(model):
            if self.config.recipe.select != "last":
                model = load_model(run / "checkpoints" / "best")
            objective = session.stepper.objective
            answer = write_results(self.config, self.task, model, session.data, self.val, objective, session.loader)
        metrics = self.task.metrics(answer) | {"best": self.progress.best}
        return TrainResult(run, metrics, self.progress.step, False)


def _share(right: int, judged: int) -> float | None:
    """None where nothing was labelled."""
    return right / judged if judged else None
