"""Augmentation: pure functions of (seed, epoch, sample), each operation against an independent version of itself."""

import dataclasses
import random
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest
import torch
from PIL import Image

from separable.data.augment import AugmentConfig, augment, augment_file, crop_box
from separable.data.decode import decode_picture
from separable.data.preprocess import prepare
from separable.data.random import Key
from separable.errors import UsageError
from separable.models.contract import InputContract
from tests.data.made import encode, jpeg, structured
from tests.tolerances import DECODER_SCALING, RESIZE_LEVELS, WARP_LEVELS

CONTRACT = InputContract((32, 40), (0.5,) * 3, (0.5,) * 3)
NONE = AugmentConfig.none()
EVERYTHING = AugmentConfig(
    shift=0.1, rotate=15, zoom=0.1, colour=0.4, rand_augment=(2, 9), random_erasing=0.5, mixup=0.2, cutmix=1.0
)
PIXELS = structured(60, 90)


def only(**fields: object) -> AugmentConfig:
    return dataclasses.replace(NONE, **fields)


@pytest.mark.parametrize("config", [AugmentConfig(), EVERYTHING], ids=["crop and flip", "everything"])
def test_the_same_key_gives_the_same_bits(config: AugmentConfig) -> None:
    keys = [Key(seed, epoch, sample) for seed in (0, 1) for epoch in (0, 1) for sample in range(6)]
    first = {key: augment(PIXELS, CONTRACT, config, key) for key in keys}
    random.Random(0).shuffle(keys)
    torch.manual_seed(99)
    np.random.seed(99)  # noqa: NPY002 - to show that the global generators have no say
    with ThreadPoolExecutor(3) as pool:
        again = dict(zip(keys, pool.map(lambda key: augment(PIXELS, CONTRACT, config, key), keys), strict=True))
    assert all(torch.equal(first[key], again[key]) for key in keys)
    assert len({image.numpy().tobytes() for image in first.values()}) == len(keys), "every key its own picture"


def test_the_input_is_not_written_to() -> None:
    before = PIXELS.copy()
    for sample in range(20):
        augment(PIXELS, CONTRACT, EVERYTHING, Key(0, 0, sample))
    assert np.array_equal(PIXELS, before)


def test_no_augmentation_is_the_evaluations_preprocessing() -> None:
    assert torch.equal(augment(PIXELS, CONTRACT, NONE, Key(0, 0, 0)), prepare(PIXELS, CONTRACT))


@pytest.mark.parametrize("name", ["bilinear", "bicubic"])
def test_crop_and_flip_are_pillows(name: str) -> None:
    contract = dataclasses.replace(CONTRACT, filter=name)
    flipped = 0
    for sample in range(40):
        key = Key(5, 2, sample)
        box = crop_box((60, 90), (0.08, 1.0), (3 / 4, 4 / 3), key)
        region = (box.left, box.top, box.left + box.width, box.top + box.height)
        oracle = Image.fromarray(PIXELS).crop(region).resize((40, 32), getattr(Image.Resampling, name.upper()))
        both = [np.asarray(oracle), np.asarray(oracle.transpose(Image.Transpose.FLIP_LEFT_RIGHT))]
        ours = augment(PIXELS, contract, AugmentConfig(), key).permute(1, 2, 0).numpy().astype(int)
        errors = [np.abs(ours - candidate).max() for candidate in both]
        flipped += errors[1] < errors[0]
        assert min(errors) <= RESIZE_LEVELS
    assert 8 <= flipped <= 32


def test_crops_are_what_the_paper_says() -> None:
    shares, ratios, centres = [], [], []
    for sample in range(3000):
        box = crop_box((300, 400), (0.08, 1.0), (3 / 4, 4 / 3), Key(0, 0, sample))
        assert 0 <= box.top <= 300 - box.height
        assert 0 <= box.left <= 400 - box.width
        shares.append(box.height * box.width / 120_000)
        ratios.append(box.width / box.height)
        centres.append((box.top / max(1, 300 - box.height), box.left / max(1, 400 - box.width)))
    assert 0.078 < min(shares) < 0.09
    assert 0.95 < max(shares) <= 1
    assert 0.74 < min(ratios) < 0.76
    assert 1.32 < max(ratios) < 1.35
    small = np.array(ratios)[np.array(shares) < 0.4]  # those always fit, so nothing was rejected
    assert abs(np.log(small).mean()) < 0.02, "log-uniform"
    assert np.abs(np.array(centres).mean(0) - 0.5).max() < 0.03


@pytest.mark.parametrize("size", [(1, 1), (1, 500), (500, 1), (2, 3), (30, 900)])
def test_crops_of_strips_stay_inside(size: tuple[int, int]) -> None:
    for sample in range(50):
        box = crop_box(size, (0.08, 1.0), (3 / 4, 4 / 3), Key(0, 0, sample))
        assert 0 <= box.top < box.top + box.height <= size[0]
        assert 0 <= box.left < box.left + box.width <= size[1]


