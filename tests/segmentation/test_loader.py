"""Batches of pictures with masks: the same bits from any worker and any start, and no pair stops them."""

import pickle
from pathlib import Path

import numpy as np
import pytest
import torch

from separable.data.augment_config import AugmentConfig
from separable.data.loader import Batch, LoaderConfig, train_batches
from separable.data.random import Key
from separable.errors import TooManyBadPicturesError, UsageError
from separable.models.contract import InputContract
from separable.segmentation.augment import augment_pair
from separable.segmentation.coding import MaskCoding
from separable.segmentation.loader import eval_pair_batches, train_pair_batches
from separable.segmentation.nearest import prepare_mask
from separable.segmentation.pairs import PairSet, read_pairs
from tests.segmentation.made import write_pairs

CONTRACT = InputContract((16, 20), (0.5,) * 3, (0.5,) * 3)
AUGMENT = AugmentConfig(rotate=10, colour=0.2)
CODING = MaskCoding.indices(["a", "b"])


def pairs_of(folder: Path, count: int = 13, spoil: tuple[int, ...] = ()) -> PairSet:
    write_pairs(folder, count)
    for number in spoil:
        (folder / f"masks/{number:03d}.png").write_bytes(b"no mask")
    return read_pairs(folder, coding=CODING, val_fraction=0.1).train


def first(pairs: PairSet, count: int, start: int = 0, **options: object) -> list[Batch]:
    config = LoaderConfig(**{"batch_size": 4, "seed": 5, **options})
    batches = train_pair_batches(pairs, CONTRACT, AUGMENT, config, start_position=start)
    return [next(batches) for _ in range(count)]


def same(one: Batch, other: Batch) -> bool:
    return all(
        torch.equal(getattr(one, name), getattr(other, name)) for name in ("images", "labels", "samples", "positions")
    )


def test_batches_hold_augmented_pairs(tmp_path: Path) -> None:
    pairs = pairs_of(tmp_path)
    for batch in first(pairs, 7):
        assert batch.images.shape == (4, 3, 16, 20)
        assert batch.labels.shape == (4, 16, 20)
        assert batch.labels.dtype == torch.int16
        for row, sample in enumerate(batch.samples.tolist()):
            image, mask = augment_pair(*pairs.read(sample), CONTRACT, AUGMENT, Key(5, batch.epoch, sample))
            assert torch.equal(batch.images[row], image)
            assert np.array_equal(batch.labels[row].numpy(), mask)


def test_workers_and_starts_change_nothing(tmp_path: Path) -> None:
    pairs = pairs_of(tmp_path, spoil=(3, 7))
    here = first(pairs, 7)
    for batches in (first(pairs, 7, workers=2), first(pairs, 5, start=8)):
        assert all(same(a, b) for a, b in zip(here[-len(batches) :], batches, strict=True))
    assert [bad for batch in here for bad in batch.bad] == [
        bad for batch in first(pairs, 7, workers=2) for bad in batch.bad
    ]


def test_pictures_come_in_the_order_of_classification(tmp_path: Path) -> None:
    """The same pictures as a set with classes: same order, same pixels."""
    from separable.data.folder import PictureSet

    pairs = pairs_of(tmp_path)
    pictures = PictureSet(pairs.root, pairs.paths, np.zeros(len(pairs), np.int64), ("a",))
    theirs = train_batches(pictures, CONTRACT, AUGMENT, LoaderConfig(4, seed=5))
    for ours in first(pairs, 4):
        other = next(theirs)
        assert torch.equal(ours.images, other.images)
        assert torch.equal(ours.samples, other.samples)


def test_a_bad_pair_is_named_and_moves_nothing_else(tmp_path: Path) -> None:
    whole = first(pairs_of(tmp_path / "a"), 8)
    spoilt = first(pairs_of(tmp_path / "b", spoil=(3,)), 8)
    assert {(bad.path, bad.cause) for batch in spoilt for bad in batch.bad} == {
        ("003.jpg", "its mask 003.png: not a picture")
    }
    moved = 0
    for one, other in zip(whole, spoilt, strict=True):
        for row in range(4):
            replaced = one.samples[row] != other.samples[row]
            moved += int(replaced)
            assert replaced or torch.equal(one.labels[row], other.labels[row])
    assert 1 <= moved <= 3


def test_nothing_readable_ends_with_a_sentence(tmp_path: Path) -> None:
    pairs = pairs_of(tmp_path, 5, spoil=tuple(range(5)))
    with pytest.raises(TooManyBadPicturesError, match="None of 64 pictures"):
        first(pairs, 1)
    with pytest.raises(UsageError, match="cannot be mixed"):
        next(train_pair_batches(pairs, CONTRACT, AugmentConfig(mixup=0.1), LoaderConfig(2)))


def test_evaluation_shows_every_pair_once(tmp_path: Path) -> None:
    pairs = pairs_of(tmp_path, spoil=(2,))
    batches = list(eval_pair_batches(pairs, CONTRACT, LoaderConfig(5)))
    seen = torch.cat([batch.samples for batch in batches]).tolist()
    bad = [one.sample for batch in batches for one in batch.bad]
    assert sorted(seen + bad) == list(range(len(pairs)))
    assert len(bad) == 1
    for batch in batches:
        for row, sample in enumerate(batch.samples.tolist()):
            assert np.array_equal(batch.labels[row].numpy(), prepare_mask(pairs.read(sample)[1], CONTRACT))
    assert batches[0].labels.is_contiguous()


def test_a_set_travels_to_a_spawned_worker(tmp_path: Path) -> None:
    pairs = pairs_of(tmp_path)
    pairs.read(0)
    there = pickle.loads(pickle.dumps(pairs))
    assert there == pairs
    assert there.fingerprint() == pairs.fingerprint()
    assert np.array_equal(there.read(0)[1], pairs.read(0)[1])
