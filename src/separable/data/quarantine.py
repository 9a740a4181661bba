"""The list of pictures that could not be read: named with their cause, never in the way of a run."""

import csv
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

from separable.errors import OutputError, TooManyBadPicturesError
from separable.files import write_atomically

__all__ = ["BadPicture", "Quarantine"]

_COLUMNS = ("path", "cause", "first_seen")


@dataclass(frozen=True)
class BadPicture:
    """A picture that cannot be read: its path relative to its set's root, why, and its index in the set.

    A list of several sets' pictures needs paths from a root that they share.
    """

    path: str
    cause: str
    sample: int = -1


class Quarantine:
    """`quarantine.csv` with one line a picture, rewritten whole whenever new ones come; an existing file is kept.

    Args:
        path: of the file. A damaged one is begun anew: what it listed is met again.
        warn: told about a damaged file.

    Raises:
        OutputError: something is in the way that cannot be read.
    """

    def __init__(self, path: str | Path, warn: Callable[[str], None] = lambda _: None) -> None:
        self._path = Path(path)
        self._rows: dict[str, tuple[str, str]] = {}
        if not self._path.exists():
            return
        try:
            self._rows = self._read()
        except (csv.Error, ValueError) as error:
            warn(f"{self._path} is damaged ({error}) and is begun anew.")
        except OSError as error:
            raise OutputError(
                f"Cannot read {self._path}", got=error.strerror or str(error), fix="Remove it: it is written anew"
            ) from error

    def __len__(self) -> int:
        return len(self._rows)

    @property
    def causes(self) -> dict[str, str]:
        """Cause by path, in the order first seen."""
        return {path: cause for path, (cause, _) in self._rows.items()}

    def add(self, *bad: BadPicture) -> int:
        """Add pictures and write the file once; how many of them were not in the list before.

        Raises:
            OutputError: the file cannot be written.
        """
        before, now = len(self._rows), datetime.now(UTC).isoformat(timespec="seconds")
        for picture in bad:
            self._rows.setdefault(picture.path, (picture.cause, now))
        if len(self._rows) > before:
            write_atomically(self._path, self._write)
        return len(self._rows) - before

    def forget(self, is_readable: Callable[[str], bool]) -> int:
        """Take those off the list that have been mended since; how many they were."""
        mended = [path for path in self._rows if is_readable(path)]
        for path in mended:
            del self._rows[path]
        if mended:
            write_atomically(self._path, self._write)
        return len(mended)

    def check(self, pictures: int, max_bad: float) -> None:
        """Stop a run that has too little left to learn from.

        Args:
            pictures: how many there are in the set or sets that this list is about.
            max_bad: the greatest share of them that may be unreadable.

        Raises:
            TooManyBadPicturesError: more are.
        """
        if len(self._rows) <= max_bad * pictures:
            return
        path, (cause, _) = next(iter(self._rows.items()))
        raise TooManyBadPicturesError(
            "Too many pictures cannot be read",
            got=f"{len(self._rows)} of {pictures}, the first: {path} ({cause})",
            expected=f"at most {max_bad:.1%} of them",
            fix=f"Look at {self._path}, mend or remove those files, or allow more with --max-bad",
        )

    def _read(self) -> dict[str, tuple[str, str]]:
        with self._path.open(newline="", encoding="utf-8", errors="surrogateescape") as handle:
            head, *rows = [row for row in csv.reader(handle, strict=True) if row] or [list(_COLUMNS)]
        if tuple(head) != _COLUMNS or any(len(row) != len(_COLUMNS) for row in rows):
            raise ValueError("not a table of " + ", ".join(_COLUMNS))
        return {path: (cause, seen) for path, cause, seen in rows}

    def _write(self, path: Path) -> None:
        with path.open("w", newline="", encoding="utf-8", errors="surrogateescape") as handle:
            rows = csv.writer(handle)
            rows.writerow(_COLUMNS)
            rows.writerows((name, cause, seen) for name, (cause, seen) in self._rows.items())
