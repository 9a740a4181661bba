"""Decoding: every kind of pixel becomes what a person expects, and both JPEG decoders give the same."""

import io

import numpy as np
import pytest
from PIL import Image, ImageOps

import separable.data.decode as module
from separable.data.decode import PictureFile, decode_picture, picture_size, resolve_decoder
from separable.errors import MissingExtraError, UsageError
from tests.data.made import Pixels, encode, jpeg, png, png_chunk, structured
from tests.tolerances import JPEG_DECODERS, JPEG_QUALITY_95

DECODERS = ["turbo", "pillow"]


def difference(first: Pixels, second: Pixels) -> int:
    assert first.shape == second.shape
    return int(np.abs(first.astype(int) - second).max())


@pytest.mark.parametrize("options", [{"subsampling": s} for s in (0, 1, 2)] + [{"progressive": True}, {"quality": 40}])
@pytest.mark.parametrize("size", [(67, 101), (8, 8), (1, 17), (33, 1)])
def test_both_decoders_agree(options: dict[str, object], size: tuple[int, int]) -> None:
    data = jpeg(structured(*size), **options)
    turbo, pillow = (decode_picture(data, decoder=decoder) for decoder in DECODERS)
    assert turbo.shape == (*size, 3)
    assert turbo.dtype == np.uint8
    assert turbo.flags.c_contiguous
    assert difference(turbo, pillow) <= JPEG_DECODERS
    assert difference(turbo, np.asarray(Image.open(io.BytesIO(data)))) <= JPEG_DECODERS


@pytest.mark.parametrize("decoder", DECODERS)
def test_grey_jpeg(decoder: str) -> None:
    data = jpeg(Image.fromarray(structured(40, 50)).convert("L"))
    pixels = decode_picture(data, decoder=decoder)
    assert difference(pixels[..., 0], np.asarray(Image.open(io.BytesIO(data)))) <= JPEG_DECODERS
    assert (pixels == pixels[..., :1]).all()


@pytest.mark.parametrize("options", [{"subsampling": s} for s in (0, 1, 2)] + [{"restart_marker_blocks": 3}, {"L": 1}])
@pytest.mark.parametrize("height", [64, 71])
def test_the_first_rows_are_those_of_a_full_decode(options: dict[str, int], height: int) -> None:
    image = Image.fromarray(structured(height, 50))
    data = jpeg(image.convert("L")) if options.pop("L", 0) else jpeg(image, **options)
    full = decode_picture(data, decoder="turbo")
    for rows in range(1, height + 1):
        top = PictureFile(data, decoder="turbo").pixels(rows=rows)
        assert top.shape[0] >= rows
        assert np.array_equal(top[:rows], full[:rows]), rows
    short = PictureFile(data, decoder="turbo").pixels(rows=5)
    assert short.shape[0] < 10, "the rest was decoded all the same"


def test_rows_are_ignored_where_they_cannot_be_used() -> None:
    pixels = structured(60, 40)
    for data in (jpeg(pixels, progressive=True), jpeg(pixels, exif=exif(6)), encode(pixels, "PNG")):
        assert np.array_equal(PictureFile(data).pixels(rows=3), decode_picture(data))