@pytest.mark.parametrize("decoder", ["turbo", "pillow"])
@pytest.mark.parametrize("config", [AugmentConfig(), NONE, EVERYTHING], ids=["default", "none", "everything"])
def test_a_file_is_augmented_as_its_pixels_are(config: AugmentConfig, decoder: str) -> None:
    """Decoding only the rows that a crop needs changes not a bit."""
    for data in (jpeg(PIXELS), jpeg(PIXELS, progressive=True), encode(PIXELS, "PNG")):
        pixels = decode_picture(data)
        for sample in range(6):
            key = Key(1, 0, sample)
            ours = augment_file(data, CONTRACT, config, key, decoder=decoder)
            assert torch.equal(ours, augment(pixels, CONTRACT, config, key))


def test_a_large_jpeg_is_decoded_smaller_for_the_same_crop() -> None:
    data = jpeg(structured(500, 700))
    contract = dataclasses.replace(CONTRACT, size=(40, 40))
    pixels, scaled = decode_picture(data), 0
    for sample in range(12):
        key = Key(0, 0, sample)
        near, exact = (
            augment_file(data, contract, AugmentConfig(), key),
            augment(pixels, contract, AugmentConfig(), key),
        )
        scaled += not torch.equal(near, exact)
        # The crop moves by up to half a pixel of the smaller picture, a sixteenth of one of the result's.
        assert (near.float() - exact.float()).abs().mean() <= DECODER_SCALING
    assert scaled >= 6


def warp_oracle(image: np.ndarray, angle: float, zoom: float, right: float, down: float) -> np.ndarray:
    """For each pixel the place it comes from, in float64: undo the shift, the zoom, the turn, about the centre."""
    height, width = image.shape[:2]
    y, x = np.mgrid[:height, :width].astype(np.float64)
    y, x = (y - (height - 1) / 2 - down) / zoom, (x - (width - 1) / 2 - right) / zoom
    back_x, back_y = np.cos(angle) * x + np.sin(angle) * y, -np.sin(angle) * x + np.cos(angle) * y
    at_x = np.clip(back_x + (width - 1) / 2, 0, width - 1)
    at_y = np.clip(back_y + (height - 1) / 2, 0, height - 1)
    x0, y0 = np.minimum(at_x.astype(int), width - 2), np.minimum(at_y.astype(int), height - 2)
    fx, fy = (at_x - x0)[..., None], (at_y - y0)[..., None]
    top = image[y0, x0] * (1 - fx) + image[y0, x0 + 1] * fx
    bottom = image[y0 + 1, x0] * (1 - fx) + image[y0 + 1, x0 + 1] * fx
    return top * (1 - fy) + bottom * fy


@pytest.mark.parametrize(
    "fields", [{"rotate": 30.0}, {"zoom": 0.3}, {"shift": 0.2}, {"rotate": 20, "zoom": 0.2, "shift": 0.1}]
)
def test_warp(fields: dict[str, float]) -> None:
    from separable.data.random import uniforms

    config, plain = only(**fields), prepare(PIXELS, CONTRACT).permute(1, 2, 0).numpy().astype(np.float64)
    for sample in range(6):
        turn, zoom, right, down = (2 * u - 1 for u in uniforms(Key(0, 0, sample), "warp", 4))
        oracle = warp_oracle(
            plain,
            np.radians(config.rotate * turn),
            1 + config.zoom * zoom,
            config.shift * right * 40,
            config.shift * down * 32,
        )
        ours = augment(PIXELS, CONTRACT, config, Key(0, 0, sample)).permute(1, 2, 0).numpy()
        assert np.abs(ours - oracle).max() <= WARP_LEVELS


def test_random_erasing() -> None:
    plain, erased, shares = prepare(PIXELS, CONTRACT), 0, []
    for sample in range(300):
        image = augment(PIXELS, CONTRACT, only(random_erasing=0.5), Key(0, 0, sample))
        changed = (image != plain).any(0)
        if not changed.any():
            continue
        erased += 1
        rows, columns = np.flatnonzero(changed.any(1)), np.flatnonzero(changed.any(0))
        box = changed[rows[0] : rows[-1] + 1, columns[0] : columns[-1] + 1]
        assert box.float().mean() > 0.9, "a rectangle; noise may hit the old value by chance"
        shares.append(box.numel() / changed.numel())
    assert 115 < erased < 185
    assert 0.01 < min(shares) < 0.05
    assert 0.3 < max(shares) < 0.45


@pytest.mark.parametrize(
    "fields",
    [
        {"random_resized_crop": (0.0, 1.0)},
        {"random_resized_crop": (0.5, 0.1)},
        {"crop_ratio": (2.0, 1.0)},
        {"shift": -0.1},
        {"colour": 1.5},
        {"random_erasing": 2},
        {"rand_augment": (2, 30)},
        {"mixup": 9.0},
    ],
)
def test_settings_out_of_range(fields: dict[str, object]) -> None:
    with pytest.raises(UsageError, match=f"Augmentation setting {next(iter(fields))} out of range"):
        AugmentConfig(**fields)
