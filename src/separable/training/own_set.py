"""Whether the pictures at hand are those that a run held out: other ones must not renew its figures."""

import csv
import json
from pathlib import Path

from separable.data.folder import PictureSet

__all__ = ["changed_since"]


def changed_since(run: Path, held_out: PictureSet) -> str | None:
    """How `held_out` differs from the validation set that `run` was trained with; None where it does not.

    By the fingerprint in the run's newest checkpoint; where the checkpoints were deleted, by `predictions.csv`. A run
    that has neither has no figures to protect.
    """
    now, before = held_out.fingerprint(), _fingerprint_then(run)
    if before is None:
        then = _measured_then(run)
        pairs = ((path, held_out.class_names[c]) for path, c in zip(held_out.paths, held_out.labels, strict=True))
        if then is None or then == {path: then.get(path) and name for path, name in pairs}:
            return None
        before = f"{len(then)} pictures"
    if before == now:
        return None
    count, new_count = before.split(" ")[0], now.split(" ")[0]
    if count == new_count:
        return f"{count} pictures as then, but other files or other labels"
    return f"{count} pictures then, {new_count} now"


def _fingerprint_then(run: Path) -> str | None:
    for state in sorted((run / "checkpoints").glob("step-*/state.json"), reverse=True):
        try:
            found = json.loads(state.read_text(encoding="utf-8"))["body"]["identity"]["validation pictures"]
        except (OSError, ValueError, KeyError, TypeError):
            continue
        if isinstance(found, str):
            return found
    return None


def _measured_then(run: Path) -> dict[str, str | None] | None:
    """The class of every picture that was measured on, None for one that could not be read."""
    try:
        bad = json.loads((run / "evaluation.json").read_text(encoding="utf-8"))["bad"]
        with (run / "predictions.csv").open(newline="", encoding="utf-8", errors="surrogateescape") as handle:
            answered: dict[str, str | None] = {row["path"]: row["label"] for row in csv.DictReader(handle)}
        return answered | {row["path"]: None for row in bad}
    except (OSError, ValueError, KeyError, TypeError, csv.Error):
        return None
