"""How far a network of ours is from the source's own, both on the same pictures.

timm's and torchvision's networks are fed as our contract prepares pictures, Keras' by its own `preprocess_input`: that
the weights were trained on pictures prepared so is assumed, and not shown by equal logits.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
import torch

from separable.models.base import ImageModel
from separable.models.contract import InputContract
from separable.weights.reference import Pixels, Reference, as_input

__all__ = ["TOLERANCE", "Difference", "certificate_sizes", "measure_differences", "structured_pixels"]

TOLERANCE = 1e-4
"""Largest difference of logits over the largest logit: two fp32 implementations of one network stay far below."""


@dataclass(frozen=True)
class Difference:
    """Two networks on the same pictures of one size."""

    height: int
    width: int
    largest: float
    """Difference of two logits, over the source's largest logit."""
    apart: float
    """How far two pictures' logits are apart in the source, over its largest: what the difference has to be seen in."""


def measure_differences(
    model: ImageModel,
    reference: Reference,
    sizes: Sequence[tuple[int, int]],
    say: Callable[[str], None] = lambda _: None,
) -> tuple[Difference, ...]:
    """The logits of `model`, as it prepares pictures, against those of `reference`, as that does, at each size.

    The pictures are already of the size, so that neither resizes. `say` is told what is being compared.
    """
    was_training = model.training
    model.eval()
    found = []
    for height, width in sizes:
        say(f"Comparing with {reference.framework} {reference.version}'s {reference.network} at {height}x{width}")
        pixels = structured_pixels(2, height, width)
        expected = reference.run(pixels)
        with torch.no_grad():
            got = model(as_input(pixels, model.input_contract))
        scale = max(float(expected.abs().max()), 1e-30)
        largest = float((got - expected).abs().max()) / scale if got.shape == expected.shape else float("inf")
        found.append(Difference(height, width, largest, float((expected[0] - expected[1]).abs().max()) / scale))
    model.train(was_training)
    return tuple(found)


def certificate_sizes(contract: InputContract, fixed_size: bool = False) -> tuple[tuple[int, int], ...]:
    """The network's own size, and about half of it as rectangles of even sides and of odd ones.

    Paddings differ on the one or on the other. An own size that is odd needs no second odd one.
    """
    height, width = contract.size
    if fixed_size:
        return ((height, width),)
    half = [max(contract.min_size, side // 2) for side in (height, width)]
    even = [side + side % 2 for side in half]
    rectangle = (even[0], even[1] + 32)
    odd = () if height % 2 and width % 2 else ((rectangle[0] + 1, rectangle[1] + 1),)
    return ((height, width), rectangle, *odd)


def structured_pixels(count: int, height: int, width: int, seed: int = 0) -> Pixels:
    """Gradients, waves, discs and edges up to the border: on noise, networks that pad differently look alike.

    Shape (count, height, width, 3), RGB, 0 to 255.
    """
    rng = np.random.default_rng(seed)
    y, x = (axis / side for axis, side in zip(np.mgrid[0:height, 0:width], (height, width), strict=True))
    pictures = []
    for _ in range(3 * count):
        slope, tilt, wave, cross, phase, cy, cx, radius, edge = rng.uniform(-1, 1, 9)
        plane = slope * x + tilt * y + 0.6 * np.sin(2 * np.pi * (9 * wave * x + 9 * cross * y + phase))
        disc = (x - cx) ** 2 + (y - cy) ** 2 < (0.2 + 0.3 * abs(radius)) ** 2
        pictures.append(plane + radius * disc + slope * (x > abs(edge)) + tilt * (y < 1 - abs(edge)))
    found = np.stack(pictures).reshape(count, 3, height, width).transpose(0, 2, 3, 1)
    low, high = found.min(), found.max()
    pixels: Pixels = np.round((found - low) / (high - low) * 255).astype(np.uint8)
    return pixels
