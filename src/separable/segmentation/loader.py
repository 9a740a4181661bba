"""Batches of pictures with masks, by the rules of `data.loader`: `Batch.labels` are the masks.

A pair of which one side cannot be read is treated as a picture that cannot: named with its cause, its slot filled by a
keyed draw of another pair.
"""

from collections.abc import Iterator
from typing import final

import numpy as np
import torch

from separable.data.augment_config import AugmentConfig
from separable.data.datasets import Reader
from separable.data.loader import Batch, LoaderConfig, run_evaluation, run_training
from separable.data.preprocess import prepare_opened
from separable.data.random import Key
from separable.models.contract import InputContract
from separable.segmentation.augment import augment_pair_file, demand_for_masks
from separable.segmentation.labels import Mask
from separable.segmentation.nearest import prepare_mask
from separable.segmentation.pairs import PairSet

__all__ = ["PairReader", "eval_pair_batches", "train_pair_batches"]


@final
class PairReader(Reader):
    """Pictures with a mask each."""

    def __init__(
        self,
        pairs: PairSet,
        contract: InputContract,
        config: LoaderConfig,
        augment_config: AugmentConfig | None = None,
    ) -> None:
        super().__init__(len(pairs), contract, config)
        self._pairs, self._augment = pairs, augment_config or AugmentConfig.none()
        demand_for_masks(self._augment)

    def path(self, sample: int) -> str:
        """See `Reader`."""
        return self._pairs.paths[sample]

    def train(self, sample: int, epoch: int) -> tuple[torch.Tensor, Mask]:
        """See `Reader`."""
        file, mask = self._pairs.open(sample, max_pixels=self.config.max_pixels, decoder=self.config.decoder)
        return augment_pair_file(file, mask, self.contract, self._augment, Key(self.config.seed, epoch, sample))

    def evaluate(self, sample: int) -> tuple[torch.Tensor, Mask]:
        """See `Reader`: resized and cut as the contract says, the mask by the nearest pixel."""
        file, mask = self._pairs.open(sample, max_pixels=self.config.max_pixels, decoder=self.config.decoder)
        return prepare_opened(file, self.contract), prepare_mask(mask, self.contract)

    def labels(self, labels: list[Mask]) -> torch.Tensor:
        """(batch, height, width) int16."""
        return torch.from_numpy(np.stack(labels) if labels else np.zeros((0, *self.contract.size), np.int16))


def train_pair_batches(
    pairs: PairSet,
    contract: InputContract,
    augment_config: AugmentConfig,
    loader_config: LoaderConfig,
    *,
    start_position: int = 0,
) -> Iterator[Batch]:
    """`data.loader.train_batches` of pictures with masks.

    Raises:
        SeparableError: a worker died.
        TooManyBadPicturesError: no readable pair was found for a slot.
        UsageError: there are none, or the augmentation mixes pictures.
    """
    return run_training(PairReader(pairs, contract, loader_config, augment_config), start_position)


def eval_pair_batches(pairs: PairSet, contract: InputContract, loader_config: LoaderConfig) -> Iterator[Batch]:
    """`data.loader.eval_batches` of pictures with masks, at the contract's size."""
    return run_evaluation(PairReader(pairs, contract, loader_config))
