"""The part of a result that says what was done: which experiment, on what, with which settings, where."""

import json
import shlex
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from separable.experiments.campaign import Campaign
from separable.experiments.cells import recipe_of
from separable.experiments.schema import Scale
from separable.machine.environment import package_versions
from separable.machine.processor import read_processor
from separable.training.codec import to_plain

__all__ = ["described", "machine_of"]


def described(campaign: Campaign, scale: Scale, data: Path | None) -> dict[str, Any]:
    """Entries of a `Result`, by name; `data` is what the user named."""
    experiment, source = campaign.experiment, campaign.source
    return {
        "experiment": experiment.name,
        "scale": scale,
        "title": experiment.title,
        "source": experiment.source,
        "says": experiment.says,
        "reading": experiment.reading,
        "task": experiment.task,
        "kind": experiment.kind,
        "measures": experiment.measures,
        "command": _command(campaign, scale, data),
        "date": datetime.now(UTC).isoformat(timespec="seconds"),
        "versions": package_versions(),
        "machine": machine_of(campaign.setup.device),
        "data": {
            "what": source.what,
            "train": source.train,
            "held_out": source.held_out,
            "classes": len(source.class_names),
            "fingerprint": source.fingerprint,
            "drawn": bool(source.drawn),
        },
        "setup": _setup(campaign),
    }


def machine_of(device: str) -> dict[str, Any]:
    """What figures of speed depend on."""
    processor = read_processor()
    machine: dict[str, Any] = {
        "processor": processor.model,
        "cores": processor.usable_cores,
        "memory": processor.memory_bytes,
    }
    if device.startswith("cuda"):
        import torch

        machine["gpu"] = torch.cuda.get_device_name()
    return machine


def _command(campaign: Campaign, scale: Scale, data: Path | None) -> str:
    """What to type to have this again."""
    words = ["separable", "reproduce", campaign.experiment.name, "--scale", scale]
    if data is not None:
        words += ["--data", str(data)]
    if campaign.seeds != campaign.setup.seeds:
        words += ["--seeds", str(len(campaign.seeds))]
    return shlex.join(words)


def _setup(campaign: Campaign) -> dict[str, Any]:
    """Plain values: those of the setup, and where its recipe is from. Each run folder has its recipe in full."""
    plain: dict[str, Any] = json.loads(json.dumps(to_plain(campaign.setup)))
    recipe = recipe_of(campaign.setup, campaign.experiment.arms[0])
    solved = {} if campaign.solved is None else {"solved": to_plain(campaign.solved)}
    return {**plain, "seeds": list(campaign.seeds), "recipe_source": recipe.source, **solved}
