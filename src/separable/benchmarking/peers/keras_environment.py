"""Keras on TensorFlow in an environment of its own: TensorFlow wants other versions of what torch wants too."""

import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

from separable.download import cache_directory
from separable.errors import MissingExtraError, OutputError

__all__ = ["KERAS_PACKAGES", "demand_keras", "keras_folder", "keras_interpreter", "make_keras_environment"]

KERAS_PACKAGES = ("tensorflow==2.21.0", "keras==3.15.1")
"""What contests are held against."""
_ASK = "import importlib.metadata as m; print(m.version('tensorflow'), m.version('keras'))"
_PATIENCE = 60.0


def keras_folder() -> Path:
    """Where the environment is looked for, and made: `keras-tf` in the cache."""
    return cache_directory() / "keras-tf"


def keras_interpreter(python: Path | str | None = None) -> Path:
    """The interpreter to use, whether it is there or not."""
    if python is not None:
        return Path(python)
    folder = keras_folder()
    return folder / "Scripts" / "python.exe" if sys.platform == "win32" else folder / "bin" / "python"


def demand_keras(python: Path | str | None = None) -> None:
    """See to it that there is an environment with TensorFlow and Keras.

    Raises:
        MissingExtraError: there is none; the message has the commands that make it.
    """
    found = keras_interpreter(python)
    try:
        asked = subprocess.run(  # noqa: S603 - the user's own interpreter
            [str(found), "-c", _ASK], capture_output=True, text=True, timeout=_PATIENCE, check=False
        )
    except (OSError, subprocess.TimeoutExpired) as error:
        raise _missing(found, "no such interpreter" if isinstance(error, OSError) else "it does not answer") from error
    if asked.returncode != 0:
        raise _missing(found, (asked.stderr.strip().splitlines() or ["it does not run"])[-1].rstrip("."))


def make_keras_environment(folder: Path | None = None, say: Callable[[str], None] = lambda _: None) -> Path:
    """Make the environment, some 2 GB, unless it is there; returns its interpreter.

    Raises:
        OutputError: it could not be made.
    """
    folder = folder or keras_folder()
    python = folder / keras_interpreter().relative_to(keras_folder())
    try:
        demand_keras(python)
    except MissingExtraError:
        say(f"Making an environment for {' and '.join(KERAS_PACKAGES)} in {folder}")
        _run([sys.executable, "-m", "venv", str(folder)])
        _run([str(python), "-m", "pip", "install", "--quiet", *KERAS_PACKAGES])
    return python


def _run(command: list[str]) -> None:
    try:
        done = subprocess.run(command, capture_output=True, text=True, check=False)  # noqa: S603 - our own command
    except OSError as error:
        raise OutputError(f"{command[0]} cannot be run", got=error.strerror) from error
    if done.returncode != 0:
        words = (done.stderr.strip() or done.stdout.strip()).splitlines()
        raise OutputError(
            "The environment for Keras could not be made",
            got=f"{' '.join(command)} ended with {done.returncode}: {(words or ['nothing'])[-1][:300].rstrip('.')}",
        )


def _missing(python: Path, cause: str) -> MissingExtraError:
    usual = python.parent.name in ("bin", "Scripts") and python.name.startswith("python")
    made = python if usual else keras_interpreter()  # never a folder guessed from something that is no environment
    return MissingExtraError(
        "Keras on TensorFlow needs an environment of its own",
        got=f"{python}: {cause}",
        fix=f"python -m venv {made.parent.parent} && {made} -m pip install {' '.join(KERAS_PACKAGES)}",
    )
