"""The scenes of `separable demo --task segment` as a folder of pictures with masks like anybody's."""

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import numpy as np
from PIL import Image

from separable.data.building import built_folder
from separable.data.digits import held_out_digits, load_digits
from separable.data.photographs import CREDIT, load_photographs
from separable.data.random import Key
from separable.data.scenes import SCENES, SceneSource, SceneStyle, draw_scene
from separable.errors import OutputError
from separable.files import write_text_atomically
from separable.segmentation.classes_file import classes_text
from separable.segmentation.palette import class_colours
from separable.segmentation.png_writer import stored_indices

__all__ = ["CLASSES", "scene_sources", "write_digit_scenes"]

CLASSES = ("background", "zero", "one", "two", "three", "four")  # ten digits need longer to learn than a demo has
_PARTS = {"train": 0, "val": 1}
_CREDIT = "CREDIT.txt"


def scene_sources(digits: int = len(CLASSES) - 1) -> dict[str, SceneSource]:
    """What the scenes to train on ("train") and the held-out ones ("val") are drawn from: no digit and no part of a
    photograph is in both. `digits` is how many of the ten kinds of digits there are, from zero on.

    Raises:
        MissingExtraError: scikit-learn is not installed.
    """
    images, labels = load_digits()
    named, held_out = labels < digits, np.array(held_out_digits(labels))
    chosen = {"train": named & ~held_out, "val": named & held_out}
    photographs = dict(zip(_PARTS, load_photographs(), strict=True))
    return {part: SceneSource(images[chosen[part]], labels[chosen[part]], photographs[part]) for part in _PARTS}


def write_digit_scenes(folder: Path, *, train: int, val: int, seed: int = 0, style: SceneStyle = SCENES) -> Path:
    """Write `folder`/{train,val}/{images,masks}/NNNN.png (128x128, or as `style` says) and classes.yaml; return
    `folder`.

    What is drawn depends on the seed and a scene's number alone. A folder written before is used again; it appears
    complete or not at all.

    Raises:
        MissingExtraError: scikit-learn is not installed.
        OutputError: the place is not writable, or holds something else.
    """
    counts = {"train": train, "val": val}
    expected = {f"{part}/{kind}/{name}" for part, kind, name in _names(counts)}
    if folder.is_dir() and {path.relative_to(folder).as_posix() for path in folder.glob("*/*/*")} == expected:
        return folder
    if folder.exists():
        raise OutputError(
            f"{folder} is there and does not hold the {train} and {val} scenes of the demo",
            fix="Move it away, or run the demo in another folder",
        )
    sources = scene_sources()
    with built_folder(folder) as building:
        for part, count in counts.items():
            _write_part(building / part, sources[part], count, Key(seed, _PARTS[part], 0), style)
        write_text_atomically(building / "classes.yaml", classes_text(list(CLASSES), list(range(len(CLASSES))), []))
        write_text_atomically(building / _CREDIT, CREDIT)
    return folder


def _names(counts: dict[str, int]) -> Iterator[tuple[str, str, str]]:
    for part, count in counts.items():
        for kind in ("images", "masks"):
            yield from ((part, kind, f"{number:04d}.png") for number in range(count))


def _write_part(folder: Path, source: SceneSource, count: int, key: Key, style: SceneStyle) -> None:
    for kind in ("images", "masks"):
        (folder / kind).mkdir(parents=True)
    palette = np.array(class_colours(len(CLASSES)), np.uint8).tobytes()
    for number in range(count):
        scene = draw_scene(source, replace(key, sample=number), style)
        # Grain hardly shrinks: packing it well takes longer than drawing it.
        Image.fromarray(scene.picture).save(folder / "images" / f"{number:04d}.png", compress_level=1)
        mask = Image.fromarray(stored_indices(scene.mask, len(CLASSES)))
        mask.putpalette(palette)
        mask.save(folder / "masks" / f"{number:04d}.png")
