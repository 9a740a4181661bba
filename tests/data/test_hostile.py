"""Files that are broken, lie or attack: each is refused with a cause, none crashes, hangs, warns or changes Pillow."""

import io
import os
import struct
import threading
import warnings
import zlib
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from PIL import Image, ImageFile

from separable.data.decode import PictureFile, decode_picture, picture_size
from separable.errors import BadPictureError
from tests.data.made import encode, jpeg, png, png_chunk, structured

PIXELS = structured(40, 60)


def cause(source: bytes | str | Path, **options: object) -> str:
    found = set()
    for decoder in ("turbo", "pillow"):
        with pytest.raises(BadPictureError) as caught:
            decode_picture(source, decoder=decoder, **options)  # type: ignore[arg-type]
        found.add(caught.value.what.rstrip("."))
    assert len(found) == 1, f"the decoders disagree: {found}"
    return found.pop()


@pytest.mark.parametrize("keep", [0.3, 0.6, 0.95])
@pytest.mark.parametrize(
    ("kind", "options"),
    [("JPEG", {}), ("JPEG", {"progressive": True}), ("PNG", {}), ("GIF", {}), ("BMP", {}), ("TIFF", {}), ("WEBP", {})],
)
def test_truncated(kind: str, options: dict[str, bool], keep: float) -> None:
    data = encode(Image.fromarray(PIXELS), kind, **options)
    assert "truncated" in cause(data[: int(len(data) * keep)]) or kind in ("GIF", "TIFF", "WEBP")


