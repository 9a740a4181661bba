"""Joint augmentation: the picture as in classification to the bit, and every label where its pixel went."""

import dataclasses
import random

import numpy as np
import pytest
import torch

from separable.data import photometric
from separable.data.augment import AugmentConfig, augment, augment_file, augment_opened, crop_box
from separable.data.decode import PictureFile
from separable.data.preprocess import prepare
from separable.data.random import Key
from separable.errors import UsageError
from separable.models.contract import InputContract
from separable.segmentation.augment import augment_pair, augment_pair_file, demand_for_masks
from separable.segmentation.labels import IGNORE
from separable.segmentation.nearest import augment_mask, prepare_mask, resize_mask
from tests.data.made import jpeg, structured
from tests.segmentation.made import blobs

CONTRACT = InputContract((32, 40), (0.5,) * 3, (0.5,) * 3)
NONE = AugmentConfig.none()
EVERYTHING = AugmentConfig(shift=0.1, rotate=15, zoom=0.1, colour=0.4, rand_augment=(2, 9), random_erasing=0.5)
LABELS = np.array([0, 7, 50, 1000], np.int16)
"""Far apart, so that a mixture of two is none of them."""
PIXELS, MASK = structured(60, 90), LABELS[blobs(60, 90, 4)]
CONFIGS = {
    "none": NONE,
    "crop and flip": AugmentConfig(),
    "flip": dataclasses.replace(NONE, flip=True),
    "warp": dataclasses.replace(NONE, shift=0.2, rotate=40, zoom=0.3),
    "crop and warp": AugmentConfig(shift=0.2, rotate=40, zoom=0.3),
    "rand augment": dataclasses.replace(NONE, rand_augment=(3, 9.0)),
}


@pytest.mark.parametrize("config", [*CONFIGS.values(), EVERYTHING], ids=[*CONFIGS, "everything"])
def test_the_picture_is_the_one_of_classification(config: AugmentConfig) -> None:
    for sample in range(12):
        key = Key(3, 1, sample)
        image, mask = augment_pair(PIXELS, MASK, CONTRACT, config, key)
        assert torch.equal(image, augment(PIXELS, CONTRACT, config, key))
        assert mask.shape == CONTRACT.size
        assert mask.dtype == np.int16
        assert mask.flags.c_contiguous
        assert set(np.unique(mask)) <= {IGNORE, *LABELS.tolist()}, "never a mixture of labels"


def test_the_same_key_gives_the_same_mask_in_any_order() -> None:
    keys = [Key(seed, epoch, sample) for seed in (0, 1) for epoch in (0, 1) for sample in range(5)]
    first = {key: augment_pair(PIXELS, MASK, CONTRACT, EVERYTHING, key)[1] for key in keys}
    random.Random(0).shuffle(keys)
    for key in keys:
        assert np.array_equal(augment_pair(PIXELS, MASK, CONTRACT, EVERYTHING, key)[1], first[key])
    assert len({mask.tobytes() for mask in first.values()}) == len(keys)


