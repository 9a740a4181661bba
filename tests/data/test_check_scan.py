"""One file at a time: what is kept of it, in this process or in others, and that nothing in it can stop the rest."""

import multiprocessing
import os
import struct
import zlib
from concurrent.futures import ProcessPoolExecutor
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from separable.data import check_processes, check_scan
from separable.data.check_scan import PictureFacts, scan_picture, scan_pictures
from separable.data.decode import decode_picture
from separable.errors import UsageError
from tests.data.killer import install
from tests.data.scenes import scene, write


def test_facts_of_a_jpeg(tmp_path: Path) -> None:
    picture = scene(0)
    exif = picture.getexif()
    exif[0x0112] = 6
    picture.save(tmp_path / "turned.jpg", exif=exif)
    facts = scan_picture(tmp_path / "turned.jpg")
    assert (facts.cause, facts.format, facts.height, facts.width) == (None, "JPEG", 120, 90)
    assert facts.traits == ("turned by EXIF",)
    assert facts.size == (tmp_path / "turned.jpg").stat().st_size
    assert not facts.flat


@pytest.mark.parametrize(
    ("mode", "name", "traits"),
    [
        ("RGB", "a.png", ()),
        ("L", "a.png", ("grey",)),
        ("1", "a.png", ("grey",)),
        ("P", "a.png", ("palette",)),
        ("RGBA", "a.png", ("alpha",)),
        ("LA", "a.png", ("alpha", "grey")),
        ("I;16", "a.png", ("16-bit", "grey")),
        ("CMYK", "a.jpg", ("CMYK",)),
        ("F", "a.tiff", ("32-bit", "grey")),
    ],
)
def test_unusual_kinds_are_named(tmp_path: Path, mode: str, name: str, traits: tuple[str, ...]) -> None:
    Image.new(mode, (40, 40)).save(tmp_path / name)
    assert scan_picture(tmp_path / name).traits == traits


def test_a_16_bit_colour_png_is_seen_though_pillow_hides_it(tmp_path: Path) -> None:
    rows = np.asarray(scene(1, (40, 30)), ">u2") * 257
    lines = b"".join(b"\0" + row.tobytes() for row in rows)

    def chunk(kind: bytes, data: bytes) -> bytes:
        return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))

    header = chunk(b"IHDR", struct.pack(">IIBBBBB", 40, 30, 16, 2, 0, 0, 0))
    body = chunk(b"IDAT", zlib.compress(lines)) + chunk(b"IEND", b"")
    (tmp_path / "deep.png").write_bytes(b"\x89PNG\r\n\x1a\n" + header + body)
    assert scan_picture(tmp_path / "deep.png").traits == ("16-bit",)


def test_an_animation_is_named(tmp_path: Path) -> None:
    frames = [scene(seed).quantize() for seed in range(3)]
    frames[0].save(tmp_path / "a.gif", save_all=True, append_images=frames[1:])
    assert "animated" in scan_picture(tmp_path / "a.gif").traits


def test_equal_pixels_have_equal_digests_and_others_have_not(tmp_path: Path) -> None:
    picture = scene(2)
    picture.save(tmp_path / "a.png")
    picture.save(tmp_path / "b.bmp")
    other = picture.copy()
    other.putpixel((3, 3), (0, 0, 0))
    other.save(tmp_path / "c.png")
    picture.transpose(Image.Transpose.ROTATE_90).save(tmp_path / "d.png")
    a, b, c, d = (scan_picture(tmp_path / name) for name in ("a.png", "b.bmp", "c.png", "d.png"))
    assert a.pixels == b.pixels
    assert a.file != b.file
    assert len({a.pixels, c.pixels, d.pixels}) == 3
    # The shape counts, too: the bytes of these are the same.
    Image.new("RGB", (10, 20)).save(tmp_path / "e.png")
    Image.new("RGB", (20, 10)).save(tmp_path / "f.png")
    assert scan_picture(tmp_path / "e.png").pixels != scan_picture(tmp_path / "f.png").pixels


def test_flat_means_every_pixel(tmp_path: Path) -> None:
    Image.new("RGB", (64, 64), (200, 10, 10)).save(tmp_path / "flat.jpg", quality=40)
    assert scan_picture(tmp_path / "flat.jpg").flat
    dotted = Image.new("RGB", (64, 64))
    dotted.putpixel((17, 5), (9, 9, 9))  # off the grid that is looked at first
    dotted.save(tmp_path / "dotted.png")
    assert not scan_picture(tmp_path / "dotted.png").flat


