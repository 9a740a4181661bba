"""At what resolution scores are taken, in words."""

from dataclasses import replace
from pathlib import Path

import pytest
from PIL import Image

from separable.models import InputContract
from separable.segmentation.measured_at import measured_at, picture_scale


def test_the_scale_is_that_of_the_part_that_is_seen(tmp_path: Path) -> None:
    contract = InputContract((32, 32), (0, 0, 0), (1, 1, 1), resize="squash", crop_fraction=1.0)
    names = ("a.png", "b.png", "c.png")
    for name, size in zip(names, ((64, 64), (128, 32), (320, 320)), strict=True):
        Image.new("L", size).save(tmp_path / name)
    (tmp_path / "bad.png").write_bytes(b"no")
    paths = [tmp_path / name for name in (*names, "bad.png", "gone.png", "\0")]
    assert picture_scale(paths, contract) == pytest.approx(2.0), "the middle one of 2, 2 and 10"
    assert picture_scale(paths[1:2], replace(contract, resize="shorter")) == pytest.approx(1.0)
    assert picture_scale(paths[3:], contract) is None
    assert picture_scale([], contract) is None


@pytest.mark.parametrize(
    ("tolerance", "scale", "expected"),
    [
        (
            2.0,
            4.0,
            "Measured at 64x96, the network's input; a boundary counts within 2 pixels there, which are about 8 of the "
            "pictures' own. The pictures are larger than that, so scores at two --image-size are not comparable.",
        ),
        (1.0, 1.0, "Measured at 64x96, the network's input; a boundary counts within 1 pixel there."),
        (2.0, None, "Measured at 64x96, the network's input; a boundary counts within 2 pixels there."),
        (None, 0.5, "Measured at 64x96, the network's input."),
        (float("nan"), None, "Measured at 64x96, the network's input."),
    ],
)
def test_words(tolerance: float | None, scale: float | None, expected: str) -> None:
    assert measured_at((64, 96), tolerance, scale) == expected
