"""PNG by rows, in and out: to the bit what is decoded whole, in little memory, and every damage named."""

import struct
import tracemalloc
import zlib
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from separable.data.decode import decode_picture
from separable.errors import BadPictureError, OutputError, UsageError
from separable.segmentation.coding import MaskCoding
from separable.segmentation.labels import IGNORE
from separable.segmentation.mask_file import MaskFile
from separable.segmentation.palette import class_colours
from separable.segmentation.png_reader import PngRows
from separable.segmentation.png_writer import png_chunk, write_index_png, write_rgb_png
from separable.segmentation.strips import open_rows
from separable.segmentation.tiling import predict_strips
from separable.segmentation.windows import Tiling
from tests.data.made import encode, jpeg, png, structured
from tests.segmentation.made import blobs


def by_rows(path: Path, step: int, start: int = 0) -> np.ndarray:
    with open_rows(path) as rows:
        height = rows.size[0]
        return np.concatenate([rows.read(top, min(top + step, height)) for top in range(start, height, step)])


def pictures() -> dict[str, bytes]:
    pixels = structured(61, 47)
    image = Image.fromarray(pixels)
    alpha = np.dstack([pixels, np.arange(61 * 47).reshape(61, 47).astype(np.uint8)])
    wide = (np.arange(61 * 47).reshape(61, 47) * 20).astype(np.uint16)
    rng = np.random.default_rng(0)
    filtered = b"".join(bytes([k % 5]) + rng.integers(0, 256, 3 * 47).astype(np.uint8).tobytes() for k in range(61))
    return {
        "rgb.png": encode(image, "PNG"),
        "filters.png": png(47, 61, 8, 2, filtered),
        "grey.png": encode(image.convert("L"), "PNG"),
        "palette.png": encode(image.quantize(16), "PNG"),
        "transparent.png": encode(image.quantize(200), "PNG", transparency=3),
        "key.png": encode(image, "PNG", transparency=tuple(pixels[3, 3].tolist())),
        "bilevel.png": encode(image.convert("1"), "PNG"),
        "alpha.png": encode(alpha, "PNG"),
        "grey_alpha.png": encode(Image.fromarray(alpha).convert("LA"), "PNG"),
        "wide.png": encode(Image.fromarray(wide), "PNG"),
        "a.bmp": encode(image, "BMP"),
        "grey.bmp": encode(image.convert("L"), "BMP"),
        "a.ppm": encode(image, "PPM"),
        "grey.pgm": encode(image.convert("L"), "PPM"),
        "a.jpg": jpeg(image),
        "a.tiff": encode(image, "TIFF"),
    }