@pytest.mark.parametrize("size", [(160, 200), (161, 203)])
@pytest.mark.parametrize("target", [(80, 100), (41, 60), (20, 20), (30, 120), (160, 200), (1, 1)])
def test_scaled_decoding_stays_above_the_target(size: tuple[int, int], target: tuple[int, int]) -> None:
    data = jpeg(structured(*size))
    turbo, pillow = (decode_picture(data, target=target, decoder=decoder) for decoder in DECODERS)
    assert difference(turbo, pillow) <= JPEG_DECODERS
    assert turbo.shape[0] >= target[0]
    assert turbo.shape[1] >= target[1]
    scale = next(s for s in (8, 4, 2, 1) if size[0] >= s * target[0] and size[1] >= s * target[1])
    assert turbo.shape[:2] == (-(-size[0] // scale), -(-size[1] // scale))


def exif(orientation: int) -> bytes:
    block = Image.Exif()
    block[0x0112] = orientation
    return block.tobytes()


@pytest.mark.parametrize("orientation", range(1, 9))
@pytest.mark.parametrize("kind", ["JPEG", "PNG", "WEBP", "TIFF"])
def test_orientation_is_applied(kind: str, orientation: int) -> None:
    options = {"lossless": True} if kind == "WEBP" else {}
    data = encode(structured(24, 40), kind, exif=exif(orientation), **options)
    oracle = np.asarray(ImageOps.exif_transpose(Image.open(io.BytesIO(data))))
    for decoder in DECODERS if kind == "JPEG" else ["pillow"]:
        pixels = decode_picture(data, decoder=decoder)
        assert pixels.shape == ((40, 24, 3) if orientation >= 5 else (24, 40, 3))
        assert pixels.flags.c_contiguous
        assert difference(pixels, oracle) <= (JPEG_DECODERS if kind == "JPEG" else 0)
        assert picture_size(data) == pixels.shape[:2]


def test_orientation_by_hand() -> None:
    """Stored red | green with orientation 6 (turn right to display): red ends on top."""
    stored = np.zeros((4, 6, 3), np.uint8)
    stored[:, :3, 0], stored[:, 3:, 1] = 255, 255
    shown = decode_picture(encode(stored, "PNG", exif=exif(6)))
    assert shown.shape == (6, 4, 3)
    assert (shown[:3] == (255, 0, 0)).all()
    assert (shown[3:] == (0, 255, 0)).all()


def test_a_png_may_keep_its_orientation_behind_the_pixels() -> None:
    data = encode(structured(24, 40), "PNG")
    end = data.index(b"IEND") - 4
    turned = data[:end] + png_chunk(b"eXIf", exif(6)[6:]) + data[end:]
    assert picture_size(turned) == (40, 24)
    assert np.array_equal(decode_picture(turned), np.rot90(structured(24, 40), -1))


@pytest.mark.parametrize("kind", ["JPEG", "PNG", "GIF", "BMP", "TIFF", "WEBP"])
def test_the_size_needs_the_header_alone(kind: str) -> None:
    """The second half of the file is not there."""
    image = Image.fromarray(np.random.default_rng(0).integers(0, 256, (90, 120, 3), dtype=np.uint8))
    data = encode(image, kind)
    half = len(data) // 2
    assert picture_size(data if kind in ("TIFF", "WEBP") else data[:half]) == (90, 120)  # these two check the length


@pytest.mark.parametrize("block", [b"", b"II", b"II*\0\xff\xff\xff\xff", b"MM\0*\0\0\0\x08\xff\xff", exif(6)[6:24]])
def test_a_damaged_exif_block_is_no_reason_to_refuse(block: bytes) -> None:
    pixels = structured(16, 24)
    data = jpeg(pixels, exif=b"Exif\0\0" + block)
    for decoder in DECODERS:
        assert decode_picture(data, decoder=decoder).shape == (16, 24, 3)


@pytest.mark.parametrize("decoder", DECODERS)
def test_cmyk_is_not_inverted(decoder: str) -> None:
    """Pillow writes CMYK as Adobe does, inverted; so do the programs that people use."""
    inks = {
        (255, 0, 0, 0): (0, 255, 255),
        (0, 255, 255, 0): (255, 0, 0),
        (0, 0, 0, 255): (0, 0, 0),
        (0,) * 4: (255,) * 3,
    }
    for ink, colour in inks.items():
        data = jpeg(Image.new("CMYK", (16, 16), ink), quality=95)
        assert (
            difference(decode_picture(data, decoder=decoder), np.full((16, 16, 3), colour, np.uint8)) <= JPEG_QUALITY_95
        )


@pytest.mark.parametrize("kind", ["PNG", "TIFF", "BE TIFF"])
def test_16_bit_grey_is_scaled_not_clipped(kind: str) -> None:
    ramp = np.linspace(0, 65535, 40 * 30).astype(np.uint16).reshape(30, 40)
    if kind == "BE TIFF":
        data = encode(Image.frombytes("I;16B", (40, 30), ramp.astype(">u2").tobytes()), "TIFF")
    else:
        data = encode(Image.fromarray(ramp), kind)
    assert np.array_equal(decode_picture(data), np.repeat((ramp >> 8).astype(np.uint8)[..., None], 3, 2))


def test_16_bit_colour_and_alpha() -> None:
    values = np.linspace(0, 65535, 4 * 5 * 4).astype(">u2").reshape(4, 5, 4)
    rgb = png(5, 4, 16, 2, b"".join(b"\0" + row[:, :3].tobytes() for row in values))
    assert np.array_equal(decode_picture(rgb), (values[..., :3] >> 8).astype(np.uint8))
    values[..., 3] = 65535
    rgba = png(5, 4, 16, 6, b"".join(b"\0" + row.tobytes() for row in values))
    assert np.array_equal(decode_picture(rgba), (values[..., :3] >> 8).astype(np.uint8))


def over_white(rgba: np.ndarray) -> np.ndarray:
    alpha = rgba[..., 3:].astype(float) / 255
    return rgba[..., :3] * alpha + 255 * (1 - alpha)


@pytest.mark.parametrize("mode", ["RGBA", "LA"])
@pytest.mark.parametrize("kind", ["PNG", "WEBP", "TIFF"])
def test_alpha_goes_over_white(mode: str, kind: str) -> None:
    rgba = np.dstack([structured(20, 30), structured(20, 30, 1)[..., 0]])
    image = Image.fromarray(rgba).convert(mode)
    options = {"lossless": True, "exact": True} if kind == "WEBP" else {}
    expected = over_white(np.asarray(image.convert("RGBA")))
    assert np.abs(decode_picture(encode(image, kind, **options)) - expected).max() <= 0.5


def test_transparent_palette_and_transparent_colours() -> None:
    palette = Image.fromarray(structured(20, 30)).convert("P", palette=Image.Palette.ADAPTIVE, colors=8)
    indices = np.asarray(palette)
    shown = decode_picture(encode(palette, "PNG", transparency=bytes([0, 128, *[255] * 6])))
    assert (shown[indices == 0] == 255).all()
    assert np.array_equal(shown[indices > 1], np.asarray(palette.convert("RGB"))[indices > 1])
    assert (decode_picture(encode(palette, "GIF", transparency=0))[indices == 0] == 255).all()
    grey = np.arange(12, dtype=np.uint8).reshape(3, 4)
    shown = decode_picture(encode(Image.fromarray(grey), "PNG", transparency=5))
    assert np.array_equal(shown[..., 0], np.where(grey == 5, 255, grey))
    wide = (grey.astype(np.uint16) * 256).astype(">u2").tobytes()
    rows = b"".join(b"\0" + wide[i : i + 8] for i in range(0, 24, 8))
    shown = decode_picture(png(4, 3, 16, 0, rows, png_chunk(b"tRNS", (5 * 256).to_bytes(2, "big"))))
    assert np.array_equal(shown[..., 0], np.where(grey == 5, 255, grey))


def test_one_bit_bmp_palette_and_plain_formats() -> None:
    bits = structured(18, 21)[..., 0] > 128
    shown = decode_picture(encode(Image.fromarray(bits), "PNG"))
    assert np.array_equal(shown, np.repeat(np.where(bits, 255, 0)[..., None], 3, 2))
    pixels = structured(18, 21)
    for kind in ("PNG", "BMP", "TIFF", "PPM", "GIF"):
        image = Image.fromarray(pixels) if kind != "GIF" else Image.fromarray(pixels).quantize(16)
        assert np.array_equal(decode_picture(encode(image, kind)), np.asarray(image.convert("RGB"))), kind
    for compression in ("tiff_lzw", "tiff_adobe_deflate", "packbits"):
        assert np.array_equal(decode_picture(encode(pixels, "TIFF", compression=compression)), pixels)


def test_an_animation_shows_its_first_picture() -> None:
    first, second = (Image.fromarray(structured(16, 16, seed)).quantize(32) for seed in (0, 1))
    for kind in ("GIF", "PNG", "TIFF"):
        data = encode(first, kind, save_all=True, append_images=[second])
        assert np.array_equal(decode_picture(data), np.asarray(first.convert("RGB"))), kind
    frames = [Image.fromarray(structured(16, 16, seed)) for seed in (0, 1)]
    data = encode(frames[0], "WEBP", save_all=True, append_images=[frames[1]], lossless=True)
    assert np.array_equal(decode_picture(data), np.asarray(frames[0]))


@pytest.mark.parametrize(
    ("values", "expected"),
    [
        (np.array([[0.0, 0.5, 1.0]], np.float32), [0, 128, 255]),
        (np.array([[0.0, 100.4, 255.0]], np.float32), [0, 100, 255]),
        (np.array([[0.0, 32768.0, 65535.0]], np.float32), [0, 128, 255]),
        (np.array([[-1.0, 0.0, 1.0]], np.float32), [0, 128, 255]),
        (np.array([[0, 7, 255]], np.int32), [0, 7, 255]),
        (np.array([[0, 25600, 65535]], np.int32), [0, 100, 255]),
        (np.array([[7, 7, 7]], np.int32), [7, 7, 7]),
        (np.array([[0, 2**30, 2**31 - 1]], np.int32), [0, 128, 255]),
    ],
)
def test_numbers_without_a_range(values: np.ndarray, expected: list[int]) -> None:
    assert decode_picture(encode(Image.fromarray(values), "TIFF"))[0, :, 0].tolist() == expected


def test_sources(tmp_path: object) -> None:
    data, path = encode(structured(9, 7), "PNG"), f"{tmp_path}/p.png"
    with open(path, "wb") as handle:
        handle.write(data)
    results = [decode_picture(source) for source in (data, bytearray(data), memoryview(data), path, module.Path(path))]
    assert all(np.array_equal(result, results[0]) for result in results)


def test_the_name_does_not_matter(tmp_path: object) -> None:
    path = f"{tmp_path}/really.jpg"
    with open(path, "wb") as handle:
        handle.write(encode(structured(9, 7), "PNG"))
    assert decode_picture(path).shape == (9, 7, 3)


def test_choosing_a_decoder(monkeypatch: pytest.MonkeyPatch) -> None:
    assert resolve_decoder("pillow") == "pillow"
    with pytest.raises(UsageError, match="Unknown decoder"):
        resolve_decoder("opencv")
    monkeypatch.setattr(module, "_has_turbo", lambda: False)
    assert resolve_decoder("auto") == "pillow"
    with pytest.raises(MissingExtraError, match=r'pip install "separable\[fast\]"'):
        resolve_decoder("turbo")
    assert decode_picture(jpeg(structured(9, 7))).shape == (9, 7, 3)
