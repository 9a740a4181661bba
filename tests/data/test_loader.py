"""The loader: a batch is a function of its positions; workers, starts and bad files never move anything else."""

import gc
import itertools
import multiprocessing
import os
import signal
import time
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch

from separable.data.augment import AugmentConfig, augment_file
from separable.data.folder import PictureSet, read_folder
from separable.data.loader import Batch, LoaderConfig, eval_batches, pictures_per_epoch, train_batches
from separable.data.order import permute
from separable.data.preprocess import prepare_file
from separable.data.random import Key
from separable.errors import SeparableError, TooManyBadPicturesError, UsageError
from separable.models.contract import InputContract
from tests.data.made import write_classes

CONTRACT = InputContract((24, 28), (0.5,) * 3, (0.5,) * 3)
AUGMENT = AugmentConfig(colour=0.3, random_erasing=0.5, rand_augment=(1, 5))
CONFIG = LoaderConfig(batch_size=4, seed=11)


@pytest.fixture(scope="module")
def pictures(tmp_path_factory: pytest.TempPathFactory) -> PictureSet:
    """18 readable pictures."""
    root = write_classes(tmp_path_factory.mktemp("set"), {"a": 10, "b": 13})
    return read_folder(root, val_fraction=0.2).train


@pytest.fixture
def damaged(pictures: PictureSet, tmp_path: Path) -> PictureSet:
    """The same pictures; number 3 is text, number 10 is cut."""
    for path in pictures.paths:
        (tmp_path / path).parent.mkdir(exist_ok=True)
        (tmp_path / path).write_bytes((pictures.root / path).read_bytes())
    (tmp_path / pictures.paths[3]).write_text("no picture")
    cut = tmp_path / pictures.paths[10]
    cut.write_bytes(cut.read_bytes()[:700])
    return replace(pictures, root=tmp_path)


def first(count: int, pictures: PictureSet, config: LoaderConfig = CONFIG, start: int = 0) -> list[Batch]:
    batches = train_batches(pictures, CONTRACT, AUGMENT, config, start_position=start)
    return list(itertools.islice(batches, count))


def assert_same(ours: list[Batch], theirs: list[Batch]) -> None:
    assert len(ours) == len(theirs)
    for a, b in zip(ours, theirs, strict=True):
        assert torch.equal(a.images, b.images)
        assert torch.equal(a.labels, b.labels)
        assert torch.equal(a.samples, b.samples)
        assert torch.equal(a.positions, b.positions)
        assert (a.epoch, a.bad) == (b.epoch, b.bad)


def test_batches_are_what_they_say(pictures: PictureSet) -> None:
    """Against the definition, without any loader: order, labels, pixels."""
    assert pictures_per_epoch(len(pictures), 4) == 16
    for number, batch in enumerate(first(9, pictures)):
        assert batch.images.dtype == torch.uint8
        assert batch.images.shape == (4, 3, 24, 28)
        assert batch.images.is_contiguous(memory_format=torch.channels_last)
        assert batch.positions.tolist() == list(range(4 * number, 4 * number + 4))
        assert batch.epoch == number // 4
        assert batch.bad == []
        for row, position in enumerate(batch.positions.tolist()):
            epoch, place = divmod(position, 16)
            sample = permute(place, 18, 11, epoch)
            assert int(batch.samples[row]) == sample
            assert int(batch.labels[row]) == pictures.labels[sample]
            path = pictures.root / pictures.paths[sample]
            assert torch.equal(batch.images[row], augment_file(path, CONTRACT, AUGMENT, Key(11, epoch, sample)))


def test_an_epoch_shows_no_picture_twice_and_leaves_out_others_each_time(pictures: PictureSet) -> None:
    batches = first(40, pictures)
    epochs = [np.concatenate([b.samples for b in batches[i : i + 4]]) for i in range(0, 40, 4)]
    assert all(len(set(samples.tolist())) == 16 for samples in epochs)
    assert len({tuple(samples.tolist()) for samples in epochs}) == 10
    assert len({frozenset(range(18)) - frozenset(samples.tolist()) for samples in epochs}) > 3


