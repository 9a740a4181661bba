"""Made-up pictures with the statistics of photographs, and ways to copy them, for the tests of the data check."""

import io
from collections.abc import Callable
from pathlib import Path

import numpy as np
from PIL import Image, ImageEnhance, ImageFilter, ImageOps


def scene(seed: int, size: tuple[int, int] = (120, 90)) -> Image.Image:
    """Clouds of 1/f noise with a few discs in front: `size` is (width, height)."""
    rng = np.random.default_rng(seed)
    width, height = size
    frequency = np.hypot(np.fft.fftfreq(height)[:, None], np.fft.fftfreq(width)[None, :])
    frequency[0, 0] = 1
    noise = np.fft.fft2(rng.normal(size=(3, height, width))) / frequency**1.5
    noise[:, 0, 0] = 0
    clouds = np.fft.ifft2(noise).real
    clouds = 0.7 * clouds[:1] + 0.3 * clouds  # channels have most in common
    pixels = 128 + 45 * clouds / clouds.std()
    y, x = np.mgrid[:height, :width]
    for _ in range(4):
        centre, radius = rng.random(2) * (width, height), rng.uniform(0.08, 0.25) * min(size)
        inside = (x - centre[0]) ** 2 + (y - centre[1]) ** 2 < radius**2
        pixels[:, inside] = rng.uniform(0, 255, (3, 1)) + rng.normal(0, 8, (1, int(inside.sum())))
    return Image.fromarray(np.clip(pixels, 0, 255).astype(np.uint8).transpose(1, 2, 0))


def as_jpeg(picture: Image.Image, quality: int) -> Image.Image:
    """Written as a JPEG and read again."""
    file = io.BytesIO()
    picture.save(file, "JPEG", quality=quality)
    return Image.open(io.BytesIO(file.getvalue())).convert("RGB")


def cropped(picture: Image.Image, share: float) -> Image.Image:
    """Without `share` of the width and height at each side."""
    across, down = round(picture.width * share), round(picture.height * share)
    return picture.crop((across, down, picture.width - across, picture.height - down))


COPIES: dict[str, Callable[[Image.Image], Image.Image]] = {
    "JPEG of quality 30": lambda picture: as_jpeg(picture, 30),
    "half the size": lambda picture: picture.resize((picture.width // 2 + 10, picture.height // 2 + 10)),
    "brighter": lambda picture: ImageEnhance.Brightness(picture).enhance(1.25),
    "less contrast": lambda picture: ImageEnhance.Contrast(picture).enhance(0.7),
    "grey": lambda picture: picture.convert("L").convert("RGB"),
    "blurred": lambda picture: picture.filter(ImageFilter.GaussianBlur(1.5)),
    "cropped by 2 % a side": lambda picture: cropped(picture, 0.02),
    "mirrored": ImageOps.mirror,
    "mirrored JPEG": lambda picture: as_jpeg(ImageOps.mirror(picture), 60),
}


def write(path: Path, picture: Image.Image) -> None:
    """Save and make the folders above."""
    path.parent.mkdir(parents=True, exist_ok=True)
    picture.save(path)
