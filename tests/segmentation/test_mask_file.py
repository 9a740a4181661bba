"""Mask files: what is stored is what is read, in every mode, or there is a cause."""

import io
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from separable.data.decode import decode_picture
from separable.errors import BadPictureError
from separable.segmentation.coding import COLOUR, TRANSPARENT, MaskCoding
from separable.segmentation.mask_file import MaskFile
from tests.data.made import encode, png, png_chunk

VALUES = np.arange(24, dtype=np.uint8).reshape(4, 6)


def with_orientation(image: Image.Image, orientation: int) -> bytes:
    exif = Image.Exif()
    exif[0x0112] = orientation
    buffer = io.BytesIO()
    image.save(buffer, "PNG", exif=exif)
    return buffer.getvalue()


def paletted(values: np.ndarray, colours: list[int]) -> Image.Image:
    image = Image.fromarray(values).convert("L")
    image = Image.frombytes("P", image.size, image.tobytes())
    image.putpalette(colours)
    return image


def test_greyscale_and_palette_give_their_numbers() -> None:
    assert np.array_equal(MaskFile(encode(Image.fromarray(VALUES), "PNG")).values(), VALUES)
    colours = np.random.default_rng(0).integers(0, 256, 72).tolist()
    image = paletted(VALUES, colours)
    for kind in ("PNG", "GIF", "BMP", "TIFF"):
        assert np.array_equal(MaskFile(encode(image, kind)).values(), VALUES), kind


def test_a_palette_with_transparency_and_two_equal_colours_gives_indices() -> None:
    data = encode(paletted(VALUES % 3, [9, 9, 9, 9, 9, 9, 1, 2, 3]), "PNG", transparency=1)
    assert np.array_equal(MaskFile(data).values(), VALUES % 3)


@pytest.mark.parametrize("bits", [1, 2, 4, 8, 16])
def test_grey_pngs_of_every_depth_give_their_own_numbers(bits: int) -> None:
    """Pillow stretches 2 and 4 bits to 255; class 3 of 15 would become 51."""
    count = min(16, 2**bits)
    numbers = np.arange(16).reshape(2, 8) % count
    if bits == 16:
        numbers = numbers * 4096 + 7
    rows = b""
    for row in numbers:
        joined = int("".join(f"{value:0{bits}b}" for value in row), 2)
        rows += b"\0" + joined.to_bytes(bits, "big")
    read = MaskFile(png(8, 2, bits, 0, rows)).values()
    assert np.array_equal(read, numbers * 255 if bits == 1 else numbers)


@pytest.mark.parametrize("bits", [1, 2, 4])
def test_narrow_palettes_give_indices(bits: int) -> None:
    numbers = np.arange(8) % 2**bits
    joined = int("".join(f"{value:0{bits}b}" for value in numbers), 2)
    palette = png_chunk(b"PLTE", bytes(range(100, 100 + 3 * 2**bits)))
    read = MaskFile(png(8, 1, bits, 3, b"\0" + joined.to_bytes(bits, "big"), palette)).values()
    assert np.array_equal(read[0], numbers)


def test_colours_are_colours_and_grey_ones_numbers() -> None:
    pixels = np.zeros((2, 2, 3), np.uint8)
    pixels[0, 1] = (255, 0, 128)
    assert MaskFile(encode(pixels, "PNG")).values().tolist() == [[COLOUR, COLOUR + 0xFF0080], [COLOUR, COLOUR]]
    grey = np.repeat(VALUES[..., None], 3, axis=2)
    assert np.array_equal(MaskFile(encode(grey, "PNG")).values(), VALUES)
    assert np.array_equal(MaskFile(encode(grey, "PNG")).values(colours=True), COLOUR + VALUES.astype(int) * 0x010101)
    image = paletted(VALUES % 2, [10, 20, 30, 255, 0, 0])
    assert set(MaskFile(encode(image, "PNG")).values(colours=True).ravel().tolist()) == {
        COLOUR + 0x0A141E,
        COLOUR + 0xFF0000,
    }


