"""What a data worker does: positions in, stacked pixels and the list of unreadable pictures out."""

import os
from abc import ABC, abstractmethod
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any, final

import numpy as np
import torch
from torch.utils.data import Dataset

from separable.data.augment import augment_file
from separable.data.augment_config import AugmentConfig
from separable.data.decode import PictureFile, resolve_decoder
from separable.data.folder import PictureSet
from separable.data.loader_config import LoaderConfig
from separable.data.order import permute
from separable.data.preprocess import prepare_opened
from separable.data.quarantine import BadPicture
from separable.data.random import Key, uniforms
from separable.errors import BadPictureError, SeparableError, TooManyBadPicturesError
from separable.models.contract import InputContract

__all__ = [
    "ClassReader",
    "EvaluationPictures",
    "FileReader",
    "Parts",
    "Pictures",
    "Reader",
    "TrainingPictures",
    "pictures_per_epoch",
]

Parts = tuple[torch.Tensor, torch.Tensor, list[int], list[int], list[BadPicture]]
"""Images (batch, 3, height, width) uint8, labels, samples, positions, unreadable pictures met on the way."""
_ATTEMPTS = 64
"""Keyed draws for one bad slot. With nine pictures in ten unreadable, all fail once in a thousand slots."""


def pictures_per_epoch(pictures: int, batch_size: int) -> int:
    """How many of a set's pictures an epoch shows: whole batches only, each epoch leaving out others."""
    return pictures // batch_size * batch_size if pictures >= batch_size else pictures


@contextmanager
def _one_thread() -> Iterator[None]:
    """One picture is too little work for two threads; a worker has one anyway, the training's own process has not."""
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        yield
    finally:
        torch.set_num_threads(threads)


class Reader(ABC):
    """One sample at a time: its pixels, and what they show. Workers get a copy: it holds little, and no open files."""

    def __init__(self, count: int, contract: InputContract, config: LoaderConfig) -> None:
        self.count = count
        self.contract = contract if config.image_size is None else replace(contract, size=config.image_size)
        self.config = replace(config, decoder=resolve_decoder(config.decoder))

    @abstractmethod
    def path(self, sample: int) -> str:
        """Of the picture, relative to the root of its set."""

    @abstractmethod
    def train(self, sample: int, epoch: int) -> tuple[torch.Tensor, Any]:
        """(3, height, width) uint8, augmented by (seed, epoch, sample), and its label.

        Raises:
            BadPictureError: with a short cause.
        """

    @abstractmethod
    def evaluate(self, sample: int) -> tuple[torch.Tensor, Any]:
        """As `train`, through the one preprocessing."""

    @abstractmethod
    def labels(self, labels: list[Any]) -> torch.Tensor:
        """The labels of a batch as one tensor."""


class FileReader(Reader, ABC):
    """Pictures with labels that an augmentation leaves as they are: of whole pictures, not of their pixels."""

    def __init__(
        self,
        root: Path,
        paths: Sequence[str],
        contract: InputContract,
        config: LoaderConfig,
        augment_config: AugmentConfig | None = None,
    ) -> None:
        super().__init__(len(paths), contract, config)
        # Paths as one block of bytes: of a list of strings, every page would be copied into every forked worker,
        # because looking at a Python object writes its reference count.
        encoded = [os.fsencode(path) for path in paths]
        self._root, self._block = str(root), b"".join(encoded)
        self._ends = np.cumsum([len(path) for path in encoded])
        self._augment = augment_config or AugmentConfig.none()

    @abstractmethod
    def label(self, sample: int) -> Any:
        """Of one picture, as `labels` takes it."""

    def path(self, sample: int) -> str:
        """See `Reader`."""
        start = int(self._ends[sample - 1]) if sample else 0
        return os.fsdecode(self._block[start : int(self._ends[sample])])

    @final
    def train(self, sample: int, epoch: int) -> tuple[torch.Tensor, Any]:
        """See `Reader`."""
        key = Key(self.config.seed, epoch, sample)
        image = augment_file(self._file(sample), self.contract, self._augment, key, **self._options())
        return image, self.label(sample)

    @final
    def evaluate(self, sample: int) -> tuple[torch.Tensor, Any]:
        """See `Reader`."""
        return prepare_opened(self.opened(sample), self.contract), self.label(sample)

    @final
    def opened(self, sample: int) -> PictureFile:
        """Its file, the header read.

        Raises:
            BadPictureError: with a short cause.
        """
        return PictureFile(self._file(sample), **self._options())

    def _file(self, sample: int) -> str:
        return os.path.join(self._root, self.path(sample))

    def _options(self) -> dict[str, Any]:
        return {"decoder": self.config.decoder, "max_pixels": self.config.max_pixels}


