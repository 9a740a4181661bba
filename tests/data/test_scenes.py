"""The demo's scenes: the same for ever, and a mask that says what was painted where."""

import hashlib
from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray
from PIL import Image

from separable.data.digits import held_out_digits, load_digits
from separable.data.photographs import load_photographs
from separable.data.random import Key
from separable.data.scenes import SCENES, Scene, SceneSource, draw_scene

GREY = np.full((200, 200, 3), 130, np.uint8)


@pytest.fixture(scope="module")
def plain() -> SceneSource:
    """All digits, on nothing but grey: whatever differs from the ground was painted."""
    images, labels = load_digits()
    return SceneSource(images, labels, (GREY,))


@pytest.fixture(scope="module")
def drawn(plain: SceneSource) -> list[Scene]:
    return [draw_scene(plain, Key(3, 0, number)) for number in range(60)]


def brightness(picture: NDArray[np.uint8]) -> NDArray[np.float64]:
    return np.asarray(Image.fromarray(picture).convert("L"), float)


def well_inside(where: NDArray[np.bool_]) -> NDArray[np.bool_]:
    """Without the pixels beside its border, which are mixed."""
    padded = np.pad(where, 1, mode="edge")
    return np.logical_and.reduce([padded[i : i + SCENES.side, j : j + SCENES.side] for i in range(3) for j in range(3)])


def test_a_scene_is_a_pure_function_of_its_key(plain: SceneSource, drawn: list[Scene]) -> None:
    again = draw_scene(plain, Key(3, 0, 7))
    np.testing.assert_array_equal(again.picture, drawn[7].picture)
    np.testing.assert_array_equal(again.mask, drawn[7].mask)
    assert again.digits == drawn[7].digits
    others = [draw_scene(plain, key).picture for key in (Key(4, 0, 7), Key(3, 1, 7), Key(3, 0, 8))]
    assert not any((other == again.picture).all() for other in others)


def test_scenes_are_those_that_were_published() -> None:
    """Written by `hashlib.sha256(scene.picture.tobytes() + scene.mask.astype("<i2").tobytes())` when they were chosen.
    The photographs are left out: another libjpeg may decode them a level apart."""
    images, labels = load_digits()
    ramp = np.linspace(0, 255, 200 * 220 * 3).astype(np.uint8).reshape(200, 220, 3)
    source = SceneSource(images, labels, (ramp, GREY))
    digest = hashlib.sha256()
    for number in range(5):
        scene = draw_scene(source, Key(0, 0, number))
        digest.update(scene.picture.tobytes() + scene.mask.astype("<i2").tobytes())
    assert digest.hexdigest()[:16] == "92ba6427be707492"


def test_the_mask_is_where_the_picture_was_painted(drawn: list[Scene]) -> None:
    for scene in drawn:
        level, painted = brightness(scene.picture), scene.mask > 0
        ground = np.median(level[~painted])
        away = np.abs(level - ground)
        assert np.percentile(away[well_inside(~painted)], 99.9) < 25, "paint outside of the mask"
        assert np.percentile(away[well_inside(painted)], 10) > 15, "a mask without paint"


def test_the_mask_names_the_digits_that_were_painted(plain: SceneSource, drawn: list[Scene]) -> None:
    for scene in drawn:
        assert {*np.unique(scene.mask)} == {0, *(1 + plain.labels[list(scene.digits)])}


def test_a_mask_has_the_shape_of_its_scan(plain: SceneSource, drawn: list[Scene]) -> None:
    overlaps = []
    for scene in drawn:
        if len(scene.digits) == 1:
            scan = Image.fromarray((plain.digits[scene.digits[0]] > 7).astype(np.uint8) * 255)
            shape = Image.fromarray((scene.mask > 0).astype(np.uint8) * 255)
            one, other = (
                np.asarray(each.crop(each.getbbox()).resize((24, 24), Image.Resampling.BILINEAR)) > 127
                for each in (scan, shape)
            )
            overlaps.append((one & other).sum() / (one | other).sum())
    assert len(overlaps) > 8
    assert np.mean(overlaps) > 0.6, overlaps


def test_neither_colour_nor_brightness_tells_a_digit(drawn: list[Scene]) -> None:
    levels = np.array([brightness(scene.picture)[scene.mask > 0].mean() for scene in drawn])
    assert (levels > 150).sum() > 10
    assert (levels < 110).sum() > 10
    hues = np.array([scene.picture[scene.mask > 0].mean(axis=0) for scene in drawn])
    assert (hues - hues.mean(axis=1, keepdims=True)).std(axis=0).min() > 20


def test_every_scan_has_an_outline(plain: SceneSource) -> None:
    for number in range(0, len(plain.labels), 15):
        alone = SceneSource(plain.digits[number : number + 1], plain.labels[number : number + 1], (GREY,))
        assert (draw_scene(alone, Key(0, 0, number)).mask > 0).sum() > 100


def test_what_is_held_out_is_in_no_training_scene() -> None:
    images, labels = load_digits()
    held_out = np.array(held_out_digits(labels))
    seen = {images[number].tobytes() for number in np.flatnonzero(~held_out)}
    assert not [number for number in np.flatnonzero(held_out) if images[number].tobytes() in seen]
    from sklearn.datasets import load_sample_images

    whole = {image.tobytes() for image in load_sample_images().images}
    train, held = load_photographs()
    joined = {np.concatenate(parts, axis=1).tobytes() for parts in ((train[0], held[0]), (held[1], train[1]))}
    assert joined == whole, "every column is in one of the two parts, and in one alone"


def test_photographs_are_named_with_their_licence() -> None:
    import sklearn.datasets

    from separable.data.photographs import CREDIT

    package = (Path(sklearn.datasets.__file__).parent / "images" / "README.txt").read_text()
    for words in ("china.jpg", "flower.jpg", "danielbuechele", "vultilion", "creativecommons.org/licenses/by/2.0"):
        assert words in CREDIT
        assert words in package
