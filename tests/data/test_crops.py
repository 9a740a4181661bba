"""Which pixels the crops of a picture show, against slices in numpy and resizes by Pillow."""

from pathlib import Path

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image

from separable.data.crops import CROPS, crop_batches, crop_pictures
from separable.data.decode import PictureFile
from separable.data.folder import PictureSet
from separable.data.loader import LoaderConfig, eval_batches
from separable.data.preprocess import prepare_file
from separable.errors import UsageError
from separable.models.contract import InputContract
from tests.data.made import Pixels, encode, jpeg, structured
from tests.tolerances import RESIZE_LEVELS

# A side of 28 makes 256, 288, 320 and 352 of 224 the whole numbers 32, 36, 40 and 44.
CONTRACT = InputContract(size=(28, 28), mean=(0.5, 0.5, 0.5), std=(0.5, 0.5, 0.5), crop_fraction=0.8)


def crops_of(pixels: Pixels, crops: int, contract: InputContract = CONTRACT) -> Pixels:
    cut = crop_pictures(PictureFile(encode(pixels, "png")), contract, crops)
    assert cut.shape == (crops, 3, *contract.size)
    assert cut.is_contiguous(memory_format=torch.channels_last)
    return cut.permute(0, 2, 3, 1).numpy()


def by_pillow(pixels: Pixels, size: tuple[int, int]) -> Pixels:
    return np.asarray(Image.fromarray(pixels).resize((size[1], size[0]), Image.Resampling.BILINEAR))


def six(square: Pixels, side: int) -> list[Pixels]:
    """Corners, centre, whole: written out, and no loop over what the code loops over."""
    far, middle = len(square) - side, (len(square) - side) // 2
    return [
        square[:side, :side],
        square[:side, far:],
        square[far:, :side],
        square[far:, far:],
        square[middle : middle + side, middle : middle + side],
        by_pillow(square, (side, side)),
    ]


def mirrored(views: list[Pixels]) -> Pixels:
    return np.stack([one for view in views for one in (view, view[:, ::-1])])


