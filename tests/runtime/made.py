"""A small network that answers for every pixel, with weights that tell pictures apart, and pictures for it."""

import json
from dataclasses import replace
from pathlib import Path

import torch

from separable.models import build_model
from separable.models.segmentation import SegmentationModel
from separable.weights import save_model
from tests.parity.torch_net import calibrate

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
