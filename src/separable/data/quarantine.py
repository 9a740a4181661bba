"""The list of pictures that could not be read: named with their cause, never in the way of a run."""

import csv
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

from separable.errors import TooManyBadPicturesError
from separable.files import write_atomically

__all__ = ["BadPicture", "Quarantine"]

_COLUMNS = ("path", "cause", "first_seen")


@dataclass(frozen=True)
class BadPicture:
    """A picture that cannot be read: its path relative to its set's root, why, and its index in the set."""

    path: str
    cause: str
    sample: int = -1


class Quarantine:
    """`quarantine.csv` with one line a picture, rewritten whole whenever a new one comes; an existing file is kept."""

    def __init__(self, path: str | Path) -> None:
        self._path = Path(path)
        self._rows: dict[str, tuple[str, str]] = {}
        if self._path.exists():
            with self._path.open(newline="", encoding="utf-8", errors="surrogateescape") as handle:
                for row in csv.DictReader(handle):
                    self._rows[row.get("path") or ""] = (row.get("cause") or "", row.get("first_seen") or "")

    def __len__(self) -> int:
        return len(self._rows)

    @property
    def causes(self) -> dict[str, str]:
        """Cause by path, in the order first seen."""
        return {path: cause for path, (cause, _) in self._rows.items()}

    def add(self, bad: BadPicture) -> bool:
        """Add a picture; True where it was not in the list before.

        Raises:
            OutputError: the file cannot be written.
        """
        if bad.path in self._rows:
            return False
        self._rows[bad.path] = (bad.cause, datetime.now(UTC).isoformat(timespec="seconds"))
        write_atomically(self._path, self._write)
        return True

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

    def _write(self, path: Path) -> None:
        with path.open("w", newline="", encoding="utf-8", errors="surrogateescape") as handle:
            rows = csv.writer(handle)
            rows.writerow(_COLUMNS)
            rows.writerows((name, cause, seen) for name, (cause, seen) in self._rows.items())
