"""Whether the pictures at hand are those that a run held out: other ones must not renew its figures."""

import csv
import json
from collections.abc import Sequence
from pathlib import Path

from separable.data.folder import PictureSet
from separable.training.task import Samples

__all__ = ["changed_since"]


def changed_since(run: Path, held_out: Samples, shown: Sequence[str] | None = None) -> str | None:
    """How `held_out` differs from the validation set that `run` was trained with; None where it does not.

    By the fingerprint in the run's newest checkpoint; where the checkpoints were deleted, by the table of all pictures,
    `predictions.csv` or `pictures.csv`. A run that has neither has no figures to protect.

    Args:
        run: the folder.
        held_out: the set at hand.
        shown: what each of its pictures shows, as the table has it: the class, which it is by default, or the mask.
    """
    now, before = held_out.fingerprint(), _fingerprint_then(run)
    if before is None:
        then = _measured_then(run)
        if shown is None:
            assert isinstance(held_out, PictureSet), "of other sets it has to be said what they show"
            shown = [held_out.class_names[label] for label in held_out.labels]
        pairs = zip(held_out.paths, shown, strict=True)
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
    """What every picture showed that was measured on, None for one that could not be read."""
    try:
        evaluation = json.loads((run / "evaluation.json").read_text(encoding="utf-8"))
        bad, of_masks = evaluation["bad"], evaluation.get("task") == "segment"
        name, column = ("pictures.csv", "mask") if of_masks else ("predictions.csv", "label")
        with (run / name).open(newline="", encoding="utf-8", errors="surrogateescape") as handle:
            answered: dict[str, str | None] = {row["path"]: row[column] for row in csv.DictReader(handle)}
        return answered | {row["path"]: None for row in bad}
    except (OSError, ValueError, KeyError, TypeError, csv.Error):
        return None
