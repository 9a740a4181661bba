"""scikit-learn's scanned digits as a folder of pictures like anybody's: the default of `separable demo`."""

import hashlib
from pathlib import Path
from typing import TYPE_CHECKING, Any

from separable.data.building import built_folder
from separable.errors import MissingExtraError, OutputError

if TYPE_CHECKING:
    import numpy as np

__all__ = ["held_out_digits", "load_digits", "write_digits"]

_COUNT = 1797  # pictures in the set: Alpaydin and Kaynak, Optical Recognition of Handwritten Digits, UCI 1998
_SIDE = 32  # the scans are 8x8; enlarged, so that a person sees a digit
_HELD_OUT = 5  # one in five of each class, never trained on


def write_digits(folder: Path) -> Path:
    """Write `folder`/{train,val}/{0..9}/NNNN.png (1797 greyscale pictures of 32x32) and return `folder`.

    Which pictures are held out depends on their number alone, so that figures from different days compare. A folder
    written before is used again; it appears complete or not at all.

    Raises:
        MissingExtraError: scikit-learn is not installed.
        OutputError: the place is not writable, or holds something else.
    """
    if folder.is_dir() and sum(1 for _ in folder.glob("*/*/*.png")) == _COUNT:
        return folder
    if folder.exists():
        raise OutputError(
            f"{folder} is there and does not hold the {_COUNT} digits of the demo",
            fix="Move it away, or run the demo in another folder",
        )
    images, labels = load_digits()
    with built_folder(folder) as building:
        for index, held_out in enumerate(held_out_digits(labels)):
            part = building / ("val" if held_out else "train") / str(labels[index])
            part.mkdir(parents=True, exist_ok=True)
            _enlarge(images[index]).save(part / f"{index:04d}.png")
    return folder


def load_digits() -> "tuple[np.ndarray[Any, Any], np.ndarray[Any, Any]]":
    """Images (1797, 8, 8) with values 0 to 16, labels (1797,).

    Raises:
        MissingExtraError: scikit-learn is not installed.
    """
    try:
        from sklearn.datasets import load_digits as load
    except ImportError as error:
        raise MissingExtraError(
            "The scanned digits come with scikit-learn, which is not installed",
            fix='pip install "separable[demo]"',
        ) from error
    digits = load()
    return digits.images, digits.target


def held_out_digits(labels: "np.ndarray[Any, Any]") -> list[bool]:
    """Which digits no training sees: of each class, the fifth (rounded up) whose numbers hash lowest."""
    chosen: set[int] = set()
    for label in sorted({int(entry) for entry in labels}):
        members = [index for index, entry in enumerate(labels) if entry == label]
        members.sort(key=lambda index: hashlib.sha256(f"digits {index}".encode()).digest())
        chosen.update(members[: -(-len(members) // _HELD_OUT)])
    return [index in chosen for index in range(len(labels))]


def _enlarge(image: "np.ndarray[Any, Any]") -> Any:
    from PIL import Image

    scaled = (image * (255.0 / 16.0)).round().astype("uint8")
    return Image.fromarray(scaled).resize((_SIDE, _SIDE), Image.Resampling.BICUBIC)
