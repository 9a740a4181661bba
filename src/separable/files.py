"""Writing files so that a crash leaves either the old one or the new one, never half of one."""

import contextlib
import errno
import os
import shutil
from collections.abc import Callable, Iterator
from pathlib import Path

from separable.errors import OutputError

__all__ = [
    "atomic_path",
    "demand_writable",
    "fsync_directory",
    "make_directory",
    "path_from",
    "removed_on_failure",
    "write_atomically",
    "write_bytes_atomically",
    "write_text_atomically",
]


@contextlib.contextmanager
def atomic_path(path: Path) -> Iterator[Path]:
    """A temporary file beside `path`, for the block to fill: fsynced and renamed over `path` at its end.

    Where the block raises, nothing is left of it, and `path` keeps what it held before.

    Raises:
        OutputError: the folder is not writable or the disk is full.
    """
    temporary = path.with_name(f".{path.name}.{os.getpid()}.tmp")
    try:
        yield temporary
        with open(temporary, "rb") as handle:
            os.fsync(handle.fileno())
        os.replace(temporary, path)
        fsync_directory(path.parent)
    except BrokenPipeError:  # not of the file: what the block printed had no reader any more
        raise
    except OSError as error:
        raise _explain(path, error) from error
    finally:
        with contextlib.suppress(NotADirectoryError):
            temporary.unlink(missing_ok=True)


def write_atomically(path: Path, write: Callable[[Path], None]) -> None:
    """Let `write` fill a temporary file beside `path`, fsync it, and rename it over `path`.

    Raises:
        OutputError: the folder is not writable or the disk is full; `path` keeps what it held before.
    """
    with atomic_path(path) as temporary:
        write(temporary)


def write_bytes_atomically(path: Path, content: bytes) -> None:
    """`write_atomically` for content that lies in memory."""

    def write(temporary: Path) -> None:
        temporary.write_bytes(content)

    write_atomically(path, write)


def write_text_atomically(path: Path, text: str) -> None:
    """`write_atomically` for text, as UTF-8."""

    def write(temporary: Path) -> None:
        temporary.write_text(text, encoding="utf-8")

    write_atomically(path, write)


def fsync_directory(folder: Path) -> None:
    """Make a rename inside `folder` survive a power cut; a no-op where folders cannot be opened."""
    if os.name != "posix":
        return
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def make_directory(folder: Path) -> None:
    """Create `folder` and its parents.

    Raises:
        OutputError: a file stands in the way, or the place is not writable.
    """
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise _explain(folder, error) from error


@contextlib.contextmanager
def removed_on_failure(path: Path) -> Iterator[None]:
    """Work that makes the file or the folder `path`, of which an error or an interruption leaves nothing.

    `path` is not there before, or is an empty folder, which stays.
    """
    stays = path.is_dir()
    try:
        yield
    except BaseException:
        for made in list(path.iterdir()) if stays else [path]:
            if made.is_dir() and not made.is_symlink():
                shutil.rmtree(made, ignore_errors=True)
            else:
                with contextlib.suppress(OSError):
                    made.unlink()
        raise


def demand_writable(path: Path, *, makes_folders: bool = False) -> None:
    """Before long work whose result goes to `path`: refuse in the words in which writing would fail in the end.

    Args:
        makes_folders: the folders on the way need not be there yet.

    Raises:
        OutputError: a folder is missing or not writable, or something stands in the way.
    """
    folder = path.parent
    while makes_folders and not folder.exists() and folder != folder.parent:
        folder = folder.parent
    reasons = (
        (errno.ENOENT, not folder.exists()),
        (errno.ENOTDIR, not folder.is_dir()),
        (errno.EACCES, not os.access(folder, os.W_OK | os.X_OK)),
        (errno.EISDIR, path.is_dir()),
    )
    reason = next((number for number, holds in reasons if holds), None)
    if reason is not None:
        raise _explain(path, OSError(reason, os.strerror(reason)))


def path_from(base: str | Path, root: str | Path, path: str) -> str:
    """`path`, relative to `root`, from the folder `base` on; unchanged where `root` is not below `base`."""
    base, root = Path(base), Path(root)
    return (root.relative_to(base) / path).as_posix() if root != base and root.is_relative_to(base) else path


def _explain(path: Path, error: OSError) -> OutputError:
    if error.errno in (errno.ENOSPC, errno.EDQUOT):
        return OutputError(f"No space left to write {path}", fix="Free some space or choose another output folder")
    return OutputError(
        f"Cannot write {path}",
        got=error.strerror or str(error),
        expected="a writable folder",
        fix="Choose another output folder or mend its permissions",
    )
