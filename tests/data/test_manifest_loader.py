"""Batches of pictures with any number of labels: padded lists of classes beside the pixels of plain classification."""

import itertools
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch

from separable.data.augment_config import AugmentConfig
from separable.data.folder import PictureSet
from separable.data.loader import Batch, LoaderConfig, eval_batches, train_batches
from separable.data.manifest_loader import eval_tag_batches, train_tag_batches
from separable.data.manifest_set import TagSet
from separable.errors import UsageError
from separable.models.contract import InputContract
from tests.data.made import write_classes

CONTRACT = InputContract((24, 28), (0.5,) * 3, (0.5,) * 3)
AUGMENT = AugmentConfig(colour=0.3, random_erasing=0.5, rand_augment=(1, 5))
CONFIG = LoaderConfig(batch_size=4, seed=11)
COUNTS = (2, 0, 3, 1, 0, 0, 0, 0, 5, 1)
"""Labels of each picture."""


@pytest.fixture(scope="module")
def tagged(tmp_path_factory: pytest.TempPathFactory) -> TagSet:
    """Ten pictures of 17,000 classes; number 3 is text."""
    root = write_classes(tmp_path_factory.mktemp("tags"), {"a": 10})
    (root / "a/003.jpg").write_text("no picture")
    rng = np.random.default_rng(0)
    indices = [np.sort(rng.choice(17_000, count, replace=False)) for count in COUNTS]
    paths = tuple(f"a/{k:03d}.jpg" for k in range(10))
    offsets = np.concatenate([[0], np.cumsum(COUNTS)])
    return TagSet(root, paths, np.concatenate(indices).astype(np.int32), offsets, tuple(map(str, range(17_000))))


def as_classes(tagged: TagSet) -> PictureSet:
    return PictureSet(tagged.root, tagged.paths, np.arange(10), tagged.class_names)


def assert_labels(batch: Batch, tagged: TagSet) -> None:
    shown = [tagged.tags(sample).tolist() for sample in batch.samples.tolist()]
    most = max([1, *map(len, shown)])
    assert batch.labels.dtype == torch.int32
    assert batch.labels.tolist() == [one + [-1] * (most - len(one)) for one in shown]


@pytest.mark.parametrize("workers", [0, 2])
def test_pixels_and_order_are_those_of_classes(tagged: TagSet, workers: int) -> None:
    config = replace(CONFIG, workers=workers)
    ours = train_tag_batches(tagged, CONTRACT, AUGMENT, config, start_position=6)
    theirs = train_batches(as_classes(tagged), CONTRACT, AUGMENT, CONFIG, start_position=6)
    for a, b in itertools.islice(zip(ours, theirs, strict=True), 6):
        assert torch.equal(a.images, b.images)
        assert torch.equal(a.samples, b.samples)
        assert torch.equal(a.positions, b.positions)
        assert (a.epoch, a.bad) == (b.epoch, b.bad)
        assert_labels(a, tagged)


def test_every_readable_picture_once(tagged: TagSet) -> None:
    batches = list(eval_tag_batches(tagged, CONTRACT, CONFIG))
    for a, b in zip(batches, eval_batches(as_classes(tagged), CONTRACT, CONFIG), strict=True):
        assert torch.equal(a.images, b.images)
        assert_labels(a, tagged)
    assert [one for batch in batches for one in batch.samples.tolist()] == [0, 1, 2, 4, 5, 6, 7, 8, 9]
    assert [(one.path, one.cause) for batch in batches for one in batch.bad] == [("a/003.jpg", "not a picture")]
    assert batches[1].labels.tolist() == [[-1]] * 4, "a batch without a label has a column all the same"


def test_there_has_to_be_a_picture(tagged: TagSet) -> None:
    with pytest.raises(UsageError, match="There are no pictures to train on"):
        train_tag_batches(tagged.chosen([]), CONTRACT, AUGMENT, CONFIG)


def test_a_worker_may_be_spawned(tagged: TagSet) -> None:
    config = replace(CONFIG, workers=1, start_method="spawn")
    [batch, *_] = eval_tag_batches(tagged.chosen([0, 2]), CONTRACT, config)
    assert_labels(batch, tagged.chosen([0, 2]))


def test_paths_of_any_bytes(tagged: TagSet, tmp_path: Path) -> None:
    name = b"\xff.jpg".decode(errors="surrogateescape")
    (tmp_path / name).write_bytes((tagged.root / "a/000.jpg").read_bytes())
    one = replace(tagged.chosen([0]), root=tmp_path, paths=(name,))
    [batch] = eval_tag_batches(one, CONTRACT, CONFIG)
    assert_labels(batch, one)