def test_what_cannot_be_read_has_a_cause(tmp_path: Path) -> None:
    scene(3).save(tmp_path / "whole.jpg")
    (tmp_path / "cut.jpg").write_bytes((tmp_path / "whole.jpg").read_bytes()[:900])
    (tmp_path / "empty.png").touch()
    (tmp_path / "text.png").write_text("hello")
    (tmp_path / "folder.png").mkdir()
    (tmp_path / "lost.png").symlink_to(tmp_path / "nowhere.png")
    os.mkfifo(tmp_path / "pipe.png")
    scene(3).save(tmp_path / "large.png")
    causes = {
        name: scan_picture(tmp_path / name).cause
        for name in ("cut.jpg", "empty.png", "text.png", "folder.png", "lost.png", "pipe.png")
    }
    assert causes == {
        "cut.jpg": "truncated JPEG",
        "empty.png": "empty file",
        "text.png": "not a picture",
        "folder.png": "not a regular file",
        "lost.png": "cannot be read: No such file or directory",
        "pipe.png": "not a regular file",
    }
    assert scan_picture(tmp_path / "large.png", max_pixels=100).cause == "too large: 120x90 pixels, the limit is 100"


def test_a_bug_in_a_decoder_names_the_picture(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    scene(3).save(tmp_path / "a.png")

    def broken(*_: object, **__: object) -> None:
        raise KeyError("table 7")

    monkeypatch.setattr(check_scan, "decode_picture", broken)
    assert scan_picture(tmp_path / "a.png").cause == "cannot be decoded: KeyError: 'table 7'"
    monkeypatch.setattr(check_scan, "decode_picture", decode_picture)
    monkeypatch.setattr(check_scan, "open_with_pillow", broken)
    assert scan_picture(tmp_path / "a.png").cause is None  # it was decoded: no remark about it may unmake that


def test_other_processes_find_the_same_and_progress_is_told(tmp_path: Path) -> None:
    paths = [tmp_path / f"{i}.png" for i in range(40)]
    for i, path in enumerate(paths):
        write(path, scene(i, (40, 30)))
    paths[7].write_bytes(b"damaged")
    told: list[tuple[int, int]] = []
    here = scan_pictures(paths)
    assert scan_pictures(paths, workers=2, progress=lambda done, total: told.append((done, total))) == here
    assert told == [(16, 40), (32, 40), (40, 40)]
    assert scan_pictures([]) == scan_pictures([], workers=2) == []


@pytest.mark.parametrize("killer", [True, pytest.param(False, marks=pytest.mark.slow)])
def test_pictures_that_kill_or_hang_their_process_are_named(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, killer: bool
) -> None:
    def pool(workers: int) -> ProcessPoolExecutor:
        return ProcessPoolExecutor(workers, multiprocessing.get_context("spawn"), initializer=install)

    monkeypatch.setattr(check_processes, "_pool", pool)
    monkeypatch.setattr(check_processes, "_PATIENCE", 10.0)
    monkeypatch.setattr(check_processes, "_SHARE", 3)
    names = [f"{i}.png" for i in range(10)]
    names[4] = "killer.png" if killer else "sleeper.png"
    for i, name in enumerate(names):
        write(tmp_path / name, scene(i, (40, 30)))
    facts = scan_pictures([tmp_path / name for name in names], workers=2)
    cause = "crashes the decoder" if killer else "not decoded within 10 s"
    assert [one.cause for one in facts] == [None] * 4 + [cause] + [None] * 5
    assert facts[9] == scan_picture(tmp_path / "9.png") != PictureFacts(0)


def test_processes_that_cannot_start_are_no_fault_of_the_pictures(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As where the caller's script does its work without a guard: each process that starts runs it again, and ends."""
    begun: list[int] = []

    def pool(workers: int) -> ProcessPoolExecutor:
        begun.append(workers)
        return ProcessPoolExecutor(workers, multiprocessing.get_context("spawn"), initializer=os._exit, initargs=(3,))

    monkeypatch.setattr(check_processes, "_pool", pool)
    with pytest.raises(UsageError, match=r"cannot be started from here\. Expected: .*`if __name__ == \"__main__\":`"):
        scan_pictures([tmp_path / f"{i}.png" for i in range(40)], workers=2)
    assert begun == [2, 1]
