"""From what a user typed (files, folders, globs, `-`) to a stream of picture paths, in bounded memory."""

import glob
import os
from collections.abc import Iterable, Iterator
from pathlib import Path

from separable.data.walk import PICTURE_ENDINGS
from separable.errors import DataFolderError

__all__ = ["expand"]


def expand(arguments: Iterable[str], listed: Iterable[str] = ()) -> Iterator[str]:
    """Yield picture paths in a fixed order: files as given, folders walked by name, globs expanded, `-` from `listed`.

    A named file is yielded whether or not it exists or looks like a picture: the reader says what is wrong with it.

    Raises:
        DataFolderError: a folder without pictures, a glob without matches, an empty list.
    """
    for argument in arguments:
        if argument == "-":
            found = (line.rstrip("\r\n") for line in listed)
            yield from _some((line for line in found if line), "Standard input named no picture")
        elif os.path.isdir(argument):
            yield from _some(_walk(argument), f"The folder {argument} holds no picture")
        elif glob.has_magic(argument) and not os.path.exists(argument):
            yield from _some(_matches(argument), f"No picture matches {argument}")
        else:
            yield argument


def _some(paths: Iterator[str], otherwise: str) -> Iterator[str]:
    empty = True
    for path in paths:
        empty = False
        yield path
    if empty:
        raise DataFolderError(otherwise, expected=f"files that end in {' '.join(sorted(PICTURE_ENDINGS))}")


def _walk(folder: str) -> Iterator[str]:
    """Depth first, entries sorted by name; hidden ones are left out, as a shell's glob does."""
    with os.scandir(folder) as entries:
        ordered = sorted(entries, key=lambda entry: entry.name)
    for entry in ordered:
        if entry.name.startswith("."):
            continue
        if entry.is_dir(follow_symlinks=False):
            yield from _walk(entry.path)
        elif _is_picture(entry.name):
            yield entry.path


def _matches(pattern: str) -> Iterator[str]:
    for path in sorted(glob.iglob(pattern, recursive=True)):
        if os.path.isdir(path):
            if "**" not in pattern:  # which has matched what is inside already
                yield from _walk(path)
        elif _is_picture(path):
            yield path


def _is_picture(name: str) -> bool:
    return Path(name).suffix.lower() in PICTURE_ENDINGS
