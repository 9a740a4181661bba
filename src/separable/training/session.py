"""Opening a training: fresh from its starting weights, or restored from the newest whole checkpoint."""

import re
from collections.abc import Callable
from contextlib import AbstractContextManager, ExitStack, nullcontext
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from separable.data.loader import LoaderConfig, pictures_per_epoch
from separable.errors import RunFolderError, SeparableError
from separable.machine.allocator import keep_freed_memory
from separable.machine.runtime import Settings, tune_runtime
from separable.models.base import ImageModel
from separable.training.acceleration import choose_acceleration, replay_acceleration
from separable.training.checkpoint import CheckpointStore
from separable.training.chosen import choose, replay
from separable.training.codec import to_plain
from separable.training.config import MachineConfig, TrainConfig
from separable.training.device import settle_device
from separable.training.display import Display
from separable.training.journal import Journal
from separable.training.progress import Progress
from separable.training.start import build_for, starting_model
from separable.training.step import Stepper, prepare_for_training
from separable.training.task import AnyTask, Samples, TaskData

__all__ = ["Session", "claim_run", "has_checkpoint", "open_session", "refuse_occupied"]


_LEFT = re.compile(r"\.lock|\.DS_Store|check\.(json|csv)|\.(check\.json|check\.csv|config\.yaml)\.\d+\.tmp")
"""What may lie in a folder where no training has begun: the check of the pictures comes first."""


@dataclass
class Session:
    """Everything a training holds while it runs."""

    config: TrainConfig
    task: AnyTask
    data: TaskData
    model: ImageModel
    stepper: Stepper
    progress: Progress
    store: CheckpointStore
    journal: Journal
    loader: LoaderConfig
    batch_size: int
    steps_per_epoch: int
    settings: Settings

    @property
    def run(self) -> Path:
        """The run folder."""
        return Path(self.config.run)

    @property
    def total_steps(self) -> int:
        """Steps in the whole training."""
        return self.config.total_epochs * self.steps_per_epoch

    def save(self) -> None:
        """Write a checkpoint of this moment, the journal's lines before it."""
        self.journal.sync()
        self.store.save(self.model, self.stepper.optimiser, self.stepper.average, self.progress)

    def close(self) -> None:
        """Let go of the journal, and set the process back."""
        self.journal.close()
        self.settings.restore()

    def averaged(self) -> AbstractContextManager[None]:
        """The model holds the weights to evaluate with inside the block."""
        return nullcontext() if self.stepper.average is None else self.stepper.average.applied()


def claim_run(config: TrainConfig, resume: bool) -> None:
    """Make sure that nobody's run is overwritten, and sweep up what a killed process was writing.

    Raises:
        RunFolderError: as `refuse_occupied`.
    """
    run = Path(config.run)
    refuse_occupied(run, resume, config.data.root)
    for folder in (run, run / "model", run / "checkpoints" / "best"):
        for rubbish in folder.glob(".*.tmp"):
            rubbish.unlink(missing_ok=True)


def refuse_occupied(run: Path, resume: bool, data: str | Path = "") -> None:
    """What can be said at once, before any work is done for the run and anything is written.

    Raises:
        RunFolderError: the folder holds a run and `resume` is not set, it holds somebody's files and no run, or it is
            the folder of pictures `data`.
    """
    if data and run.resolve() == Path(data).resolve():
        raise RunFolderError(
            f"{run} is the folder of pictures",
            expected="a folder of its own for the run",
            fix="Choose another folder with --run",
        )
    if not resume and ((run / "config.yaml").exists() or has_checkpoint(run)):
        raise RunFolderError(
            f"{run} already holds a run", fix="Go on with it by --resume, or choose another folder with --run"
        )
    strangers = [] if _is_run(run) else _strangers(run)
    if strangers:
        more = f" and {len(strangers) - 3} more" if len(strangers) > 3 else ""
        raise RunFolderError(
            f"{run} is not empty and holds no run",
            got=", ".join(strangers[:3]) + more,
            expected="an empty or a new folder, so that nothing in it is overwritten",
            fix="Choose another folder with --run",
        )


def has_checkpoint(run: Path) -> bool:
    """Whether a training has left a checkpoint in `run`, whole or not."""
    return any(path.is_file() for path in run.glob("checkpoints/step-*/state.json"))


def _is_run(run: Path) -> bool:
    if has_checkpoint(run):
        return True
    try:
        TrainConfig.from_yaml(run / "config.yaml")
    except SeparableError:
        return False
    return True


def _strangers(run: Path) -> list[str]:
    """What is in the folder and was not left by a run that ended before its first checkpoint."""
    if not run.is_dir():
        return []
    return sorted(path.name for path in run.iterdir() if not _LEFT.fullmatch(path.name))


