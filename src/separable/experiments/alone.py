"""Timings run alone: while one is measured no training runs that shares its folder, and the other way round."""

import os
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from separable.training.signals import StopRequest

__all__ = ["all_alone", "beside_others"]

_PAUSE = 0.2


@contextmanager
def beside_others(home: Path, stop: StopRequest) -> Iterator[None]:
    """Inside the block nobody is `all_alone`; it begins when nobody is, or when `stop` is asked for."""
    with _held(home, stop, alone=False):
        yield


@contextmanager
def all_alone(home: Path, stop: StopRequest) -> Iterator[None]:
    """Inside the block nobody is `beside_others`; it begins when nobody is, or when `stop` is asked for."""
    with _held(home, stop, alone=True):
        yield


@contextmanager
def _held(home: Path, stop: StopRequest, *, alone: bool) -> Iterator[None]:
    """A POSIX record lock, which ends with its process: shared, or exclusive."""
    descriptor = os.open(home / ".alone", os.O_RDWR | os.O_CREAT, 0o644)
    try:
        while not _acquired(descriptor, alone) and not stop.requested:
            time.sleep(_PAUSE)
        yield
    finally:
        os.close(descriptor)


def _acquired(descriptor: int, alone: bool) -> bool:
    try:
        import fcntl
    except ImportError:  # no POSIX: whoever measures has to see to it that nothing else runs
        return True
    try:
        fcntl.lockf(descriptor, (fcntl.LOCK_EX if alone else fcntl.LOCK_SH) | fcntl.LOCK_NB)
    except OSError:
        return False
    return True
