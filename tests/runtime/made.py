"""A small network that answers for every pixel, with weights that tell pictures apart, and pictures for it."""

import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import torch

from separable.data.preprocess import normalise
from separable.models import build_model
from separable.models.segmentation import SegmentationModel, pixel_logits
from separable.weights import save_model
from tests.parity.torch_net import calibrate
from tests.tolerances import MASK_LOGITS

NAMES = ("background", "cat", "dog")
COLOURS = [[0, 0, 0], [10, 200, 30], [250, 120, 5]]
SIDE = 32


def pixel_network(seed: int = 0, name: str = "unet_xception", **options: object) -> SegmentationModel:
    """Of three classes at 32x32, each on a good part of structured pictures."""
    torch.manual_seed(seed)
    options = options or {"width": 0.25, "depth": 2}
    network = calibrate(build_model(name, len(NAMES), **options), SIDE)
    assert isinstance(network, SegmentationModel)
    network.adopt(replace(network.input_contract, size=(SIDE, SIDE), class_names=NAMES))
    return network


def mask_run(folder: Path, network: SegmentationModel | None = None) -> Path:
    """A run folder of it, as a finished training leaves one behind so far as prediction looks."""
    save_model(network or pixel_network(), folder / "model")
    (folder / "evaluation.json").write_text(json.dumps({"task": "segment", "colours": COLOURS}))
    return folder


def logits_of(network: SegmentationModel, picture: torch.Tensor) -> np.ndarray:
    """(classes, h, w) in float64, of uint8 (3, h, w)."""
    with torch.no_grad():
        return pixel_logits(network, normalise(picture[None], network.input_contract))[0].double().numpy()


def stretched(logits: np.ndarray, size: tuple[int, int]) -> np.ndarray:
    """Bilinear between pixel centres, an axis at a time, written out."""
    for axis, want in ((1, size[0]), (2, size[1])):
        have = logits.shape[axis]
        place = np.clip((np.arange(want) + 0.5) * have / want - 0.5, 0, have - 1)
        low = np.floor(place).astype(int)
        share = (place - low).reshape([-1 if k == axis else 1 for k in range(3)])
        high = np.minimum(low + 1, have - 1)
        logits = np.take(logits, low, axis) * (1 - share) + np.take(logits, high, axis) * share
    return logits


def demand_classes(mask: np.ndarray, logits: np.ndarray) -> None:
    """`mask` is the class of `logits` wherever rounding cannot decide; and there is something to tell apart."""
    assert mask.shape == logits.shape[1:]
    assert mask.dtype == np.int16
    second, first = np.sort(logits, axis=0)[-2:]
    clear = first - second > MASK_LOGITS * np.abs(logits).max()
    assert clear.mean() > 0.98 or mask.size < 50
    assert np.array_equal(mask[clear], logits.argmax(0)[clear])
