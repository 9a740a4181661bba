"""Batches of pictures. What is in a batch is a function of its positions alone; workers only decide how soon it comes.

Training numbers its pictures by a global position p = epoch * pictures_per_epoch + i. Position p shows the sample that
the keyed permutation of that epoch puts at i, augmented by the key (seed, epoch, sample). So a training goes on from
any position without having seen the ones before it, and any number of workers gives the same bits.
"""

import itertools
import signal
import sys
import threading
import warnings
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from functools import partial
from typing import Any

import torch
from torch.utils.data import DataLoader, Sampler

from separable.data.augment_config import AugmentConfig
from separable.data.datasets import (
    ClassReader,
    EvaluationPictures,
    Pictures,
    Reader,
    TrainingPictures,
    pictures_per_epoch,
)
from separable.data.folder import PictureSet
from separable.data.loader_config import LoaderConfig
from separable.data.quarantine import BadPicture
from separable.errors import SeparableError, UsageError
from separable.machine.runtime import run_on, unpinned_cores
from separable.models.contract import InputContract

__all__ = [
    "Batch",
    "LoaderConfig",
    "eval_batches",
    "pictures_per_epoch",
    "run_evaluation",
    "run_training",
    "train_batches",
]


@dataclass
class Batch:
    """Pictures, (batch, 3, height, width) uint8 in channels_last order, and what they are."""

    images: torch.Tensor
    labels: torch.Tensor
    """(batch,) int64 classes; or (batch, height, width) int16 masks, -1 where a pixel does not count; or (batch, most
    labels of a picture) int32 classes of pictures with any number of them, -1 after the last one."""
    samples: torch.Tensor
    """(batch,) int64, index in the set of the picture that is shown."""
    positions: torch.Tensor
    """(batch,) int64, global positions in training, indices in evaluation."""
    epoch: int = 0
    bad: list[BadPicture] = field(default_factory=list)
    """Pictures met on the way that could not be read."""


def train_batches(
    pictures: PictureSet,
    contract: InputContract,
    augment_config: AugmentConfig,
    loader_config: LoaderConfig,
    *,
    start_position: int = 0,
) -> Iterator[Batch]:
    """Augmented batches without end, from a global position on.

    Batches are cut at multiples of the batch size in each epoch; a start in the middle of one gives its rest first.
    Close the iterator, or let go of it, to stop the workers.

    Raises:
        SeparableError: a worker died.
        TooManyBadPicturesError: no readable picture was found for a slot.
        UsageError: there are none.
    """
    return run_training(ClassReader(pictures, contract, loader_config, augment_config), start_position)


def eval_batches(pictures: PictureSet, contract: InputContract, loader_config: LoaderConfig) -> Iterator[Batch]:
    """Every picture once, in order, through the one preprocessing.

    A picture that cannot be read is left out and listed in its batch's `bad`; a batch may be empty for it.
    """
    return run_evaluation(ClassReader(pictures, contract, loader_config))


def run_training(reader: Reader, start_position: int = 0) -> Iterator[Batch]:
    """`train_batches` of whatever a reader reads.

    Raises:
        UsageError: it reads nothing, or the position is negative.
    """
    if not reader.count:
        raise UsageError("There are no pictures to train on")
    data = TrainingPictures(reader)
    return _run(data, _Spans(data.batch, start_position), data.per_epoch, reader.config)


def run_evaluation(reader: Reader) -> Iterator[Batch]:
    """`eval_batches` of whatever a reader reads."""
    count, size = reader.count, reader.config.batch_size
    spans = [list(range(start, min(start + size, count))) for start in range(0, count, size)]
    return _run(EvaluationPictures(reader), spans, max(1, count), reader.config)


class _Spans(Sampler[list[int]]):
    """Global positions, one list a batch, for ever."""

    def __init__(self, batch: int, start: int) -> None:
        if start < 0:
            raise UsageError("The start position cannot be negative", got=start)
        self._batch, self._start = batch, start

    def __iter__(self) -> Iterator[list[int]]:
        first = self._start
        # An epoch is a whole number of batches, so multiples of the batch size run straight through the epochs.
        for end in itertools.count((first // self._batch + 1) * self._batch, self._batch):
            yield list(range(first, end))
            first = end


def _as_they_are(parts: Any) -> Any:
    return parts


def _start_worker(cores: frozenset[int] | None, _: int) -> None:
    # Ctrl-C goes to the whole process group; the parent decides what it means.
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    run_on(cores)


def _run(data: Pictures, spans: Iterable[list[int]], per_epoch: int, config: LoaderConfig) -> Iterator[Batch]:
    """Turn spans of positions into batches, through torch's DataLoader."""
    workers: Any = _open(data, spans, config)
    try:
        while True:
            try:
                parts = next(workers)
            except StopIteration:
                return
            except RuntimeError as error:
                if "DataLoader worker" not in str(error):
                    raise
                raise _worker_died(error) from error
            if isinstance(parts, SeparableError):
                raise parts
            images, labels, samples, positions, bad = parts
            # Out of the shared memory of the workers, which is small in containers and costs a file handle a batch.
            images, labels = (one.clone() if one.is_shared() else one for one in (images, labels))
            chosen = torch.tensor(samples, dtype=torch.int64)
            epoch = positions[0] // per_epoch if positions else 0
            yield Batch(images, labels, chosen, torch.tensor(positions, dtype=torch.int64), epoch, list(bad))
    finally:
        del workers  # its finaliser ends the processes


def _open(data: Pictures, spans: Iterable[list[int]], config: LoaderConfig) -> Iterator[Any]:
    method = config.start_method or ("fork" if sys.platform == "linux" else "spawn")
    child_died: Any = getattr(signal, "SIGCHLD", None)  # Windows has none
    previous = signal.getsignal(child_died) if config.workers and child_died is not None else None
    with warnings.catch_warnings():
        # More workers than cores is the user's choice; and Python 3.12 warns about fork beside threads, which is why
        # torch keeps its workers at one thread.
        warnings.filterwarnings("ignore", message=".*worker processes in total")
        warnings.filterwarnings("ignore", message=".*use of fork", category=DeprecationWarning)
        loader = DataLoader(
            data,
            batch_sampler=spans,
            num_workers=config.workers,
            collate_fn=_as_they_are,
            pin_memory=config.pin_memory and torch.cuda.is_available(),
            worker_init_fn=partial(_start_worker, unpinned_cores()) if config.workers else None,
            prefetch_factor=config.prefetch if config.workers else None,
            multiprocessing_context=method if config.workers else None,
            # A generator of its own: torch would otherwise take a number from the global one at every start.
            generator=torch.Generator(),
        )
        iterator = iter(loader)
    if previous is not None and threading.current_thread() is threading.main_thread():
        # torch reports a dead worker by raising from a signal handler, in the middle of whatever runs. Without its
        # handler the same is found out, and raised, where a batch is asked for.
        signal.signal(child_died, previous)
    return iterator


def _worker_died(error: RuntimeError) -> SeparableError:
    return SeparableError(
        "A data worker died",
        got=str(error).splitlines()[0].rstrip(". "),
        fix="If memory ran out, use fewer --workers or a smaller batch; go on with --resume",
    )
