"""The report of a run, by what the run was trained for."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

__all__ = ["write_report"]


def write_report(run: Path) -> Path:
    """Write `run`/report.html and return its path.

    Raises:
        RunFolderError: `run` is not a run folder.
        OutputError: the report cannot be written.
    """
    task = _task(run)
    if task == "segment":
        from separable.segmentation.report import write_report as write
    elif task == "tag":
        from separable.training.tag_report import write_report as write
    else:
        from separable.training.report import write_report as write
    return write(run)


def _task(run: Path) -> Any:
    """As the configuration says; where that is damaged or gone, as the evaluation says: a report is written anyway."""
    import yaml

    for name, load in (("config.yaml", yaml.safe_load), ("evaluation.json", json.loads)):
        stored = _loaded(run / name, load)
        if isinstance(stored, dict) and "task" in stored:
            return stored["task"]
    return None


def _loaded(path: Path, load: Callable[[str], Any]) -> Any:
    import yaml

    try:
        return load(path.read_text(encoding="utf-8"))
    except (OSError, ValueError, TypeError, ArithmeticError, RecursionError, yaml.YAMLError):
        return None
