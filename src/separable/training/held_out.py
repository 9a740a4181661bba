"""The pictures that a model is measured on, prepared once where memory allows."""

from abc import ABC, abstractmethod
from collections.abc import Iterator
from typing import final

from separable.data.loader import Batch

__all__ = ["HeldOut"]

_CACHE_BYTES = 256 << 20


class HeldOut(ABC):
    """The prepared pictures of a set, in order; kept in memory after the first pass where they fit 256 MiB.

    Args:
        bytes_in_all: of the prepared pictures and what they show.
    """

    def __init__(self, bytes_in_all: int) -> None:
        self._fits = bytes_in_all <= _CACHE_BYTES
        self._kept: list[Batch] | None = None

    @abstractmethod
    def read(self) -> Iterator[Batch]:
        """Every readable picture once, from the files."""

    @final
    def batches(self) -> Iterator[Batch]:
        """Every readable picture once."""
        if self._kept is not None:
            yield from self._kept
            return
        kept = []
        for batch in self.read():
            if self._fits:
                kept.append(batch)
            yield batch
        if self._fits:
            self._kept = kept
