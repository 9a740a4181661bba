"""One training a run folder: an advisory lock that dies with its process."""

import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from separable.errors import OutputError, RunFolderError

__all__ = ["file_lock", "is_locked", "run_lock"]


@contextmanager
def run_lock(run: Path) -> Iterator[None]:
    """Hold `run/.lock` inside the block.

    Raises:
        RunFolderError: another process is training in this folder; its number is named.
    """
    with file_lock(run / ".lock", run):
        yield


@contextmanager
def file_lock(path: Path, run: Path) -> Iterator[None]:
    """Hold the file `path`, which is made where it is not there, inside the block; `run` is what it guards.

    A POSIX record lock: the kernel drops it when the process dies, however it dies, and forked data workers do not
    inherit it, so nothing stale is ever left to remove.

    Raises:
        RunFolderError: another process holds it; its number is named.
    """
    try:
        descriptor = os.open(path, os.O_RDWR | os.O_CREAT, 0o644)
    except OSError as error:
        raise OutputError(f"Cannot write {path.parent}", got=error.strerror, expected="a writable folder") from error
    try:
        _acquire(descriptor, run)
        yield
    finally:
        os.close(descriptor)


def is_locked(path: Path) -> bool:
    """Whether another process holds the file now. Not to be asked by a process that holds it: it would let go."""
    try:
        with file_lock(path, path):
            return False
    except RunFolderError:
        return True


def _acquire(descriptor: int, run: Path) -> None:
    try:
        import fcntl
    except ImportError:  # no POSIX: two trainings in one folder are then the user's own care
        return
    try:
        fcntl.lockf(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError as error:
        owner = os.pread(descriptor, 32, 0).decode("ascii", "replace").strip() or "unknown"
        raise RunFolderError(
            f"Another training is running in {run}",
            got=f"process {owner} holds it",
            fix="Wait for it, stop it, or choose another run folder with --run",
        ) from error
    os.ftruncate(descriptor, 0)
    os.pwrite(descriptor, f"{os.getpid()}\n".encode(), 0)