def open_session(
    config: TrainConfig,
    task: AnyTask,
    data: TaskData,
    display: Display,
    should_stop: Callable[[], bool] = lambda: False,
) -> Session:
    """Build model and optimiser and bring them to the newest checkpoint; the starting weights become checkpoint 0.

    The process is tuned until `Session.close`; whatever ends this early, Ctrl-C too, leaves it as it was.

    Raises:
        CheckpointError: the checkpoint belongs to another training, or every one is damaged.
        EvaluationStopped: `should_stop` said yes before there was a checkpoint; nothing of the run is kept.
    """
    settle_device(config)
    store = CheckpointStore(
        Path(config.run) / "checkpoints",
        _identity(config, data),
        keep=config.machine.keep_checkpoints,
        warn=display.warn,
    )
    stored = store.progress()
    if stored is not None:
        task.recognise(config, data)
    chosen = choose(config) if stored is None else replay(stored.chosen, config, display)
    with ExitStack() as undo:
        settings = undo.enter_context(_tune(config, chosen["threads"]))
        session = _open(config, task, data, display, store, stored, chosen, settings, should_stop)
        undo.pop_all()
    return session


def _open(
    config: TrainConfig,
    task: AnyTask,
    data: TaskData,
    display: Display,
    store: CheckpointStore,
    stored: Progress | None,
    chosen: dict[str, Any],
    settings: Settings,
    should_stop: Callable[[], bool],
) -> Session:
    """`chosen` gets what is settled on the network itself, where the run begins."""
    batch_size = min(config.batch_size, len(data.train))
    steps = pictures_per_epoch(len(data.train), batch_size) // batch_size
    loader = LoaderConfig(
        batch_size=batch_size,
        workers=config.machine.workers,
        seed=config.seed,
        decoder=chosen["decoder"],
        max_bad=config.data.max_bad,
        pin_memory=config.device.startswith("cuda"),
    )
    model = _model(config, data.train, loader, store, display)
    if stored is None:
        ahead = config.total_epochs * steps
        chosen |= task.settle(config, data, display, should_stop)
        chosen["runtime"] = {one.name: one.after for one in settings.settings}
        chosen["acceleration"] = choose_acceleration(model, config, display, batch_size=batch_size, steps=ahead)
    else:
        replay_acceleration(model, config, chosen, display)
    objective = task.objective(config, len(data.class_names), chosen)
    stepper = Stepper(model, config, objective=objective, steps_per_epoch=steps, batch_size=batch_size)
    progress = store.restore(model, stepper.optimiser, stepper.average) or Progress(chosen=chosen)
    # Not before everything that can be wrong with a command has been found out; after a resume it says what holds now.
    config.to_yaml(Path(config.run) / "config.yaml")
    journal = Journal(Path(config.run) / "metrics.jsonl")
    journal.rewind(progress.step, progress.epochs_done)
    session = Session(config, task, data, model, stepper, progress, store, journal, loader, batch_size, steps, settings)
    if stored is None:
        session.save()
        task.remember(config, data)
    else:
        display.note(f"Resuming {session.run} after step {progress.step} of {session.total_steps}.")
    return session


def _tune(config: TrainConfig, threads: int) -> Settings:
    """For this process, until `restore`; the allocator stays as it is then, which what follows gains by too."""
    keep_freed_memory(one_arena=True)
    # A GPU's training needs the cores for reading pictures, all of them.
    return tune_runtime(threads=threads, pin=config.device.startswith("cpu"))


def _model(
    config: TrainConfig,
    pictures: Samples,
    loader: LoaderConfig,
    store: CheckpointStore,
    display: Display,
) -> ImageModel:
    contract = store.contract()
    if contract is None:
        model, sentence = starting_model(config, pictures, loader)
        display.note(sentence)
    else:  # how pictures are prepared belongs to the weights, wherever those came from
        model = build_for(config, pictures.class_names)
        model.adopt(contract)
    prepare_for_training(model, config)
    return model


def _identity(config: TrainConfig, data: TaskData) -> dict[str, Any]:
    """What has to be the same for a resume.

    Where the pictures lie may change, which they are may not. How many may be unreadable changes no step. Another
    device is announced, as another processor is: the training goes on, its bits are others.
    """
    anywhere = replace(config.data, root="", train_root="", val_root="", labels_csv=None, max_bad=0.0)
    neutral = replace(config, run="", machine=MachineConfig(), device="", data=anywhere)
    plain = to_plain(neutral)
    del plain["accelerate"]  # what was chosen counts, and older runs have no such entry
    if config.task == "classify":  # nor these, which a run that classifies cannot set
        del plain["task"], plain["model"]["encoder_weights"], plain["recipe"]["loss"], plain["recipe"]["class_weights"]
    return {
        "config": plain,
        "classes": list(data.class_names),
        "training pictures": data.train.fingerprint(),
        "validation pictures": data.val.fingerprint(),
    }
