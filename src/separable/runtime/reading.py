"""Pictures read by several threads ahead of the network, in order and in bounded memory."""

import os
from collections import deque
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from pathlib import Path
from typing import Any, TypeVar

from separable.machine.runtime import run_on, unpinned_cores

__all__ = ["listed", "name_of", "read_ahead"]

_Read = TypeVar("_Read")
_ONE = str | Path | bytes | bytearray | memoryview  # iterables that are one picture all the same
_READERS = 4  # decoding threads at most; decoders release the interpreter lock


def listed(images: Any) -> Iterable[Any]:
    """`images`, or where it is one picture alone, a list of one."""
    single = isinstance(images, _ONE) or not isinstance(images, Iterable) or hasattr(images, "shape")
    return [images] if single else images


def read_ahead(
    images: Iterable[Any], read: Callable[[Any], _Read], batch_size: int
) -> Iterator[list[tuple[str, Any, _Read]]]:
    """Batches of (name, image, what `read` makes of it), in order; two batches are held."""
    readers = max(1, min(_READERS, os.cpu_count() or 1))
    with ThreadPoolExecutor(readers, initializer=run_on, initargs=(unpinned_cores(),)) as pool:
        waiting: deque[tuple[str, Any, Future[_Read]]] = deque()

        def batch(count: int) -> list[tuple[str, Any, _Read]]:
            return [(name, image, future.result()) for name, image, future in (waiting.popleft() for _ in range(count))]

        for number, image in enumerate(images):
            waiting.append((name_of(image, number), image, pool.submit(read, image)))
            if len(waiting) == 2 * batch_size:
                yield batch(batch_size)
        while waiting:
            yield batch(min(batch_size, len(waiting)))


def name_of(image: Any, number: int) -> str:
    """The path, or "picture 7"."""
    if isinstance(image, str | Path):
        return os.fspath(image)
    return str(getattr(image, "filename", "") or f"picture {number}")
