"""What a run settles at its first step, since another machine or another day could choose otherwise, and its replay."""

from collections.abc import Mapping
from typing import Any

import torch

from separable.data.decode import resolve_decoder
from separable.machine.environment import package_versions
from separable.machine.processor import read_processor
from separable.training.acceleration import wanted_library
from separable.training.config import TrainConfig
from separable.training.display import Display

__all__ = ["choose", "replay"]

_DECIDING = ("numpy", "pillow", "simplejpeg")
"""Packages beside torch whose versions may decide what a picture's pixels are."""


def choose(config: TrainConfig) -> dict[str, Any]:
    """All but the kernels, which are timed on the network, and the settings of the process."""
    return {
        "threads": config.threads or torch.get_num_threads(),
        "decoder": resolve_decoder(config.data.decoder),
        "channels_last": config.channels_last,
        "precision": config.precision,
        "device": config.device,
        "torch": torch.__version__,
        "processor": read_processor().model,
        "instructions": torch.backends.cpu.get_cpu_capability(),
        **{name: version for name, version in package_versions().items() if name in _DECIDING},
    }


def replay(then: Mapping[str, Any], config: TrainConfig, display: Display) -> dict[str, Any]:
    """What the run was begun with, after a warning of what is another now and cannot be the same."""
    resolve_decoder(then["decoder"])  # names the missing package where it went away
    now = choose(config)
    keys = ("device", "processor", "instructions", "torch", *_DECIDING)
    moved = [f"{key} {then[key]} then, {now[key]} now" for key in keys if then[key] != now[key]]
    libraries = wanted_library(then) if config.accelerate else None
    if libraries is not None and libraries[0] != libraries[1]:
        moved.append(f"kernels {libraries[0]} then, {libraries[1]} now")
    if moved:
        display.warn(f"Resuming elsewhere ({'; '.join(moved)}): from here on the run is not identical to the bit.")
    if config.device.startswith("cuda") and not config.deterministic:
        display.note("On a GPU a resumed run is identical to the bit only with --deterministic.")
    return dict(then)