def test_alpha_is_all_or_nothing() -> None:
    rgba = np.zeros((1, 3, 4), np.uint8)
    rgba[0, 0] = (5, 5, 5, 255)
    rgba[0, 2] = (9, 9, 9, 255)
    assert MaskFile(encode(rgba, "PNG")).values().tolist() == [[5, TRANSPARENT, 9]]
    grey = Image.merge("LA", (Image.fromarray(VALUES), Image.new("L", (6, 4), 255)))
    assert np.array_equal(MaskFile(encode(grey, "PNG")).values(), VALUES)
    rgba[0, 1, 3] = 100
    with pytest.raises(BadPictureError, match="half-transparent pixels: the mask was drawn with soft edges"):
        MaskFile(encode(rgba, "PNG")).values()


@pytest.mark.parametrize("orientation", range(1, 9))
def test_exif_turns_a_mask_like_a_picture(orientation: int) -> None:
    data = with_orientation(Image.fromarray(VALUES), orientation)
    file = MaskFile(data)
    assert np.array_equal(file.values(), decode_picture(data)[..., 0])
    assert file.size == file.values().shape
    assert file.orientation == orientation


def test_what_has_no_exact_reading_is_refused() -> None:
    wide = png(2, 1, 16, 2, b"\0" + bytes(range(12)))
    with pytest.raises(BadPictureError, match="16 bits a channel and several channels"):
        MaskFile(wide).values()
    fractions = encode(Image.fromarray(np.ones((2, 2), np.float32) / 2), "TIFF")
    with pytest.raises(BadPictureError, match="a mask of fractions"):
        MaskFile(fractions).values()
    cmyk = encode(Image.new("CMYK", (2, 2)), "JPEG")
    with pytest.raises(BadPictureError, match="colour mode CMYK"):
        MaskFile(cmyk).values()
    numbers = MaskFile(encode(Image.fromarray(np.full((2, 2), 256, np.uint16)), "PNG"))
    with pytest.raises(BadPictureError, match="16-bit numbers where the classes are told by colours"):
        numbers.values(colours=True)
    negative = encode(Image.fromarray(np.full((2, 2), -3, np.int32)), "TIFF")
    with pytest.raises(BadPictureError, match="at most 16 bits"):
        MaskFile(negative).values()


def test_damage_and_size_are_told_before_decoding() -> None:
    data = encode(Image.fromarray(np.random.default_rng(0).integers(0, 9, (90, 90)).astype(np.uint8)), "PNG")
    with pytest.raises(BadPictureError, match="truncated PNG"):
        MaskFile(data[:-200]).values()
    with pytest.raises(BadPictureError, match="empty file"):
        MaskFile(b"")
    with pytest.raises(BadPictureError, match="not a picture"):
        MaskFile(b"masks")
    bomb = png(60000, 60000, 8, 0, b"")
    with pytest.raises(BadPictureError, match="too large: 60000x60000 pixels"):
        MaskFile(bomb)
    with pytest.raises(BadPictureError, match="too large: 90x90"):
        MaskFile(data, max_pixels=8099)


def test_a_jpeg_of_a_mask_says_what_happened_to_it() -> None:
    binary = np.zeros((40, 40), np.uint8)
    binary[10:30, 8:33] = 255
    read = MaskFile(encode(Image.fromarray(binary), "JPEG", quality=60)).values()
    with pytest.raises(BadPictureError, match=r"values that no class has: .* more, in .* stored as JPEG"):
        MaskCoding.binary().decode(read)


@pytest.mark.shared
def test_no_odd_file_raises_anything_but_a_cause(test_data: Path) -> None:
    """Truncated, corrupt, bombs, CMYK, animations: values of the picture's size, or a short cause."""
    read = refused = 0
    for path in sorted(path for path in (test_data / "edge").rglob("*") if path.is_file()):
        try:
            file = MaskFile(path)
            for colours in (False, True):
                values = MaskFile(path).values(colours=colours)
                assert values.shape == file.size, path.name
                assert values.dtype == np.int32
            read += 1
        except BadPictureError:
            refused += 1
    assert read > 100
    assert refused > 20
