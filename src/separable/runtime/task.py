"""Whether a network answers with one class a picture, with tags, or for every pixel, before it is built."""

import json
import warnings
from pathlib import Path
from typing import Any, Literal

from separable.errors import SeparableError
from separable.runtime.locate import Located

__all__ = ["task_of"]

Task = Literal["classify", "tag", "segment"]


def task_of(located: Located) -> Task:
    """By the network's name in the catalogue, or in the model's configuration. What cannot be read, and what a factory
    builds, counts as "classify": loading it says what is wrong."""
    from separable.models.catalog import CATALOG

    stored = {} if located.kind == "catalogue" else _stored(located)
    name = located.name if located.kind == "catalogue" else str(stored.get("name"))
    if name in CATALOG and CATALOG[name].task == "segment":
        return "segment"
    contract = stored.get("input")
    return "tag" if isinstance(contract, dict) and contract.get("answer") == "sigmoid" else "classify"


def _stored(located: Located) -> dict[str, Any]:
    """The model's configuration, empty where there is none or it cannot be read."""
    if located.path is None or located.kind == "factory":
        return {}
    try:
        found = _configuration(located.path, located.kind == "run")
    except (SeparableError, OSError, ValueError, AttributeError, RecursionError):
        return {}
    return found if isinstance(found, dict) else {}


def _configuration(path: Path, is_run: bool) -> Any:
    from separable.weights.folder import model_folder
    from separable.weights.tensors import read_metadata

    if path.is_file():
        return read_metadata(path)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # that a run has not ended is said when it is loaded
        folder = model_folder(path) if is_run else path
    return json.loads((folder / "config.json").read_text(encoding="utf-8"))