@final
class ClassReader(FileReader):
    """Pictures with a class each."""

    def __init__(
        self,
        pictures: PictureSet,
        contract: InputContract,
        config: LoaderConfig,
        augment_config: AugmentConfig | None = None,
    ) -> None:
        super().__init__(pictures.root, pictures.paths, contract, config, augment_config)
        self._labels = pictures.labels

    def label(self, sample: int) -> int:
        """The class."""
        return int(self._labels[sample])

    def labels(self, labels: list[int]) -> torch.Tensor:
        """(batch,) int64."""
        return torch.tensor(labels, dtype=torch.int64)


class Pictures(Dataset[Any], ABC):
    """What both kinds of batches share. torch calls `__getitems__` with a batch's positions, in a worker or not."""

    def __init__(self, reader: Reader) -> None:
        self._reader = reader

    @abstractmethod
    def __getitems__(self, positions: list[int]) -> Parts | SeparableError: ...

    def _bad(self, sample: int, error: BadPictureError) -> BadPicture:
        return BadPicture(self._reader.path(sample), error.what.rstrip("."), sample)

    def _parts(
        self, shown: list[tuple[torch.Tensor, Any]], samples: list[int], positions: list[int], bad: list[BadPicture]
    ) -> Parts:
        height, width = self._reader.contract.size
        stacked = torch.zeros((len(shown), height, width, 3), dtype=torch.uint8)
        for row, (image, _) in enumerate(shown):
            stacked[row] = image.permute(1, 2, 0)
        labels = self._reader.labels([label for _, label in shown])
        return stacked.permute(0, 3, 1, 2), labels, samples, positions, bad


@final
class TrainingPictures(Pictures):
    """Indexed by lists of global positions."""

    def __init__(self, reader: Reader) -> None:
        super().__init__(reader)
        self.batch = max(1, min(reader.config.batch_size, reader.count))
        self.per_epoch = pictures_per_epoch(reader.count, reader.config.batch_size)

    def __getitems__(self, positions: list[int]) -> Parts | SeparableError:
        bad: list[BadPicture] = []
        samples, shown = [], []
        try:
            with _one_thread():
                for position in positions:
                    sample, one = self._show(position, bad)
                    samples.append(sample)
                    shown.append(one)
        except SeparableError as error:
            # Handed over, not raised: torch would rebuild it in the parent from its text, with a worker's traceback.
            return error
        return self._parts(shown, samples, positions, bad)

    def _show(self, position: int, bad: list[BadPicture]) -> tuple[int, tuple[torch.Tensor, Any]]:
        """The sample at a position, its pixels and label; a bad one's slot is filled by keyed draws of others."""
        reader = self._reader
        seed = reader.config.seed
        epoch, place = divmod(position, self.per_epoch)
        sample = permute(place, reader.count, seed, epoch)
        others: list[float] = []
        for attempt in range(_ATTEMPTS):
            try:
                return sample, reader.train(sample, epoch)
            except BadPictureError as error:
                bad.append(self._bad(sample, error))
            others = others or uniforms(Key(seed, epoch, position), "replacement", _ATTEMPTS)
            sample = int(others[attempt] * reader.count)
        raise TooManyBadPicturesError(
            f"None of {_ATTEMPTS} pictures drawn in a row can be read",
            got=f"the last: {bad[-1].path} ({bad[-1].cause})",
            fix="Run `separable check` on the data folder",
        )


@final
class EvaluationPictures(Pictures):
    """Indexed by lists of indices in the set."""

    def __getitems__(self, indices: list[int]) -> Parts:
        bad: list[BadPicture] = []
        samples, shown = [], []
        with _one_thread():
            for index in indices:
                try:
                    shown.append(self._reader.evaluate(index))
                    samples.append(index)
                except BadPictureError as error:
                    bad.append(self._bad(index, error))
        return self._parts(shown, samples, samples, bad)
