"""Whether the pictures at hand are those that a run held out: other ones must not renew its figures."""

import csv
import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from separable.data.folder import PictureSet
from separable.training.task import Samples

__all__ = ["changed_since"]

_TABLES = {"segment": ("pictures.csv", "mask"), "tag": ("predictions.csv", "labels")}
"""The table of all pictures and its column of what they show, where pictures have more than a class each."""


def changed_since(run: Path, held_out: Samples, shown: Sequence[str] | None = None) -> str | None:
    """How `held_out` differs from the validation set that `run` was trained with; None where it does not.

    By the fingerprint in the run's newest checkpoint; where the checkpoints were deleted, by the table of all pictures,
    `predictions.csv` or `pictures.csv`. A run that has neither has no figures to protect.

    Args:
        run: the folder.
        held_out: the set at hand.
        shown: what each of its pictures shows, as the table has it: the class, which it is by default,
            the tags or the mask.
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
    count, new_count = (_pictures_in(one).split(" ")[0] for one in (before, now))
    if count != new_count:
        return f"{count} pictures then, {new_count} now"
    if isinstance(before, dict) and isinstance(now, dict) and before["pairs"] == now["pairs"]:
        return _meanings_changed(before["values"], now["values"])
    return f"{count} pictures as then, but other files or other labels"


def _pictures_in(fingerprint: str | dict[str, Any]) -> str:
    return fingerprint if isinstance(fingerprint, str) else str(fingerprint["pairs"])


def _meanings_changed(then: dict[str, str], now: dict[str, str]) -> str:
    other = [value for value in {**then, **now} if then.get(value) != now.get(value)]
    named = ", ".join(
        f"{value} {then.get(value, 'nothing')} then, {now.get(value, 'nothing')} now" for value in other[:3]
    )
    more = f", and {len(other) - 3} more" if len(other) > 3 else ""
    return f"the same pictures, but values in masks mean other classes: {named}{more}"


def _fingerprint_then(run: Path) -> str | dict[str, Any] | None:
    for state in sorted((run / "checkpoints").glob("step-*/state.json"), reverse=True):
        try:
            found = json.loads(state.read_text(encoding="utf-8"))["body"]["identity"]["validation pictures"]
        except (OSError, ValueError, KeyError, TypeError):
            continue
        if isinstance(found, str) or (isinstance(found, dict) and {"pairs", "values"} <= found.keys()):
            return found
    return None


def _measured_then(run: Path) -> dict[str, str | None] | None:
    """What every picture showed that was measured on, None for one that could not be read."""
    try:
        evaluation = json.loads((run / "evaluation.json").read_text(encoding="utf-8"))
        bad = evaluation["bad"]
        name, column = _TABLES.get(evaluation.get("task"), ("predictions.csv", "label"))
        with (run / name).open(newline="", encoding="utf-8", errors="surrogateescape") as handle:
            answered: dict[str, str | None] = {row["path"]: row[column] for row in csv.DictReader(handle)}
        return answered | {row["path"]: None for row in bad}
    except (OSError, ValueError, KeyError, TypeError, csv.Error):
        return None
