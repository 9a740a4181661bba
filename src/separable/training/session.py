"""Opening a training: fresh from its starting weights, or restored from the newest whole checkpoint."""

import hashlib
import warnings
from collections.abc import Callable
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import torch

from separable.data.decode import resolve_decoder
from separable.data.folder import FolderData, PictureSet
from separable.data.loader import LoaderConfig
from separable.errors import RunFolderError
from separable.machine.allocator import AllocatorReport, keep_freed_memory
from separable.models.base import ImageModel
from separable.training.checkpoint import CheckpointStore, Progress
from separable.training.codec import to_plain
from separable.training.config import MachineConfig, TrainConfig
from separable.training.journal import Journal
from separable.training.start import build_for, starting_model
from separable.training.step import Stepper, prepare_for_training

__all__ = ["Session", "claim_run", "open_session"]


@dataclass
class Session:
    """Everything a training holds while it runs. `fresh` is True where no checkpoint was restored."""

    config: TrainConfig
    data: FolderData
    model: ImageModel
    stepper: Stepper
    progress: Progress
    store: CheckpointStore
    journal: Journal
    loader: LoaderConfig
    batch_size: int
    steps_per_epoch: int
    allocator: AllocatorReport
    fresh: bool

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

    def averaged(self) -> AbstractContextManager[None]:
        """The model holds the weights to evaluate with inside the block."""
        return nullcontext() if self.stepper.average is None else self.stepper.average.applied()


def claim_run(config: TrainConfig, resume: bool) -> None:
    """Write `config.yaml` where the run has no checkpoint yet.

    Raises:
        RunFolderError: the folder holds a run and `resume` is not set.
    """
    run = Path(config.run)
    if (run / "config.yaml").exists() and not resume:
        raise RunFolderError(
            f"{run} already holds a run", fix="Go on with it by --resume, or choose another folder with --run"
        )
    if not any((run / "checkpoints").glob("step-*")):
        config.to_yaml(run / "config.yaml")


def open_session(config: TrainConfig, data: FolderData, note: Callable[[str], None]) -> Session:
    """Build model and optimiser and bring them to the newest checkpoint; the starting weights become checkpoint 0.

    Raises:
        CheckpointError: the checkpoint belongs to another training, or every one is damaged.
    """
    allocator = keep_freed_memory()
    run = Path(config.run)
    store = CheckpointStore(
        run / "checkpoints", _identity(config, data), keep=config.machine.keep_checkpoints, warn=_warner(note)
    )
    chosen = _choose(config)
    stored = store.progress()
    if stored is not None:
        chosen = _replayed(stored.chosen, chosen, note)
    torch.set_num_threads(chosen["threads"])
    batch_size = min(config.batch_size, len(data.train.paths))
    loader = LoaderConfig(
        batch_size=batch_size,
        workers=config.machine.workers,
        seed=config.seed,
        decoder=chosen["decoder"],
        max_bad=config.data.max_bad,
    )
    model = _model(config, data.train, loader, stored is None, note)
    steps_per_epoch = len(data.train.paths) // batch_size
    classes = len(data.class_names)
    stepper = Stepper(model, config, num_classes=classes, steps_per_epoch=steps_per_epoch, batch_size=batch_size)
    restored = store.restore(model, stepper.optimiser, stepper.average)
    progress = restored or Progress(chosen=chosen)
    journal = Journal(run / "metrics.jsonl")
    journal.rewind(progress.step, progress.epochs_done)
    session = Session(
        config,
        data,
        model,
        stepper,
        progress,
        store,
        journal,
        loader,
        batch_size,
        steps_per_epoch,
        allocator,
        restored is None,
    )
    if restored is None:
        session.save()
    else:
        note(f"Resuming {run} after step {progress.step} of {session.total_steps}.")
    return session


def _model(
    config: TrainConfig,
    pictures: PictureSet,
    loader: LoaderConfig,
    fresh: bool,
    note: Callable[[str], None],
) -> ImageModel:
    if fresh:
        model, sentence = starting_model(config, pictures, loader)
        note(sentence)
    else:
        model = build_for(config, pictures.class_names)
    prepare_for_training(model, config)
    return model


def _choose(config: TrainConfig) -> dict[str, Any]:
    """What another machine or another day could choose otherwise; settled at the first step, replayed on resume."""
    return {
        "threads": config.threads or torch.get_num_threads(),
        "decoder": resolve_decoder(config.data.decoder),
        "channels_last": config.channels_last,
        "precision": config.precision,
        "device": config.device,
        "torch": torch.__version__,
        "instructions": torch.backends.cpu.get_cpu_capability(),
    }


def _replayed(then: dict[str, Any], now: dict[str, Any], note: Callable[[str], None]) -> dict[str, Any]:
    resolve_decoder(then["decoder"])  # names the missing package where it went away
    moved = [
        f"{key} {then[key]} then, {now[key]} now"
        for key in ("torch", "instructions", "device")
        if then[key] != now[key]
    ]
    if moved:
        _warner(note)(f"Resuming elsewhere ({'; '.join(moved)}): from here on the run is not identical to the bit.")
    return then


def _warner(note: Callable[[str], None]) -> Callable[[str], None]:
    def warn(text: str) -> None:
        note(f"Warning: {text}")
        warnings.warn(text, stacklevel=3)

    return warn


def _identity(config: TrainConfig, data: FolderData) -> dict[str, Any]:
    """What has to be the same for a resume. Where the pictures lie may change; which they are may not."""
    anywhere = replace(config.data, root="", train_root="", val_root="", labels_csv=None)
    neutral = replace(config, run="", machine=MachineConfig(), data=anywhere)
    return {
        "config": to_plain(neutral),
        "classes": list(data.class_names),
        "training pictures": _fingerprint(data.train),
        "validation pictures": _fingerprint(data.val),
    }


def _fingerprint(pictures: PictureSet) -> str:
    digest = hashlib.sha256()
    for path, label in zip(pictures.paths, pictures.labels, strict=True):
        digest.update(f"{label} {path}\n".encode(errors="surrogateescape"))
    return f"{len(pictures.paths)} ({digest.hexdigest()[:16]})"
