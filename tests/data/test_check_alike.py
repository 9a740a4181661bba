"""Copies are found whatever was done to them, and pictures that only look alike are not called copies."""

import numpy as np
import pytest
from PIL import Image, ImageDraw, ImageFilter
from sklearn.datasets import load_digits

from separable.data.check_alike import Alike, find_alike
from separable.data.fingerprints import FINGERPRINT, SIDE, fingerprint
from tests.data.scenes import COPIES, cropped, scene


def prints_of(pictures: list[Image.Image]) -> np.ndarray:
    prints = [fingerprint(np.asarray(picture.convert("RGB"))) for picture in pictures]
    return np.array(prints, np.uint8).reshape(-1, FINGERPRINT)


def look(pictures: list[Image.Image], *, small: bool = False) -> Alike:
    return find_alike(prints_of(pictures), np.full(len(pictures), small))


def pairs(alike: Alike) -> dict[tuple[int, int], bool]:
    return dict(
        zip(zip(alike.first.tolist(), alike.second.tolist(), strict=True), alike.mirrored.tolist(), strict=True)
    )


@pytest.fixture(scope="module")
def scenes() -> list[Image.Image]:
    return [scene(seed) for seed in range(150)]


def test_different_pictures_are_different(scenes: list[Image.Image]) -> None:
    alike = look(scenes)
    assert pairs(alike) == {}
    assert alike.complete
    assert alike.common < 0.1


@pytest.mark.parametrize("how", COPIES)
def test_copies_are_found(scenes: list[Image.Image], how: str) -> None:
    """40 of the 150, copied: all are found, each with its original alone."""
    copied = look([*scenes, *(COPIES[how](picture) for picture in scenes[:40])])
    found = pairs(copied)
    assert set(found) == {(i, 150 + i) for i in range(40)}
    assert all(mirrored == how.startswith("mirrored") for mirrored in found.values())
    assert copied.score.min() > 0.9


def test_most_cropped_copies_are_found(scenes: list[Image.Image]) -> None:
    """4 % off each side moves the thumbnail's edge by more than a pixel: only warping brings the detail together."""
    found = pairs(look([*scenes, *(cropped(picture, 0.04) for picture in scenes)]))
    assert all(j == i + 150 for i, j in found)
    assert len(found) > 0.7 * 150


def test_few_pictures_are_compared_as_they_are(scenes: list[Image.Image]) -> None:
    """A mean over two pictures would leave the one as the negative of the other."""
    assert pairs(look([scenes[0], scenes[0].resize((300, 200))])) == {(0, 1): False}
    assert pairs(look([scenes[0], scenes[1]])) == {}
    assert pairs(look([])) == pairs(look(scenes[:1])) == {}


def test_like_composition_is_not_a_copy() -> None:
    """One soft shape, another surface each time: the pictures agree to more than 0.9 as wholes, not in detail."""
    shape = np.asarray(scene(7).convert("L").filter(ImageFilter.GaussianBlur(6)), np.float32)

    def surfaced(seed: int) -> Image.Image:
        coarse = np.random.default_rng(seed).normal(0, 13, (24, 32)).astype(np.float32)
        texture = np.asarray(Image.fromarray(coarse).resize((120, 90), Image.Resampling.BICUBIC))
        return Image.fromarray(np.clip(shape + texture, 0, 255).astype(np.uint8))

    pictures = [surfaced(seed) for seed in range(12)]
    standard = prints_of(pictures)[:, : SIDE * SIDE].astype(float)
    assert np.corrcoef(standard).min() > 0.92
    assert pairs(look(pictures)) == {}


def test_one_shape_in_two_colours_is_two_pictures() -> None:
    def disc(colour: str, at: int) -> Image.Image:
        picture = Image.new("RGB", (100, 100), "white")
        ImageDraw.Draw(picture).ellipse((at, 20, at + 50, 75), fill=colour)
        return picture

    assert pairs(look([disc("#e02020", 10), disc("#2070ff", 10)])) == {}
    assert pairs(look([disc("#e02020", 10), disc("#d03028", 10)])) == {(0, 1): False}
    assert pairs(look([disc("#e02020", 10), disc("#e02020", 12).convert("L").convert("RGB")])) == {(0, 1): False}


def test_what_all_pictures_share_is_no_likeness(scenes: list[Image.Image]) -> None:
    """A fixed camera: the same view in each picture, faintly something else in front of it."""
    view = np.asarray(scene(999), np.float32)
    frames = [Image.fromarray((0.75 * view + 0.25 * np.asarray(one, np.float32)).astype(np.uint8)) for one in scenes]
    alike = look([*frames, *(COPIES["JPEG of quality 30"](frame) for frame in frames[:10])])
    assert set(pairs(alike)) == {(i, 150 + i) for i in range(10)}
    assert alike.common > 0.6


def test_scanned_digits_of_one_kind_are_not_copies() -> None:
    """Hundreds of pairs agree to 0.97; two in a thousand pictures may be called copies."""
    digits = [Image.fromarray((image * 15).astype(np.uint8)).resize((32, 32)) for image in load_digits().images[:1000]]
    assert len(look(digits, small=True).first) <= 2
    copied = look([*digits, *(digit.point(lambda value: value * 0.8) for digit in digits[:20])], small=True)
    assert {(i, 1000 + i) for i in range(20)} <= set(pairs(copied))
