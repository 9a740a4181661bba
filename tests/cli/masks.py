"""What the tests of predicted masks share: pictures, and a mask as stored."""

from pathlib import Path

import numpy as np
from PIL import Image

from tests.data.made import encode, jpeg, structured


def write_pictures(folder: Path) -> Path:
    """Pictures of one stem in three formats, one below a folder, and a file that is none."""
    (folder / "sub").mkdir(parents=True)
    (folder / "a.png").write_bytes(encode(structured(40, 52, seed=1), "PNG"))
    (folder / "a.jpg").write_bytes(jpeg(structured(31, 60, seed=2)))
    (folder / "sub" / "a.bmp").write_bytes(encode(structured(33, 35, seed=3), "BMP"))
    (folder / "bad.png").write_bytes(b"nothing")
    return folder


def indices(path: Path) -> np.ndarray:
    with Image.open(path) as image:
        assert image.mode == "P"
        return np.asarray(image)