@pytest.mark.parametrize("name", list(pictures()))
def test_rows_are_those_of_the_whole_picture(tmp_path: Path, name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / name
    path.write_bytes(pictures()[name])
    expected = decode_picture(path, decoder="pillow" if name == "a.jpg" else "auto")
    for step in (1, 7, 60, 61, 200):
        if name == "a.jpg":
            assert by_rows(path, step).shape == expected.shape
        else:
            assert np.array_equal(by_rows(path, step), expected), step
    monkeypatch.setattr("separable.segmentation.png_reader._PIECE", 400)  # two rows or so
    if name != "a.jpg":
        assert np.array_equal(by_rows(path, 25), expected)
        assert np.array_equal(by_rows(path, 10, start=23), expected[23:]), "rows may be left out"


def test_which_files_are_not_decoded_whole(tmp_path: Path) -> None:
    """A limit on decoding whole tells which formats are not."""
    for name, data in pictures().items():
        path = tmp_path / name
        path.write_bytes(data)
        streamed = path.suffix == ".png" or name in ("a.bmp", "a.ppm")
        if streamed:
            with open_rows(path, max_pixels=1000) as rows:
                assert rows.size == (61, 47)
        else:
            with pytest.raises(BadPictureError, match="too large"), open_rows(path, max_pixels=1000):
                pass


def test_top_down_bmp(tmp_path: Path) -> None:
    data = bytearray(pictures()["a.bmp"])
    struct.pack_into("<i", data, 22, -61)
    (tmp_path / "a.bmp").write_bytes(data)
    assert np.array_equal(by_rows(tmp_path / "a.bmp", 9), structured(61, 47)[::-1])


@pytest.mark.shared
def test_every_odd_png_reads_as_it_does_whole(test_data: Path) -> None:
    """The PNG suite: interlaced, 1 to 16 bits, palettes, gamma, transparency, and files damaged on purpose."""
    streamed = 0
    for path in sorted((test_data / "edge/pngsuite").rglob("*.png")):
        try:
            expected = decode_picture(path)
        except BadPictureError:
            with pytest.raises(BadPictureError):
                by_rows(path, 5)
            continue
        assert np.array_equal(by_rows(path, 5), expected), path.name
        try:
            PngRows(path).close()
            streamed += 1
        except BadPictureError:
            pass
    assert streamed > 60


def test_turned_pngs_are_decoded_whole(tmp_path: Path) -> None:
    exif = Image.Exif()
    exif[0x0112] = 6
    Image.fromarray(structured(20, 30)).save(tmp_path / "a.png", exif=exif)
    with pytest.raises(BadPictureError, match="turned by EXIF"):
        PngRows(tmp_path / "a.png")
    assert np.array_equal(by_rows(tmp_path / "a.png", 4), decode_picture(tmp_path / "a.png"))


def test_damage_is_named_where_it_is_met(tmp_path: Path) -> None:
    data = encode(np.random.default_rng(0).integers(0, 256, (200, 90, 3)).astype(np.uint8), "PNG")
    path = tmp_path / "a.png"
    path.write_bytes(data[: len(data) // 2])
    with open_rows(path) as rows:
        assert rows.read(0, 20).shape == (20, 90, 3)
        with pytest.raises(BadPictureError, match="truncated PNG"):
            rows.read(20, 200)
    broken = bytearray(data)
    broken[200:260] = bytes(60)
    path.write_bytes(broken)
    with open_rows(path) as rows, pytest.raises(BadPictureError, match=r"damaged PNG|truncated PNG"):
        rows.read(0, 200)
    path.write_bytes(png(9, 9, 8, 2, bytes(28 * 5)))
    with open_rows(path) as rows, pytest.raises(BadPictureError, match="truncated PNG"):
        rows.read(0, 9)
    for content in (b"", b"\x89PNG", data[:40], b"text"):
        path.write_bytes(content)
        with pytest.raises(BadPictureError), open_rows(path):
            pass
    with pytest.raises(BadPictureError, match="cannot be read"), open_rows(tmp_path / "none.png"):
        pass
    path.write_bytes(png(1 << 21, 5, 8, 2, b""))
    with pytest.raises(BadPictureError, match="too large: 2097152x5"), open_rows(path):
        pass
    path.write_bytes(png((1 << 31) - 1, 5, 8, 6, b""))  # a row of 8 GiB, in a file of 60 bytes
    with pytest.raises(BadPictureError, match="too large: 2147483647x5"):
        PngRows(path)


def strips(mask: np.ndarray, step: int) -> Iterator[np.ndarray]:
    return (mask[top : top + step] for top in range(0, len(mask), step))


@pytest.mark.parametrize("step", [1, 7, 100])
def test_masks_come_back_as_they_were(tmp_path: Path, step: int) -> None:
    mask = blobs(50, 33, 5)
    mask[4:9, 2:20] = IGNORE
    path = tmp_path / "m.png"
    colours = class_colours(5)
    write_index_png(path, strips(mask, step), (50, 33), colours)
    assert np.array_equal(MaskCoding.indices(list("abcde")).decode(MaskFile(path).values()), mask)
    with Image.open(path) as image:
        assert image.mode == "P"
        shown = np.array(image.convert("RGB"))
    assert all((shown[mask == k] == colours[k]).all() for k in range(5))
    assert (shown[mask == IGNORE] == (224, 224, 192)).all()


def test_many_classes_take_sixteen_bits(tmp_path: Path) -> None:
    mask = np.arange(300, dtype=np.int16).reshape(20, 15)
    mask[0, 3] = IGNORE
    write_index_png(tmp_path / "m.png", [mask], (20, 15), class_colours(300))
    coding = MaskCoding.indices([str(k) for k in range(300)], frozenset({65535}))
    assert np.array_equal(coding.decode(MaskFile(tmp_path / "m.png").values()), mask)


def test_rgb_strips(tmp_path: Path) -> None:
    pixels = structured(40, 31)
    write_rgb_png(tmp_path / "a.png", strips(pixels, 9), (40, 31))
    assert np.array_equal(decode_picture(tmp_path / "a.png"), pixels)


def test_what_cannot_be_written_leaves_nothing(tmp_path: Path) -> None:
    mask = np.zeros((4, 5), np.int16)
    for strip, size, said in (
        ([mask], (4, 6), "A strip does not fit"),
        ([mask, mask], (4, 5), "A strip does not fit"),
        ([mask], (9, 5), "do not fill the picture"),
        ([mask + 3], (4, 5), "outside the classes"),
        ([mask], (0, 5), "cannot have this size"),
    ):
        with pytest.raises(UsageError, match=said):
            write_index_png(tmp_path / "m.png", strip, size, class_colours(3))
    assert list(tmp_path.iterdir()) == []
    with pytest.raises(OutputError):
        write_index_png(tmp_path / "none/m.png", [mask], (4, 5), class_colours(3))


def test_a_large_picture_from_file_to_file_in_little_memory(tmp_path: Path) -> None:
    """6 million pixels: 18 MB decoded, predicted and written by strips in a fraction of that."""
    height, width = 3000, 2000
    source, target = tmp_path / "a.png", tmp_path / "m.png"
    packer, row = zlib.compressobj(1), np.arange(3 * width, dtype=np.uint8).tobytes()
    with source.open("wb") as file:
        file.write(b"\x89PNG\r\n\x1a\n" + png_chunk(b"IHDR", struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0, 0)))
        for _ in range(height):
            file.write(png_chunk(b"IDAT", packer.compress(b"\2" + row)))
        file.write(png_chunk(b"IDAT", packer.flush()) + png_chunk(b"IEND", b""))
    tracemalloc.start()
    with open_rows(source, max_pixels=1) as rows:
        found = predict_strips(rows, lambda tiles: tiles[:, :2].float(), Tiling((128, 128), 32, 16), 4)
        write_index_png(target, (strip for _, strip in found), rows.size, class_colours(2))
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert peak < 8 * 2**20
    pixels = np.cumsum(np.tile(np.frombuffer(row, np.uint8).reshape(1, width, 3), (height, 1, 1)), 0, dtype=np.uint8)
    with Image.open(target) as image:
        assert np.array_equal(np.array(image), pixels[..., :2].argmax(-1))
