"""`metrics.jsonl`: every step and epoch once, appended as it happens, cut back to the checkpoint on resume."""

import json
import os
from pathlib import Path
from typing import Any

from separable.errors import OutputError
from separable.files import write_text_atomically

__all__ = ["Journal", "read_journal"]


def read_journal(path: Path) -> list[dict[str, Any]]:
    """Every whole line, in order; a torn last line (the process died while writing it) is left out."""
    if not path.is_file():
        return []
    rows = []
    for line in path.read_text(encoding="utf-8", errors="replace").splitlines():
        try:
            row = json.loads(line)
        except json.JSONDecodeError:
            break
        if not isinstance(row, dict):
            break
        rows.append(row)
    return rows


class Journal:
    """Appends lines to `metrics.jsonl`. Each line reaches the kernel in one write, so that a kill tears at most one."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._descriptor: int | None = None

    def rewind(self, step: int, epochs_done: int) -> None:
        """Drop what came after the restored checkpoint: steps above `step`, epochs from `epochs_done` on."""
        self.close()
        kept = [row for row in read_journal(self._path) if _is_before(row, step, epochs_done)]
        text = "".join(_line(row) for row in kept)
        write_text_atomically(self._path, text)

    def append(self, row: dict[str, Any]) -> None:
        """Add one line.

        Raises:
            OutputError: no space, or the folder is gone.
        """
        try:
            if self._descriptor is None:
                self._descriptor = os.open(self._path, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o644)
            data = _line(row).encode()
            if os.write(self._descriptor, data) != len(data):
                raise OSError(0, "the line was written in part")
        except OSError as error:
            raise OutputError(
                f"Cannot write {self._path}",
                got=error.strerror or str(error),
                fix="The last checkpoint is whole: free some space and run the same command with --resume",
            ) from error

    def sync(self) -> None:
        """Have the lines on the disk before a checkpoint that counts on them."""
        if self._descriptor is not None:
            os.fsync(self._descriptor)

    def close(self) -> None:
        """Close the file; the next `append` opens it again."""
        if self._descriptor is not None:
            os.close(self._descriptor)
            self._descriptor = None


def _is_before(row: dict[str, Any], step: int, epochs_done: int) -> bool:
    if row.get("kind") == "step":
        return bool(row["step"] <= step)
    return row.get("kind") == "epoch" and bool(row["epoch"] < epochs_done)


def _line(row: dict[str, Any]) -> str:
    return json.dumps(row, separators=(",", ":")) + "\n"
