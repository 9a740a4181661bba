"""What a data worker does: positions in, stacked pixels and the list of unreadable pictures out."""

import os
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from typing import Any

import numpy as np
import torch
from torch.utils.data import Dataset

from separable.data.augment import augment_file
from separable.data.augment_config import AugmentConfig
from separable.data.decode import resolve_decoder
from separable.data.folder import PictureSet
from separable.data.loader_config import LoaderConfig
from separable.data.order import permute
from separable.data.preprocess import prepare_file
from separable.data.quarantine import BadPicture
from separable.data.random import Key, uniforms
from separable.errors import BadPictureError, SeparableError, TooManyBadPicturesError
from separable.models.contract import InputContract

__all__ = ["EvaluationPictures", "Parts", "Pictures", "TrainingPictures", "pictures_per_epoch"]

Parts = tuple[torch.Tensor, list[int], list[int], list[BadPicture]]
"""Images (batch, 3, height, width) uint8, samples, positions, unreadable pictures met on the way."""
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


class Pictures(Dataset[Any]):
    """What both kinds of batches share. torch calls `__getitems__` with a batch's positions, in a worker or not."""

    def __init__(self, pictures: PictureSet, contract: InputContract, config: LoaderConfig) -> None:
        # Paths as one block of bytes: of a list of strings, every page would be copied into every forked worker,
        # because looking at a Python object writes its reference count.
        encoded = [os.fsencode(path) for path in pictures.paths]
        self._root, self._block = str(pictures.root), b"".join(encoded)
        self._ends = np.cumsum([len(path) for path in encoded])
        self._count = len(encoded)
        self._contract = contract if config.image_size is None else replace(contract, size=config.image_size)
        self._config = replace(config, decoder=resolve_decoder(config.decoder))

    def _path(self, sample: int) -> str:
        start = int(self._ends[sample - 1]) if sample else 0
        return os.fsdecode(self._block[start : int(self._ends[sample])])

    def _file(self, sample: int) -> str:
        return os.path.join(self._root, self._path(sample))

    def _bad(self, sample: int, error: BadPictureError) -> BadPicture:
        return BadPicture(self._path(sample), error.what.rstrip("."), sample)

    def _stack(self, images: list[torch.Tensor]) -> torch.Tensor:
        height, width = self._contract.size
        stacked = torch.zeros((len(images), height, width, 3), dtype=torch.uint8)
        for row, image in enumerate(images):
            stacked[row] = image.permute(1, 2, 0)
        return stacked.permute(0, 3, 1, 2)


class TrainingPictures(Pictures):
    """Indexed by lists of global positions."""

    def __init__(
        self, pictures: PictureSet, contract: InputContract, augment_config: AugmentConfig, config: LoaderConfig
    ) -> None:
        super().__init__(pictures, contract, config)
        self._augment = augment_config
        self.batch = max(1, min(config.batch_size, self._count))
        self.per_epoch = pictures_per_epoch(self._count, config.batch_size)

    def __getitems__(self, positions: list[int]) -> Parts | SeparableError:
        bad: list[BadPicture] = []
        samples, images = [], []
        try:
            with _one_thread():
                for position in positions:
                    sample, image = self._show(position, bad)
                    samples.append(sample)
                    images.append(image)
        except SeparableError as error:
            # Handed over, not raised: torch would rebuild it in the parent from its text, with a worker's traceback.
            return error
        return self._stack(images), samples, positions, bad

    def _show(self, position: int, bad: list[BadPicture]) -> tuple[int, torch.Tensor]:
        """The sample at a position and its pixels; a bad picture's slot is filled by keyed draws of others."""
        seed = self._config.seed
        epoch, place = divmod(position, self.per_epoch)
        sample = permute(place, self._count, seed, epoch)
        others: list[float] = []
        for attempt in range(_ATTEMPTS):
            try:
                return sample, self._read(sample, epoch)
            except BadPictureError as error:
                bad.append(self._bad(sample, error))
            others = others or uniforms(Key(seed, epoch, position), "replacement", _ATTEMPTS)
            sample = int(others[attempt] * self._count)
        raise TooManyBadPicturesError(
            f"None of {_ATTEMPTS} pictures drawn in a row can be read",
            got=f"the last: {bad[-1].path} ({bad[-1].cause})",
            fix="Run `separable check` on the data folder",
        )

    def _read(self, sample: int, epoch: int) -> torch.Tensor:
        config = self._config
        return augment_file(
            self._file(sample),
            self._contract,
            self._augment,
            Key(config.seed, epoch, sample),
            decoder=config.decoder,
            max_pixels=config.max_pixels,
        )


class EvaluationPictures(Pictures):
    """Indexed by lists of indices in the set."""

    def __getitems__(self, indices: list[int]) -> Parts:
        config = self._config
        bad: list[BadPicture] = []
        samples, images = [], []
        options: dict[str, Any] = {"decoder": config.decoder, "max_pixels": config.max_pixels}
        with _one_thread():
            for index in indices:
                try:
                    images.append(prepare_file(self._file(index), self._contract, **options))
                    samples.append(index)
                except BadPictureError as error:
                    bad.append(self._bad(index, error))
        return self._stack(images), samples, samples, bad
