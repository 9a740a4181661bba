"""Masks and files of masks that the tests make themselves."""

from pathlib import Path

import numpy as np
from hypothesis import strategies as st
from hypothesis.extra import numpy as arrays
from PIL import Image

from separable.segmentation.labels import Mask
from tests.data.made import encode, jpeg, structured

REGIONS = arrays.arrays(bool, st.tuples(st.integers(1, 9), st.integers(1, 9)))
"""Small regions: holes, islands in holes and pixels that touch at corners all occur."""


def blobs(height: int, width: int, classes: int = 3, seed: int = 0, cells: int = 6) -> Mask:
    """Smooth regions of classes 0 to classes - 1."""
    rng = np.random.default_rng(seed)
    layers = [
        np.asarray(
            Image.fromarray(rng.normal(size=(cells, cells)).astype(np.float32)).resize(
                (width, height), Image.Resampling.BICUBIC
            )
        )
        for _ in range(classes)
    ]
    return np.argmax(layers, axis=0).astype(np.int16)


def write_pairs(folder: Path, count: int, size: tuple[int, int] = (24, 30), classes: int = 2) -> Path:
    """`folder`/images/NNN.jpg and masks/NNN.png with index masks."""
    for name in ("images", "masks"):
        (folder / name).mkdir(parents=True, exist_ok=True)
    for number in range(count):
        (folder / f"images/{number:03d}.jpg").write_bytes(jpeg(structured(*size, seed=number)))
        mask = blobs(*size, classes, seed=number).astype(np.uint8)
        (folder / f"masks/{number:03d}.png").write_bytes(encode(Image.fromarray(mask), "PNG"))
    return folder
