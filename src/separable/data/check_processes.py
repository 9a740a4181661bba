"""Looking at many files, each of which may kill or hang the process that looks at it."""

import multiprocessing
from abc import ABC, abstractmethod
from collections import deque
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import Future, ProcessPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from itertools import islice
from typing import Generic, TypeVar

from separable.errors import UsageError

__all__ = ["Scan", "scan_all"]

Item = TypeVar("Item")
Facts = TypeVar("Facts")

_SHARE = 16  # items handed to a worker at once
_PATIENCE = 120.0  # seconds for an item, before it counts as hanging


class Scan(ABC, Generic[Item, Facts]):
    """What to do with one item. Workers get a copy: it holds little, and no open files."""

    @abstractmethod
    def __call__(self, item: Item) -> Facts:
        """Look at it. Never raises for what a file holds."""

    @abstractmethod
    def lost(self, item: Item, cause: str) -> Facts:
        """What is said of one that killed or hanged its process."""


def scan_all(
    scan: Scan[Item, Facts],
    items: Iterable[Item],
    total: int,
    workers: int = 0,
    progress: Callable[[int, int], None] | None = None,
) -> list[Facts]:
    """`scan` of each item, in their order, whatever the number of worker processes.

    Args:
        scan: what to do.
        items: taken a few at a time.
        total: how many there are.
        workers: processes to spread the work over; 0 works here. An item that kills or hangs a worker, as a bug in a C
            library can, is `lost` and left behind; here it would take the caller along.
        progress: called with (items done, items in all) now and then, and at the end.

    Raises:
        UsageError: worker processes cannot be started.
    """
    if workers > 0 and total > _SHARE:
        portions = _in_processes(scan, iter(items), workers)
    else:
        portions = ([scan(item)] for item in items)
    facts: list[Facts] = []
    for portion in portions:
        facts += portion
        if progress is not None:
            progress(len(facts), total)
    return facts


def _in_processes(scan: Scan[Item, Facts], items: Iterator[Item], workers: int) -> Iterator[list[Facts]]:
    """Portions in order, at most two a worker under way, so that memory does not grow with the set."""
    shares = iter(lambda: list(islice(items, _SHARE)), [])
    waiting: deque[tuple[list[Item], Future[list[Facts]] | None]] = deque()
    pool = _pool(workers)
    try:
        while True:
            for share in islice(shares, 2 * workers - len(waiting)):
                waiting.append((share, _submit(pool, scan, share)))
            if not waiting:
                return
            share, future = waiting.popleft()
            facts = _result(future)
            if facts is None:
                # Every share under way is lost with the pool: the oldest is looked at one by one, the rest again.
                _end(pool)
                _demand_processes()
                facts = list(_scan_each(scan, share))
                pool = _pool(workers)
                waiting = deque((other, _submit(pool, scan, other)) for other, _ in waiting)
            yield facts
    finally:
        _end(pool)


def _submit(pool: ProcessPoolExecutor, scan: Scan[Item, Facts], share: list[Item]) -> Future[list[Facts]] | None:
    try:
        return pool.submit(_scan_share, scan, share)
    except BrokenProcessPool:
        return None


def _result(future: Future[list[Facts]] | None) -> list[Facts] | None:
    try:
        return None if future is None else future.result(timeout=_PATIENCE * _SHARE)
    except (BrokenProcessPool, TimeoutError):
        return None


def _pool(workers: int) -> ProcessPoolExecutor:
    # Not forked: a copy of a process whose threads hold locks can hang, and torch's threads do.
    return ProcessPoolExecutor(workers, mp_context=multiprocessing.get_context("spawn"))


def _demand_processes() -> None:
    """Tell pictures that kill their process from processes that do not even start.

    Raises:
        UsageError: a process without a picture ends too.
    """
    pool = _pool(1)
    try:
        pool.submit(int).result(timeout=_PATIENCE)
    except (BrokenProcessPool, TimeoutError) as error:
        raise UsageError(
            "Processes that look at pictures cannot be started from here",
            expected='a script whose work stands below `if __name__ == "__main__":`, and memory for them',
            fix="Put it there, or look at the pictures with workers=0",
        ) from error
    finally:
        _end(pool)


def _scan_share(scan: Scan[Item, Facts], share: list[Item]) -> list[Facts]:
    return [scan(item) for item in share]


def _scan_each(scan: Scan[Item, Facts], share: list[Item]) -> Iterator[Facts]:
    """One item at a time, each in a process that it may kill."""
    pool = _pool(1)
    try:
        for item in share:
            try:
                yield pool.submit(scan, item).result(timeout=_PATIENCE)
                continue
            except BrokenProcessPool:
                yield scan.lost(item, "crashes the decoder")
            except TimeoutError:
                yield scan.lost(item, f"not decoded within {_PATIENCE:g} s")
            _end(pool)
            pool = _pool(1)
    finally:
        _end(pool)


def _end(pool: ProcessPoolExecutor) -> None:
    """Without waiting for what the workers are at: they may hang."""
    for process in list((pool._processes or {}).values()):
        process.kill()
    pool.shutdown(wait=True, cancel_futures=True)