@pytest.mark.parametrize("workers", [1, 3])
def test_workers_change_nothing(damaged: PictureSet, workers: int) -> None:
    alone = first(10, damaged)
    assert any(batch.bad for batch in alone)
    assert_same(first(10, damaged, replace(CONFIG, workers=workers)), alone)
    assert_same(first(6, damaged, replace(CONFIG, workers=workers, prefetch=5), start=16), alone[4:])


def test_spawned_workers_change_nothing(pictures: PictureSet) -> None:
    config = replace(CONFIG, workers=1, start_method="spawn")
    assert_same(first(2, pictures, config), first(2, pictures))


@pytest.mark.parametrize("start", [0, 4, 12, 16, 100 * 16 + 8])
def test_any_start_gives_the_same_batches(pictures: PictureSet, start: int) -> None:
    before = min(start // 4, 3)
    assert_same(first(3, pictures, start=start), first(before + 3, pictures, start=start - 4 * before)[before:])


def test_a_start_within_a_batch_gives_its_rest(pictures: PictureSet) -> None:
    whole, rest = first(2, pictures, start=4), first(2, pictures, start=6)
    assert rest[0].positions.tolist() == [6, 7]
    assert torch.equal(rest[0].images, whole[0].images[2:])
    assert_same(rest[1:], whole[1:])


def test_a_set_smaller_than_a_batch(pictures: PictureSet) -> None:
    few = replace(pictures, paths=pictures.paths[:3], labels=pictures.labels[:3])
    batches = first(4, few)
    assert [batch.epoch for batch in batches] == [0, 1, 2, 3]
    assert all(sorted(batch.samples.tolist()) == [0, 1, 2] for batch in batches)


def test_a_bad_picture_is_replaced_by_a_keyed_draw_and_nothing_else_moves(
    damaged: PictureSet, pictures: PictureSet
) -> None:
    seen: dict[str, str] = {}
    for ours, whole in zip(first(12, damaged), first(12, pictures), strict=True):
        for row in range(4):
            if int(whole.samples[row]) in (3, 10):
                assert int(ours.samples[row]) not in (3, 10)
                sample = int(ours.samples[row])
                assert int(ours.labels[row]) == damaged.labels[sample]
                path = damaged.root / damaged.paths[sample]
                assert torch.equal(ours.images[row], augment_file(path, CONTRACT, AUGMENT, Key(11, ours.epoch, sample)))
            else:
                assert torch.equal(ours.images[row], whole.images[row])
                assert ours.samples[row] == whole.samples[row]
        for bad in ours.bad:
            assert damaged.paths[bad.sample] == bad.path
            seen[bad.path] = bad.cause
    assert seen == {damaged.paths[3]: "not a picture", damaged.paths[10]: "truncated JPEG"}


@pytest.mark.parametrize("workers", [0, 1])
def test_nothing_readable_is_an_error_not_a_hang(pictures: PictureSet, tmp_path: Path, workers: int) -> None:
    with pytest.raises(TooManyBadPicturesError, match=r"None of 64 pictures drawn in a row can be read. Got: the last"):
        first(1, replace(pictures, root=tmp_path), replace(CONFIG, workers=workers))


@pytest.mark.parametrize("workers", [0, 2])
def test_evaluation_shows_every_readable_picture_once_in_order(damaged: PictureSet, workers: int) -> None:
    batches = list(eval_batches(damaged, CONTRACT, replace(CONFIG, batch_size=5, workers=workers)))
    samples = torch.cat([batch.samples for batch in batches]).tolist()
    assert samples == [i for i in range(18) if i not in (3, 10)]
    assert [bad.sample for batch in batches for bad in batch.bad] == [3, 10]
    labels = torch.cat([batch.labels for batch in batches]).tolist()
    assert labels == [int(damaged.labels[i]) for i in samples]
    images = torch.cat([batch.images for batch in batches])
    for row, sample in enumerate(samples):
        assert torch.equal(images[row], prepare_file(damaged.root / damaged.paths[sample], CONTRACT))


def test_an_evaluation_batch_may_be_empty(damaged: PictureSet) -> None:
    only = replace(damaged, paths=damaged.paths[3:4], labels=damaged.labels[3:4])
    (batch,) = eval_batches(only, CONTRACT, CONFIG)
    assert batch.images.shape == (0, 3, 24, 28)
    assert len(batch.labels) == 0
    assert len(batch.bad) == 1


def test_size_and_decoder_of_the_configuration(pictures: PictureSet) -> None:
    (batch, *_) = eval_batches(pictures, CONTRACT, replace(CONFIG, image_size=(9, 11), decoder="pillow"))
    assert batch.images.shape == (4, 3, 9, 11)
    with pytest.raises(UsageError, match="Unknown decoder"):
        train_batches(pictures, CONTRACT, AUGMENT, replace(CONFIG, decoder="nonsense"))
    for wrong in ({"batch_size": 0}, {"workers": -1}):
        with pytest.raises(UsageError):
            replace(CONFIG, **wrong)
    with pytest.raises(UsageError, match="start position"):
        train_batches(pictures, CONTRACT, AUGMENT, CONFIG, start_position=-1)
    with pytest.raises(UsageError, match="no pictures to train on"):
        train_batches(replace(pictures, paths=(), labels=pictures.labels[:0]), CONTRACT, AUGMENT, CONFIG)


def test_no_process_and_no_setting_is_left_behind(pictures: PictureSet) -> None:
    state, threads, handler = torch.get_rng_state(), torch.get_num_threads(), signal.getsignal(signal.SIGCHLD)
    batches = train_batches(pictures, CONTRACT, AUGMENT, replace(CONFIG, workers=2))
    next(batches)
    assert len(multiprocessing.active_children()) == 2
    del batches
    gc.collect()
    deadline = time.monotonic() + 20
    while multiprocessing.active_children() and time.monotonic() < deadline:
        time.sleep(0.05)
    assert multiprocessing.active_children() == []
    first(1, pictures)
    assert torch.equal(torch.get_rng_state(), state)
    assert torch.get_num_threads() == threads
    assert signal.getsignal(signal.SIGCHLD) == handler


def test_a_dead_worker_is_one_clear_error_where_a_batch_is_asked_for(pictures: PictureSet) -> None:
    batches = train_batches(pictures, CONTRACT, AUGMENT, replace(CONFIG, workers=1))
    next(batches)
    (worker,) = multiprocessing.active_children()
    os.kill(worker.pid or 0, signal.SIGKILL)
    worker.join(10)
    with pytest.raises(SeparableError, match=r"A data worker died. Got: DataLoader worker \(pid\(s\) \d+\) exited"):
        list(itertools.islice(batches, 10))


def test_workers_leave_ctrl_c_to_the_parent(pictures: PictureSet) -> None:
    batches = train_batches(pictures, CONTRACT, AUGMENT, replace(CONFIG, workers=2))
    next(batches)
    for worker in multiprocessing.active_children():
        os.kill(worker.pid or 0, signal.SIGINT)
    assert_same([next(batches) for _ in range(6)], first(7, pictures)[1:])


@pytest.mark.gpu
def test_pinned_batches_are_the_same(pictures: PictureSet) -> None:
    if not torch.cuda.is_available():
        pytest.skip("no CUDA device")
    for workers in (0, 2):
        pinned = first(4, pictures, replace(CONFIG, workers=workers, pin_memory=True))
        assert pinned[0].images.is_pinned()
        assert pinned[0].images.is_contiguous(memory_format=torch.channels_last)
        assert_same(pinned, first(4, pictures))
