"""A folder that appears complete or not at all."""

import contextlib
import os
import shutil
from collections.abc import Iterator
from pathlib import Path

from separable.errors import OutputError
from separable.files import make_directory

__all__ = ["built_folder"]


@contextlib.contextmanager
def built_folder(folder: Path) -> Iterator[Path]:
    """A folder beside `folder` to fill, which has its name once the body ends without an error, and is gone otherwise.

    Raises:
        OutputError: the place is not writable, or the disk is full.
    """
    make_directory(folder.parent)
    building = folder.with_name(f".{folder.name}.{os.getpid()}.tmp")
    try:
        yield building
        os.replace(building, folder)
    except OSError as error:
        raise OutputError(f"Cannot write {folder}", got=error.strerror or str(error)) from error
    finally:
        shutil.rmtree(building, ignore_errors=True)