def test_ten_are_krizhevskys() -> None:
    """The shorter side has 32 already, so that nothing is resized: slices, to the bit."""
    pixels = structured(32, 51)
    square = pixels[:, (51 - 32) // 2 :][:, :32]
    assert np.array_equal(crops_of(pixels, 10), mirrored(six(square, 28)[:5]))


def test_twelve_are_the_centre_square_of_the_first_scale() -> None:
    pixels = structured(50, 32)
    square = pixels[(50 - 32) // 2 :][:32]
    found, expected = crops_of(pixels, 12), mirrored(six(square, 28))
    assert np.array_equal(found[:10], expected[:10])
    assert np.abs(found[10:].astype(int) - expected[10:]).max() <= RESIZE_LEVELS


@pytest.mark.parametrize("upright", [False, True])
def test_144_are_googlenets(upright: bool) -> None:
    pixels = np.random.default_rng(0).integers(0, 256, (96, 64, 3) if upright else (64, 96, 3), np.uint8)
    expected = []
    for side in (32, 36, 40, 44):
        long = side * 3 // 2
        resized = by_pillow(pixels, (long, side) if upright else (side, long))
        for start in (0, (long - side) // 2, long - side):
            square = resized[start : start + side] if upright else resized[:, start : start + side]
            expected += six(square, 28)
    found = crops_of(pixels, 144)
    assert np.abs(found.astype(int) - mirrored(expected)).max() <= 2 * RESIZE_LEVELS  # two resizes of the whole square
    others = [i for i in range(144) if i % 12 < 10]
    assert np.abs(found.astype(int) - mirrored(expected))[others].max() <= RESIZE_LEVELS
    apart = np.abs(found[:, None].astype(int) - found[None]).reshape(144, 144, -1).max(2) + 255 * np.eye(144, dtype=int)
    assert apart.min() > 2 * RESIZE_LEVELS, "two crops are so alike that one could stand in for the other"


def test_one_is_the_preparation_itself() -> None:
    data = jpeg(structured(700, 500))
    found = crop_pictures(PictureFile(data), CONTRACT, 1)
    assert torch.equal(found[0], prepare_file(data, CONTRACT))


def test_the_centre_crop_is_that_of_the_usual_preparation() -> None:
    """Of a large JPEG too, which is decoded at a fraction of its size."""
    usual = InputContract(size=(28, 28), mean=(0.5, 0.5, 0.5), std=(0.5, 0.5, 0.5), crop_fraction=0.875)
    data = jpeg(structured(700, 500))
    for crops in (10, 12):
        assert torch.equal(crop_pictures(PictureFile(data), CONTRACT, crops)[8], prepare_file(data, usual))


def test_a_network_of_another_side_sees_as_much() -> None:
    """299: the shorter side 299 * 256 / 224 = 341.7, so 342, and 384, 427 and 470."""
    contract = InputContract(size=(299, 299), mean=(0.5, 0.5, 0.5), std=(0.5, 0.5, 0.5))
    pixels = structured(342, 342)
    assert np.array_equal(crops_of(pixels, 10, contract)[6], pixels[-299:, -299:])
    for side, first in ((384, 36), (427, 72), (470, 108)):
        found = crops_of(pixels, 144, contract)[first : first + 12]
        resized = by_pillow(pixels, (side, side))
        assert np.abs(found[6].astype(int) - resized[-299:, -299:]).max() <= RESIZE_LEVELS


def test_a_contract_that_squashes_and_one_that_is_not_square() -> None:
    squash = InputContract(size=(28, 28), mean=(0.5, 0.5, 0.5), std=(0.5, 0.5, 0.5), resize="squash", crop_fraction=1.0)
    pixels = structured(30, 90)
    expected = mirrored(six(by_pillow(pixels, (32, 32)), 28)[:5])
    assert np.abs(crops_of(pixels, 10, squash).astype(int) - expected).max() <= RESIZE_LEVELS
    wide = InputContract(size=(28, 56), mean=(0.5, 0.5, 0.5), std=(0.5, 0.5, 0.5))
    pixels = structured(48, 64)  # resized to nothing else: a region of 32 x 64 at three heights
    found = crops_of(pixels, 144, wide)
    for place, top in enumerate((0, 8, 16)):
        assert np.array_equal(found[12 * place], pixels[top : top + 28, :56])
        assert np.array_equal(found[12 * place + 6], pixels[top + 4 : top + 32, 8:])


@settings(max_examples=20, deadline=None)
@given(st.integers(1, 90), st.integers(1, 90), st.sampled_from(CROPS), st.sampled_from([(17, 17), (9, 23)]))
def test_any_picture_has_all_its_crops(height: int, width: int, crops: int, size: tuple[int, int]) -> None:
    """And a picture that is its own mirror image has crops whose set is too."""
    contract = InputContract(size=size, mean=(0.5, 0.5, 0.5), std=(0.5, 0.5, 0.5))
    found = crops_of(np.full((height, width, 3), 77, np.uint8), crops, contract)
    assert (found == 77).all()


def test_of_a_strip_the_middle_counts() -> None:
    """What is beyond eight times its width would be a billion pixels once it is resized."""
    pixels = structured(3, 6000)
    middle = pixels[:, (6000 - 24) // 2 :][:, :24]
    for crops in (1, 144):
        assert np.array_equal(crops_of(pixels, crops), crops_of(middle, crops))


def test_a_large_jpeg_is_decoded_large_enough_for_the_largest_scale() -> None:
    data = jpeg(structured(800, 800))
    largest = InputContract(size=(28, 28), mean=(0.5, 0.5, 0.5), std=(0.5, 0.5, 0.5), crop_fraction=224 / 352)
    smallest = InputContract(size=(28, 28), mean=(0.5, 0.5, 0.5), std=(0.5, 0.5, 0.5), crop_fraction=0.875)
    found = crop_pictures(PictureFile(data), CONTRACT, 144)
    assert torch.equal(found[3 * 36 + 12 + 8], prepare_file(data, largest))
    assert not torch.equal(found[12 + 8], prepare_file(data, smallest)), "which alone is decoded smaller"


@pytest.mark.parametrize("workers", [0, 1])
def test_batches_hold_as_many_pictures_as_make_up_their_size(tmp_path: Path, workers: int) -> None:
    for number in range(5):
        (tmp_path / f"{number}.png").write_bytes(encode(structured(40, 50, seed=number), "png"))
    (tmp_path / "3.png").write_bytes(b"nothing")
    labels = np.array([2, 0, 1, 1, 0])
    pictures = PictureSet(tmp_path, tuple(f"{number}.png" for number in range(5)), labels, ("a", "b", "c"))
    batches = list(crop_batches(pictures, CONTRACT, LoaderConfig(batch_size=25, workers=workers), 12))
    assert [tuple(batch.images.shape) for batch in batches] == [(24, 3, 28, 28), (12, 3, 28, 28), (12, 3, 28, 28)]
    assert [batch.samples.tolist() for batch in batches] == [[0, 1], [2], [4]]
    assert torch.cat([batch.labels for batch in batches]).tolist() == [2, 0, 1, 0]
    assert [(bad.path, bad.cause) for batch in batches for bad in batch.bad] == [("3.png", "not a picture")]
    for batch in batches:
        assert batch.images.is_contiguous(memory_format=torch.channels_last)
        for row, sample in enumerate(batch.samples.tolist()):
            expected = crop_pictures(PictureFile(tmp_path / f"{sample}.png"), CONTRACT, 12)
            assert torch.equal(batch.images[12 * row : 12 * row + 12], expected)
    single = list(crop_batches(pictures, CONTRACT, LoaderConfig(batch_size=3), 1))
    plain = list(eval_batches(pictures, CONTRACT, LoaderConfig(batch_size=3)))
    assert all(torch.equal(one.images, other.images) for one, other in zip(single, plain, strict=True))
    assert [one.samples.tolist() for one in single] == [one.samples.tolist() for one in plain]


def test_the_loaders_own_size_counts(tmp_path: Path) -> None:
    (tmp_path / "0.png").write_bytes(encode(structured(16, 24), "png"))
    pictures = PictureSet(tmp_path, ("0.png",), np.zeros(1, np.int64), ("a", "b"))
    [batch] = crop_batches(pictures, CONTRACT, LoaderConfig(batch_size=1, image_size=(14, 14)), 10)
    assert np.array_equal(batch.images[0].permute(1, 2, 0).numpy(), structured(16, 24)[:14, 4:18])


def test_a_number_nobody_has_defined() -> None:
    with pytest.raises(UsageError) as caught:
        crop_pictures(PictureFile(encode(structured(9, 9), "png")), CONTRACT, 11)
    assert str(caught.value) == "There is no such number of crops. Got: 11. Expected: 1, 10, 12 or 144."
