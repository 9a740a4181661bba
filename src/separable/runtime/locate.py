"""What a user means by a model: a run, a model folder or file, a catalogue name, or `file.py:factory`."""

import ast
import difflib
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from separable.errors import RunFolderError, UnknownModelError, UsageError

__all__ = ["RUNS", "Located", "is_run", "locate"]

RUNS = Path("runs")
_LISTED = 8
"""Functions of a file that a message names."""
_MODEL_FILES = ("config.json", "model.safetensors")
_RUN_FILES = ("config.yaml", "model", "checkpoints")


@dataclass(frozen=True)
class Located:
    """`path` is the folder or file of a run, model or factory's module; `name` the catalogue or factory name."""

    kind: Literal["run", "model", "factory", "catalogue"]
    path: Path | None = None
    name: str = ""


def is_run(folder: Path) -> bool:
    """Whether `folder` looks like something a training left behind."""
    return folder.is_dir() and any((folder / name).exists() for name in _RUN_FILES)


def locate(text: str | Path, runs: Path = RUNS) -> Located:
    """A path wins over a catalogue name, which wins over the name of a run in `runs`.

    Raises:
        RunFolderError: the path is there and is no model.
        UsageError: a Python file that is not there, or without the name of one function.
        UnknownModelError: nothing of that name, with the nearest names that exist.
    """
    given = str(text)
    path = Path(given)
    if path.exists():
        return _on_disk(path)
    module, colon, factory = given.partition(".py:")
    if colon:
        return _factory(Path(f"{module}.py"), factory)
    from separable.models import list_models

    if given in list_models():
        return Located("catalogue", name=given)
    if is_run(runs / given):
        return Located("run", runs / given)
    raise _nothing(given, list_models(), runs)


def _on_disk(path: Path) -> Located:
    if path.is_file() and path.suffix == ".py":
        raise _unnamed(path, "no name of a function")
    if path.is_file() and path.suffix == ".safetensors":
        return Located("model", path)
    if path.is_dir() and all((path / name).is_file() for name in _MODEL_FILES):
        return Located("model", path)
    if is_run(path):
        return Located("run", path)
    inside = sorted(entry.name for entry in path.iterdir())[:5] if path.is_dir() else []
    raise RunFolderError(
        f"{path} is neither a run nor a model",
        got=f"a folder with {', '.join(inside) or 'nothing in it'}"
        if path.is_dir()
        else f"a {path.suffix or 'plain'} file",
        expected="a folder that `separable train` wrote, or a folder with config.json and model.safetensors",
    )


def _factory(module: Path, name: str) -> Located:
    if not module.is_file():
        raise UsageError(f"{module} does not exist", expected="file.py:factory, a function that returns a model")
    if not name.isidentifier():
        raise _unnamed(module, f"{name!r} after the colon" if name else "nothing after the colon")
    return Located("factory", module, name)


def _unnamed(module: Path, got: str) -> UsageError:
    there = _functions(module)
    there = [*there[:_LISTED], f"{len(there) - _LISTED} more"] if len(there) > _LISTED + 1 else there
    return UsageError(
        f"Which function of {module} returns the network?",
        got=got,
        expected=f"{module}:NAME" + (f", NAME one of {', '.join(there)}" if there else ""),
    )


def _functions(module: Path) -> list[str]:
    """Functions of the file that can be called without arguments, as it is written; it is not run."""
    try:
        body = ast.parse(module.read_bytes()).body
    except (OSError, SyntaxError, ValueError):
        return []
    return [
        one.name
        for one in body
        if isinstance(one, ast.FunctionDef)
        and not one.name.startswith("_")
        and len(one.args.posonlyargs) + len(one.args.args) == len(one.args.defaults)
        and None not in one.args.kw_defaults
    ]


def _nothing(given: str, models: list[str], runs: Path) -> UnknownModelError:
    known_runs = sorted(entry.name for entry in runs.iterdir() if is_run(entry)) if runs.is_dir() else []
    close = difflib.get_close_matches(given, [*models, *known_runs], n=1, cutoff=0.5)
    there = f"a run folder, one of the models {', '.join(models)}"
    if known_runs:
        there += f", or one of the runs {', '.join(known_runs[-5:])}"
    return UnknownModelError(
        f"No run or model is called {given!r}",
        expected=there,
        fix=f"Did you mean {close[0]!r}?" if close else "Check the path, or `separable models` for the names",
    )
