"""Colour jitter and RandAugment's operations against numpy."""

from collections.abc import Callable

import numpy as np
import pytest
import torch
from PIL import Image

from separable.data.photometric import RAND_AUGMENT_OPERATIONS, colour_jitter, rand_augment
from separable.data.random import Key
from tests.data.made import structured
from tests.tolerances import PHOTOMETRIC_LEVELS, WARP_LEVELS

PIXELS = structured(33, 47)
IMAGE = torch.from_numpy(PIXELS).permute(2, 0, 1)
Operation = Callable[[np.ndarray, float], np.ndarray]


def grey(pixels: np.ndarray) -> np.ndarray:
    """ITU-R 601 luma, rounded, as the blends below use it."""
    return np.rint(pixels @ np.array([0.299, 0.587, 0.114]))[..., None]


def blend(other: np.ndarray | float, pixels: np.ndarray, factor: float) -> np.ndarray:
    return np.clip(other + factor * (pixels - other), 0, 255)


def equalise(pixels: np.ndarray, _: float) -> np.ndarray:
    """Spread each channel's histogram; the step is the share of one output level without the last occupied bin."""
    result = pixels.copy()
    for channel in range(3):
        counts = np.bincount(pixels[..., channel].astype(int).ravel(), minlength=256)
        step = (counts.sum() - counts[np.flatnonzero(counts)[-1]]) // 255
        table = np.clip((step // 2 + np.cumsum(counts) - counts) // step, 0, 255)
        result[..., channel] = table[pixels[..., channel].astype(int)]
    return result


def auto_contrast(pixels: np.ndarray, _: float) -> np.ndarray:
    low, high = pixels.min((0, 1)), pixels.max((0, 1))
    return np.clip((pixels - low) * 255 / (high - low), 0, 255)


def posterise(pixels: np.ndarray, level: float) -> np.ndarray:
    bits = 8 - round(4 * abs(level))
    return (pixels.astype(int) >> (8 - bits)) << (8 - bits)


def solarise(pixels: np.ndarray, level: float) -> np.ndarray:
    return np.where(pixels >= round(256 * (1 - abs(level))), 255 - pixels, pixels)


ORACLES: dict[str, Operation] = {
    "auto_contrast": auto_contrast,
    "brightness": lambda p, v: blend(0.0, p, 1 + 0.9 * v),
    "colour": lambda p, v: blend(grey(p), p, 1 + 0.9 * v),
    "contrast": lambda p, v: blend(float(np.floor(grey(p).mean() + 0.5)), p, 1 + 0.9 * v),
    "equalise": equalise,
    "identity": lambda p, _: p,
    "posterise": posterise,
    "solarise": solarise,
}


@pytest.mark.parametrize("level", [-1.0, -0.4, 0.7, 1.0])
@pytest.mark.parametrize("name", ORACLES)
def test_operations_on_colours(name: str, level: float) -> None:
    ours = np.asarray(RAND_AUGMENT_OPERATIONS[name](Image.fromarray(PIXELS), level)).astype(float)
    assert np.abs(ours - ORACLES[name](PIXELS.astype(float), level)).max() <= PHOTOMETRIC_LEVELS


def test_sharpness_leaves_flat_regions_and_one_is_identity() -> None:
    flat = Image.new("RGB", (20, 20), (10, 200, 90))
    sharpen = RAND_AUGMENT_OPERATIONS["sharpness"]
    assert np.array_equal(np.asarray(sharpen(flat, 1.0)), np.asarray(flat))
    steps = [np.asarray(sharpen(Image.fromarray(PIXELS), v)).astype(float) for v in (-1.0, 0.0, 1.0)]
    assert np.array_equal(steps[1], PIXELS)
    variation = [np.abs(np.diff(step, axis=1)).mean() for step in steps]
    assert variation[0] < variation[1] < variation[2]


@pytest.mark.parametrize("name", ["rotate", "shear_x", "shear_y", "translate_x", "translate_y"])
def test_operations_on_places(name: str) -> None:
    operation, picture = RAND_AUGMENT_OPERATIONS[name], Image.fromarray(PIXELS)
    assert np.array_equal(np.asarray(operation(picture, 0.0)), PIXELS)
    there, back = (np.asarray(operation(picture, v)).astype(int) for v in (0.5, -0.5))
    mirrored = np.asarray(operation(Image.fromarray(PIXELS[::-1, ::-1].copy()), 0.5)).astype(int)[::-1, ::-1]
    if name == "rotate":
        assert np.abs(mirrored - there).max() <= WARP_LEVELS, "turning about the centre"
    assert (there != back).mean() > 0.5, "both directions"
    assert (there == 128).all(-1).any(), "what comes into view is grey"


def test_translation_moves_by_what_autoaugment_says() -> None:
    picture = Image.fromarray(structured(20, 331))
    moved = np.asarray(RAND_AUGMENT_OPERATIONS["translate_x"](picture, 1.0))
    assert np.array_equal(moved[:, : 331 - 150], np.asarray(picture)[:, 150:])
    assert (moved[:, 331 - 150 + 1 :] == 128).all()


def test_rand_augment_draws_every_operation_and_repeats_itself() -> None:
    seen: set[bytes] = set()
    dull = IMAGE // 2 + 30  # without black and white, which auto_contrast would leave alone
    for sample in range(300):
        image = rand_augment(dull, 1, 9, Key(0, 0, sample))
        assert image.shape == dull.shape
        assert image.dtype == torch.uint8
        assert torch.equal(image, rand_augment(dull, 1, 9, Key(0, 0, sample)))
        seen.add(image.numpy().tobytes())
    one_way = {"auto_contrast", "equalise", "identity", "posterise", "solarise"}
    assert len(seen) == 2 * len(RAND_AUGMENT_OPERATIONS) - len(one_way)
    assert len(RAND_AUGMENT_OPERATIONS) == 14, "the paper's number"


def test_colour_jitter_stays_within_its_factors() -> None:
    flat = torch.full((3, 8, 8), 100, dtype=torch.uint8)
    values = [int(colour_jitter(flat, 0.4, Key(0, 0, sample))[0, 0, 0]) for sample in range(300)]
    assert 60 <= min(values) < 65, "contrast and saturation leave a flat grey alone, brightness does not"
    assert 135 < max(values) <= 140
    assert torch.equal(colour_jitter(IMAGE, 0.0, Key(0, 0, 0)), IMAGE)