def test_a_jpeg_that_ends_in_its_thumbnail_is_truncated() -> None:
    """The end marker of the embedded thumbnail must not pass for the picture's own."""
    data = jpeg(PIXELS, exif=b"Exif\0\0II*\0" + jpeg(structured(8, 8)))
    assert b"\xff\xd9" in data[: len(data) // 2]
    assert "truncated" in cause(data[: int(len(data) * 0.8)])


def test_a_jpeg_with_a_tail_is_fine() -> None:
    data = jpeg(PIXELS)
    for tail in (b"\0" * 5000, b"some trailer", jpeg(structured(8, 8))):
        assert np.array_equal(decode_picture(data + tail), decode_picture(data))


def test_no_picture_at_all(tmp_path: Path) -> None:
    (tmp_path / "text.jpg").write_text("this is not a picture")
    (tmp_path / "empty.jpg").touch()
    assert cause(tmp_path / "text.jpg") == "not a picture"
    assert cause(tmp_path / "empty.jpg") == "empty file"
    assert cause(tmp_path / "absent.jpg") == "cannot be read: No such file or directory"
    assert cause(tmp_path) in ("not a regular file", "cannot be read: Is a directory")
    assert cause("nul\0.jpg").startswith("cannot be read")
    assert cause(b"%PDF-1.7 ...") == "not a picture that is read here: a PDF document"
    assert cause(b"\0\0\0\x18ftypheic\0\0\0\0") == "not a picture that is read here: a HEIC picture or a video"
    assert cause(b"<?xml?><svg width='3'/>") == "not a picture that is read here: an SVG drawing"
    assert cause(b"\xff\xd8\xff\xe0") == "damaged JPEG header"
    assert cause(b"\x89PNG\r\n\x1a\nabc").endswith("PNG header")


@pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="no named pipes here")
def test_a_named_pipe_does_not_block(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe.jpg")
    assert cause(tmp_path / "pipe.jpg") == "not a regular file"


def huge_jpeg() -> bytes:
    data = bytearray(jpeg(PIXELS))
    at = data.index(b"\xff\xc0")
    data[at + 5 : at + 9] = struct.pack(">HH", 65000, 65000)
    return bytes(data)


def huge_tiff() -> bytes:
    data = bytearray(encode(PIXELS, "TIFF"))
    (at,) = struct.unpack_from("<I", data, 4)
    for entry in range(struct.unpack_from("<H", data, at)[0]):
        tag = struct.unpack_from("<H", data, at + 2 + 12 * entry)[0]
        if tag in (0x100, 0x101):
            struct.pack_into("<HII", data, at + 4 + 12 * entry, 4, 1, 60_000)
    return bytes(data)


@pytest.mark.parametrize(
    "make",
    [
        huge_jpeg,
        huge_tiff,
        lambda: png(100_000, 100_000, 8, 2, b"\0" * 10),
        lambda: b"GIF89a" + struct.pack("<HH", 65535, 65535) + b"\0" * 20,
        lambda: encode(PIXELS, "BMP")[:18] + struct.pack("<ii", 100_000, -100_000) + encode(PIXELS, "BMP")[26:],
    ],
    ids=["jpeg", "tiff", "png", "gif", "bmp"],
)
def test_a_bomb_is_refused_from_its_header(make: Callable[[], bytes], monkeypatch: pytest.MonkeyPatch) -> None:
    def decoded(*_: object, **__: object) -> None:
        raise AssertionError("pixels were asked for")

    data = make()
    for target in ("PIL.ImageFile.ImageFile.load", "PIL.Image.Image.load", "PIL.Image.core.new", "PIL.Image.core.fill"):
        monkeypatch.setattr(target, decoded)
    monkeypatch.setattr("separable.data.decode.PictureFile._turbo_pixels", decoded)
    assert cause(data).startswith("too large: ")
    with pytest.raises(BadPictureError, match="too large"):
        picture_size(data)


def test_the_pixel_limit_is_the_callers() -> None:
    data = encode(PIXELS, "PNG")
    assert cause(data, max_pixels=40 * 60 - 1) == "too large: 60x40 pixels, the limit is 2399"
    assert decode_picture(data, max_pixels=40 * 60).shape == (40, 60, 3)


def test_zero_sides() -> None:
    assert cause(png(0, 5, 8, 2, b"")) == "zero width"
    assert cause(b"GIF89a" + struct.pack("<HH", 5, 0) + b"\0" * 20) == "zero height"


def test_a_text_chunk_bomb_is_refused() -> None:
    body = b"comment\0\0" + zlib.compress(b"\0" * (64 << 20), 9)
    assert cause(png(1, 1, 8, 0, b"\0\0", png_chunk(b"zTXt", body))).startswith("too large: ")


def test_a_scan_bomb_is_refused() -> None:
    """A progressive JPEG may repeat a tiny scan without end; each costs a pass over the whole picture."""
    data = jpeg(PIXELS, progressive=True)
    first = data.index(b"\xff\xda")
    second = data.index(b"\xff\xda", first + 2)
    assert cause(data[:second] + data[first:second] * 2000 + data[second:]) == "more than 500 scans in one JPEG"


@pytest.mark.parametrize("kind", ["JPEG", "PNG", "GIF", "BMP", "TIFF", "WEBP", "PPM"])
def test_random_damage_gives_pixels_or_a_cause(kind: str) -> None:
    """No other exception, and no warning, which the test configuration would turn into one."""
    rng = np.random.default_rng(7)
    whole = encode(structured(20, 24), kind)
    for _ in range(60):
        data = bytearray(whole)
        for _ in range(rng.integers(1, 8)):
            data[rng.integers(len(data))] = rng.integers(256)
        for decoder in ("turbo", "pillow"):
            try:
                pixels = decode_picture(bytes(data), decoder=decoder, max_pixels=10**6)
                assert pixels.dtype == np.uint8
                assert pixels.ndim == 3
            except BadPictureError as error:
                assert 3 < len(error.what) < 250  # noqa: PT017 - either outcome is right


NOISY_TIFF = b"II*\0\x08\0\0\0\x01\0\0\x01\x03\0\x01\0\0\0"


def test_warnings_stay_inside_and_settings_stay_as_they_were() -> None:
    before = (Image.MAX_IMAGE_PIXELS, ImageFile.LOAD_TRUNCATED_IMAGES, list(warnings.filters))
    with warnings.catch_warnings(record=True) as seen:
        warnings.simplefilter("always")
        assert cause(NOISY_TIFF)
        with pytest.raises(Exception, match="cannot identify"):  # the same file does make Pillow warn
            Image.open(io.BytesIO(NOISY_TIFF))
    assert seen, "this file no longer shows anything"
    assert all("PIL" in str(w.filename) for w in seen)
    inside = len(seen)
    with warnings.catch_warnings(record=True) as seen:
        warnings.simplefilter("always")
        cause(NOISY_TIFF)
    assert len(seen) == 0 < inside
    assert before == (Image.MAX_IMAGE_PIXELS, ImageFile.LOAD_TRUNCATED_IMAGES, list(warnings.filters))


def test_threads_leave_the_warning_filters_alone() -> None:
    before, failures = list(warnings.filters), []

    def work() -> None:
        for _ in range(30):
            try:
                decode_picture(NOISY_TIFF, decoder="pillow")
            except BadPictureError:
                continue
            except BaseException as error:
                failures.append(error)

    threads = [threading.Thread(target=work) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert not failures
    assert list(warnings.filters) == before


def test_fatal_damage_below_the_rows_asked_for_is_not_papered_over() -> None:
    """simplejpeg can be told to keep quiet about errors, and then hands out uninitialised memory."""
    data = bytearray(jpeg(structured(400, 60)))
    at = data.index(b"\xff\xda") + (len(data) - data.index(b"\xff\xda")) * 3 // 4
    data[at : at + 2] = b"\xff\x82"  # a marker that no decoder knows
    for rows in (None, 20, 300):
        with pytest.raises(BadPictureError, match="damaged JPEG"):
            PictureFile(bytes(data), decoder="turbo").pixels(rows=rows)
