"""Pictures and picture files that the tests make themselves."""

import io
import struct
import zlib
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image

Pixels = NDArray[np.uint8]


def structured(height: int, width: int, seed: int = 0) -> Pixels:
    """Smooth colour noise with an edge: (height, width, 3), different in every row and column."""
    rng = np.random.default_rng(seed)
    total = np.zeros((height, width, 3))
    for cells, weight in ((3, 70.0), (9, 35.0), (30, 12.0)):
        small = rng.normal(size=(cells, cells, 3)).astype(np.float32)
        for channel in range(3):
            layer = Image.fromarray(small[..., channel]).resize((width, height), Image.Resampling.BICUBIC)
            total[..., channel] += weight * np.asarray(layer)
    total[: height // 3, width // 2 :] += 60
    return np.clip(total + 120, 0, 255).astype(np.uint8)


def encode(pixels: Pixels | Image.Image, kind: str, **options: Any) -> bytes:
    image = pixels if isinstance(pixels, Image.Image) else Image.fromarray(pixels)
    buffer = io.BytesIO()
    image.save(buffer, kind, **options)
    return buffer.getvalue()


def jpeg(pixels: Pixels | Image.Image, **options: Any) -> bytes:
    return encode(pixels, "JPEG", **{"quality": 90, **options})


def png_chunk(name: bytes, body: bytes) -> bytes:
    return struct.pack(">I", len(body)) + name + body + struct.pack(">I", zlib.crc32(name + body))


def png(width: int, height: int, bits: int, colour: int, rows: bytes, *extra: bytes) -> bytes:
    """A PNG from its parts: `rows` are the filtered scan lines, `extra` chunks go before the pixels."""
    header = struct.pack(">IIBBBBB", width, height, bits, colour, 0, 0, 0)
    return b"".join(
        (
            b"\x89PNG\r\n\x1a\n",
            png_chunk(b"IHDR", header),
            *extra,
            png_chunk(b"IDAT", zlib.compress(rows)),
            png_chunk(b"IEND", b""),
        )
    )


def write_classes(root: Path, counts: dict[str, int], *, size: tuple[int, int] = (40, 48), kind: str = "jpg") -> Path:
    """`root`/<class>/<n>.<kind> with that many different pictures in each class."""
    for label, (name, count) in enumerate(counts.items()):
        folder = root / name
        folder.mkdir(parents=True, exist_ok=True)
        for number in range(count):
            pixels = structured(*size, seed=1000 * label + number)
            (folder / f"{number:03d}.{kind}").write_bytes(jpeg(pixels) if kind == "jpg" else encode(pixels, kind))
    return root


def write_empty(root: Path, *paths: str) -> Path:
    """Empty files: for what only looks at names."""
    for path in paths:
        (root / path).parent.mkdir(parents=True, exist_ok=True)
        (root / path).touch()
    return root