def flat_cells(height: int, width: int, cell: int) -> tuple[np.ndarray, np.ndarray]:
    """A picture of flat squares, each in a colour of its own, and their numbers as a mask."""
    mask = (np.arange(height)[:, None] // cell * (-(-width // cell)) + np.arange(width) // cell).astype(np.int16)
    return np.stack([mask * 2, 255 - mask * 2, mask * 37 % 256], axis=2).astype(np.uint8), mask


@pytest.mark.parametrize("config", CONFIGS.values(), ids=CONFIGS)
def test_labels_follow_pixels(config: AugmentConfig) -> None:
    """Where the augmented picture shows a square's own colour all around, the mask has that square's number."""
    picture, mask = flat_cells(240, 320, 24)
    contract = dataclasses.replace(CONTRACT, size=(120, 160))
    # Without the operations that change colours, of those that rand_augment may draw.
    seen = 0
    for sample in range(12):
        key = Key(0, 0, sample)
        with pytest.MonkeyPatch.context() as patch:
            still_colours(patch)
            image, labels = augment_pair(picture, mask, contract, config, key)
        shown = image.permute(1, 2, 0).numpy().astype(np.int64)
        number = shown[..., 0] // 2
        pure = (shown == np.stack([number * 2, 255 - number * 2, number * 37 % 256], -1)).all(-1)
        inner = pure.copy()
        for down in (-1, 0, 1):
            for right in (-1, 0, 1):
                inner &= np.roll(number, (down, right), (0, 1)) == number
                inner &= np.roll(pure, (down, right), (0, 1))
        inner[[0, -1]] = inner[:, [0, -1]] = False
        inner &= labels != IGNORE
        assert np.array_equal(labels[inner], number[inner])
        seen += int(inner.sum())
    assert seen > 20_000


def still_colours(patch: pytest.MonkeyPatch) -> None:
    for name in photometric.RAND_AUGMENT_OPERATIONS:
        if name not in photometric.RAND_AUGMENT_PLACES:
            patch.setitem(photometric.RAND_AUGMENT_OPERATIONS, name, lambda picture, _: picture)


@pytest.mark.parametrize("name", ["none", "flip", "crop and flip"])
def test_mask_of_the_augmented_is_the_augmented_mask(name: str) -> None:
    """Where nothing is resized, exactly: the picture carries its own mask in its colours."""
    config = dataclasses.replace(CONFIGS[name], random_resized_crop=None)
    contract = dataclasses.replace(CONTRACT, size=(48, 48), crop_fraction=0.8)
    mask = blobs(60, 60, 4)
    picture = np.repeat((mask * 60).astype(np.uint8)[..., None], 3, axis=2)
    for sample in range(8):
        image, labels = augment_pair(picture, mask, contract, config, Key(0, 0, sample))
        assert np.array_equal(image[0].numpy() // 60, labels)


def test_what_comes_from_outside_or_is_hidden_does_not_count() -> None:
    """The picture repeats its border there, or shows noise; nobody labelled that."""
    full = np.ones((40, 40), np.int16)
    contract = dataclasses.replace(CONTRACT, size=(40, 40), crop_fraction=1.0)
    picture = structured(40, 40)
    shares, moved = [], set()
    for sample in range(10):
        key = Key(0, 0, sample)
        shifted = dataclasses.replace(NONE, shift=0.5)
        image, labels = augment_pair(picture, full, contract, shifted, key)
        known = labels == 1
        rows, columns = np.flatnonzero(known.any(1)), np.flatnonzero(known.any(0))
        assert known.sum() == len(rows) * len(columns), "a rectangle"
        assert (labels[~known] == IGNORE).all()
        shares.append(known.mean())
        _, labels = augment_pair(picture, full, contract, dataclasses.replace(NONE, rand_augment=(4, 9.0)), key)
        moved |= set(np.unique(labels).tolist())
        erased = dataclasses.replace(NONE, random_erasing=1.0)
        image, labels = augment_pair(picture, full, contract, erased, key)
        changed = (image != prepare(picture, contract)).any(0).numpy()
        assert not changed[labels == 1].any()
        assert changed[labels == IGNORE].mean() > 0.9
    assert moved == {1, IGNORE}
    assert min(shares) < 0.6
    assert np.ptp(shares) > 0.2


@pytest.mark.parametrize("size", [(1, 1), (7, 13), (64, 32), (33, 90)])
def test_nearest_takes_the_label_at_the_centre(size: tuple[int, int]) -> None:
    mask = np.arange(45 * 61, dtype=np.int16).reshape(45, 61)
    resized = resize_mask(mask, size)
    for y in range(size[0]):
        for x in range(size[1]):
            assert resized[y, x] == mask[int((y + 0.5) * 45 / size[0]), int((x + 0.5) * 61 / size[1])]
    assert np.array_equal(resize_mask(mask, (45, 61)), mask)
    assert np.array_equal(resize_mask(mask[::-1, ::-1], (15, 61))[::-1, ::-1], resize_mask(mask, (15, 61)))


@pytest.mark.parametrize("rule", ["shorter", "squash"])
@pytest.mark.parametrize("size", [(60, 90), (90, 60), (33, 40), (20, 700), (32, 40)])
def test_preparation_keeps_masks_over_their_pictures(size: tuple[int, int], rule: str) -> None:
    """A picture of two flat halves: its middle lies where the mask's does, to a pixel."""
    contract = dataclasses.replace(CONTRACT, resize=rule)
    mask = np.zeros(size, np.int16)
    mask[size[0] // 2 :] += 1
    mask[:, size[1] // 2 :] += 2
    colours = np.array([[0, 0, 0], [250, 10, 0], [10, 250, 0], [255, 255, 100]], np.uint8)
    prepared = prepare(colours[mask], contract).permute(1, 2, 0).numpy()
    labels = prepare_mask(mask, contract)
    assert labels.shape == contract.size
    is_colour = (prepared[:, :, None] == colours).all(-1)
    pure = is_colour.any(-1)
    assert pure.mean() > 0.8
    assert np.array_equal(is_colour.argmax(-1)[pure], labels[pure])


@pytest.mark.parametrize("decoder", ["pillow", "turbo"])
def test_files_are_cut_where_their_decoder_cuts(decoder: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """A large JPEG is decoded at a fraction; labels still lie on their squares."""
    picture, mask = flat_cells(960, 1280, 80)
    contract = dataclasses.replace(CONTRACT, size=(80, 80))
    data = jpeg(picture, quality=95, subsampling=0)
    config = AugmentConfig(random_resized_crop=(0.3, 1.0))
    scales: list[int] = []
    decode = PictureFile.pixels
    monkeypatch.setattr(
        PictureFile,
        "pixels",
        lambda file, *, scale=1, rows=None: (scales.append(scale), decode(file, scale=scale, rows=rows))[1],
    )
    for sample in range(10):
        key = Key(0, 0, sample)
        file = PictureFile(data, decoder=decoder)
        image, labels = augment_pair_file(file, mask, contract, config, key)
        assert torch.equal(image, augment_file(data, contract, config, key, decoder=decoder))
        shown = image.permute(1, 2, 0).numpy().astype(float)
        colours = np.stack([mask * 2, 255 - mask * 2, mask * 37 % 256], -1)[::80, ::80].reshape(-1, 3)
        distance = np.abs(shown[:, :, None] - colours).max(-1)
        pure = distance.min(-1) < 5
        assert pure.mean() > 0.3
        # Within a pixel of an edge, the decoder's own filter has a say.
        inner = pure.copy()
        nearest = distance.argmin(-1)
        for down in (-1, 0, 1):
            for right in (-1, 0, 1):
                inner &= np.roll(nearest, (down, right), (0, 1)) == nearest
        inner[[0, -1]] = inner[:, [0, -1]] = False
        assert np.array_equal(labels[inner], nearest[inner])
    assert {2, 4} <= set(scales)


def test_a_mask_is_cut_at_the_decoded_region_not_at_the_drawn_one() -> None:
    """Columns of a mask that count themselves tell where it was cut."""
    data = jpeg(structured(640, 960))
    columns = np.tile(np.arange(960, dtype=np.int16), (640, 1))
    config = AugmentConfig(random_resized_crop=(0.3, 1.0), flip=False)
    apart = 0
    for sample in range(10):
        key = Key(0, 0, sample)
        _, region = augment_opened(PictureFile(data), CONTRACT, config, key)
        assert region is not None
        _, labels = augment_pair_file(PictureFile(data), columns, CONTRACT, config, key)
        expected = region.left + ((2 * np.arange(40) + 1) * region.width) // 80
        assert np.array_equal(labels, np.tile(expected, (32, 1)))
        apart += not np.array_equal(labels, augment_mask(columns, CONTRACT, config, key))
    assert apart > 3


@pytest.mark.parametrize("scale", [2, 4, 8])
def test_a_region_of_a_reduced_picture_is_one_of_the_whole(scale: int) -> None:
    """To the nearest pixel of the reduced picture, and never beyond the whole one."""
    height, width = 67, 101
    small = (-(-height // scale), -(-width // scale))
    for sample in range(200):
        box = crop_box((height, width), (0.2, 1.0), (3 / 4, 4 / 3), Key(0, 0, sample))
        whole = box.shrunk(scale, small).enlarged(scale, (height, width))
        assert whole.top >= 0 <= whole.left
        assert whole.top + whole.height <= height
        assert whole.left + whole.width <= width
        assert abs(whole.top - box.top) <= scale > abs(whole.left - box.left)
        assert max(abs(whole.height - box.height), abs(whole.width - box.width)) <= scale


def test_what_has_no_meaning_for_masks_is_refused() -> None:
    with pytest.raises(UsageError, match=r"cannot be mixed\. Got: mixup and cutmix"):
        demand_for_masks(AugmentConfig(mixup=0.2, cutmix=1.0))
    demand_for_masks(EVERYTHING)
    with pytest.raises(UsageError, match="differ in size"):
        augment_pair(PIXELS, MASK[1:], CONTRACT, NONE, Key(0, 0, 0))
