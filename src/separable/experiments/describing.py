"""The part of a result that says what was done: which experiment, on what, with which settings, where."""

import json
import shlex
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from separable.experiments.campaign import Campaign
from separable.experiments.cells import recipe_of
from separable.experiments.made import distinct, made_here
from separable.experiments.schema import Scale
from separable.training.codec import to_plain

__all__ = ["described"]


def described(campaign: Campaign, scale: Scale, data: Path | None) -> dict[str, Any]:
    """Entries of a `Result`, by name; `data` is what the user named.

    Versions and machine are those of most trainings, wherever the result is put together; where they differ, all of
    them are listed with the machine, as "made". Of an experiment without trainings they are those of here.
    """
    experiment, source = campaign.experiment, campaign.source
    made = distinct(campaign.outcomes())
    said = next((one for one in made if "versions" in one), None) or made_here(campaign.setup.device)
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
        "versions": said["versions"],
        "machine": said["machine"] | ({"made": made} if len(made) > 1 else {}),
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
