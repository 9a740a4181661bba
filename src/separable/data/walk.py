"""Finding the pictures below a folder: hidden files ignored, symbolic links followed once, everything else noted."""

import contextlib
import os
from collections import Counter
from dataclasses import dataclass, field
from pathlib import Path

from separable.errors import DataFolderError

__all__ = [
    "PICTURE_ENDINGS",
    "Found",
    "file_names",
    "find_pictures",
    "holds_pictures",
    "pictures_below",
    "some_names",
    "subfolders",
]

_ENDINGS = "jpg jpeg jpe jfif png webp bmp dib gif tif tiff ppm pgm pbm pnm"
PICTURE_ENDINGS = frozenset(f".{ending}" for ending in _ENDINGS.split())
# Left behind by file managers and archivers; nobody means them as data.
_CLUTTER = frozenset({"__macosx", "thumbs.db", "desktop.ini", "$recycle.bin", "system volume information"})


@dataclass
class Found:
    """Pictures by class, as sorted paths relative to `root`; `loose` of them lie in `root` itself."""

    root: Path
    classes: dict[str, list[str]] = field(default_factory=dict)
    loose: int = 0
    empty: list[str] = field(default_factory=list)
    others: list[str] = field(default_factory=list)
    hidden: list[str] = field(default_factory=list)

    def summary(self) -> str:
        """What is there instead of pictures, for an error message."""
        if self.others:
            endings = Counter(Path(name).suffix.lower() or "no ending" for name in self.others)
            return f"{len(self.others)} other files ({', '.join(f'{n} {e}' for e, n in endings.most_common(3))})"
        return f"{len(self.empty)} empty folders" if self.empty else "an empty folder"

    def notes(self, base: Path) -> list[str]:
        """Sentences about what was left out."""
        where = "" if self.root == base else f" in {self.root.name}/"
        notes = []
        if self.others:
            notes.append(
                f"{_files(self.others)} left out{where}, not pictures by their ending: {some_names(self.others)}."
            )
        if self.empty:
            notes.append(f"Folders without a picture left out{where}: {some_names(self.empty)}.")
        if self.hidden:
            notes.append(
                f"Folders of pictures left out{where}, hidden by the dot that their name begins with: "
                f"{some_names(self.hidden)}."
            )
        if self.loose and self.classes:
            notes.append(f"{self.loose} pictures directly in {self.root} left out: they are in no class folder.")
        return notes


def _files(names: list[str]) -> str:
    return "1 file" if len(names) == 1 else f"{len(names)} files"


def some_names(names: list[str], most: int = 3) -> str:
    """The first few of them, and how many more there are."""
    return ", ".join(sorted(names)[:most]) + (f" and {len(names) - most} more" if len(names) > most else "")


def subfolders(folder: Path) -> list[Path]:
    """The folders directly inside, hidden ones and clutter left out, sorted by name."""
    return sorted(Path(entry.path) for entry in _entries(folder) if _is_folder(entry))


def file_names(folder: Path) -> list[str]:
    """Names of the files directly inside, hidden ones and clutter left out, sorted."""
    return [entry.name for entry in _entries(folder) if not _is_folder(entry)]


def holds_pictures(folder: Path) -> bool:
    """Whether a picture lies directly inside."""
    return any(_is_picture(entry.name) and not _is_folder(entry) for entry in _entries(folder))


def find_pictures(root: Path) -> Found:
    """Every picture below each sub-folder of `root`, however deep.

    A folder reached a second time through a symbolic link is not entered again, so that loops end.

    Raises:
        DataFolderError: a folder cannot be listed.
    """
    found = Found(root, hidden=_hidden(root))
    above = {_identity(root)}
    for entry in _entries(root):
        if _is_folder(entry):
            paths = sorted(_below(Path(entry.path), entry.name, set(above), found))
            if paths:
                found.classes[entry.name] = paths
            else:
                found.empty.append(entry.name)
        elif _is_picture(entry.name):
            found.loose += 1
        else:
            found.others.append(entry.name)
    return found


def pictures_below(root: Path) -> Found:
    """Every picture below `root`, however deep, as one class without a name: `classes[""]`, paths relative to `root`.

    Raises:
        DataFolderError: a folder cannot be listed.
    """
    found = Found(root)
    found.classes[""] = sorted(path.removeprefix("/") for path in _below(root, "", set(), found))
    found.others = [name.removeprefix("/") for name in found.others]
    return found


def _hidden(root: Path) -> list[str]:
    """Folders with a leading dot that hold a picture directly: somebody may mean one as a class."""
    names = []
    try:
        with os.scandir(root) as entries:
            folders = [entry for entry in entries if entry.name.startswith(".") and _is_folder(entry)]
    except OSError:  # to be said where the folder is listed
        return []
    for entry in folders:
        with contextlib.suppress(DataFolderError):  # what may not be read is nobody's class
            if holds_pictures(Path(entry.path)):
                names.append(entry.name)
    return sorted(names)


def _below(folder: Path, relative: str, entered: set[tuple[int, int]], found: Found) -> list[str]:
    paths: list[str] = []
    waiting = [(folder, relative)]
    while waiting:
        folder, relative = waiting.pop()
        identity = _identity(folder)
        if identity in entered:
            continue
        entered.add(identity)
        for entry in _entries(folder):
            name = f"{relative}/{entry.name}"
            if _is_folder(entry):
                waiting.append((Path(entry.path), name))
            elif _is_picture(entry.name):
                paths.append(name)
            else:
                found.others.append(name)
    return paths


def _entries(folder: Path) -> list[os.DirEntry[str]]:
    try:
        with os.scandir(folder) as entries:
            visible = [e for e in entries if not e.name.startswith(".") and e.name.lower() not in _CLUTTER]
    except OSError as error:
        raise DataFolderError(f"Cannot list {folder}", got=error.strerror or str(error)) from error
    return sorted(visible, key=lambda entry: entry.name)


def _is_folder(entry: os.DirEntry[str]) -> bool:
    try:
        return entry.is_dir()
    except OSError:  # a link that leads to itself
        return False


def _identity(folder: Path) -> tuple[int, int]:
    try:
        status = folder.stat()
    except OSError as error:
        raise DataFolderError(f"Cannot read {folder}", got=error.strerror or str(error)) from error
    return status.st_dev, status.st_ino


def _is_picture(name: str) -> bool:
    return os.path.splitext(name)[1].lower() in PICTURE_ENDINGS
