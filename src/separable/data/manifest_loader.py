"""Batches of pictures with any number of labels each, by the rules of `data.loader`: `Batch.labels` are padded lists.

A batch has as many columns as its picture with the most labels, one at least; nothing in it is as wide as the classes.
"""

from collections.abc import Iterator
from typing import final

import numpy as np
import torch
from numpy.typing import NDArray

from separable.data.augment_config import AugmentConfig
from separable.data.datasets import FileReader
from separable.data.loader import Batch, LoaderConfig, run_evaluation, run_training
from separable.data.manifest_set import TagSet
from separable.models.contract import InputContract

__all__ = ["TagReader", "eval_tag_batches", "train_tag_batches"]


@final
class TagReader(FileReader):
    """Pictures with any number of labels each."""

    def __init__(
        self,
        pictures: TagSet,
        contract: InputContract,
        config: LoaderConfig,
        augment_config: AugmentConfig | None = None,
    ) -> None:
        super().__init__(pictures.root, pictures.paths, contract, config, augment_config)
        self._indices, self._offsets = pictures.indices, pictures.offsets

    def label(self, sample: int) -> NDArray[np.int32]:
        """The classes, ascending."""
        return self._indices[self._offsets[sample] : self._offsets[sample + 1]]

    def labels(self, labels: list[NDArray[np.int32]]) -> torch.Tensor:
        """(batch, most) int32, -1 where a picture has no more."""
        padded = np.full((len(labels), max([1, *map(len, labels)])), -1, np.int32)
        for row, one in zip(padded, labels, strict=True):
            row[: len(one)] = one
        return torch.from_numpy(padded)


def train_tag_batches(
    pictures: TagSet,
    contract: InputContract,
    augment_config: AugmentConfig,
    loader_config: LoaderConfig,
    *,
    start_position: int = 0,
) -> Iterator[Batch]:
    """`data.loader.train_batches` of pictures with any number of labels each.

    Raises:
        SeparableError: a worker died.
        TooManyBadPicturesError: no readable picture was found for a slot.
        UsageError: there are none.
    """
    return run_training(TagReader(pictures, contract, loader_config, augment_config), start_position)


def eval_tag_batches(pictures: TagSet, contract: InputContract, loader_config: LoaderConfig) -> Iterator[Batch]:
    """`data.loader.eval_batches` of pictures with any number of labels each."""
    return run_evaluation(TagReader(pictures, contract, loader_config))
