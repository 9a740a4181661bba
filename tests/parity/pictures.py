"""Pictures with structure: on noise, two networks that differ in a border rule look alike."""

import numpy as np
from numpy.typing import NDArray

__all__ = ["structured_pictures"]


def structured_pictures(count: int, height: int, width: int, seed: int = 0) -> NDArray[np.float32]:
    """Gradients, sinusoids, discs and bars up to the border, in [-1, 1]; (count, height, width, 3)."""
    rng = np.random.default_rng(seed)
    y, x = np.mgrid[0:height, 0:width].astype(np.float64)
    y, x = y / height, x / width
    pictures = []
    for _ in range(count):
        channels = []
        for _ in range(3):
            a, b, c, d, e = rng.uniform(-1, 1, 5)
            picture = a * x + b * y + 0.5 * np.sin(2 * np.pi * (8 * c * x + 8 * d * y + e))
            cy, cx, radius = rng.uniform(0, 1, 3)
            picture = picture + np.where((y - cy) ** 2 + (x - cx) ** 2 < (0.1 + 0.3 * radius) ** 2, a - b, 0.0)
            edge = rng.uniform(0.1, 0.9)
            picture = picture + np.where(x > edge, c, 0.0) + np.where(y < 1 - edge, d, 0.0)
            channels.append(picture)
        pictures.append(np.stack(channels, -1))
    found = np.stack(pictures)
    return (found / np.abs(found).max()).astype(np.float32)
