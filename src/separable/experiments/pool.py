"""Cells in processes, several at once, whatever happens to one of them."""

import contextlib
import json
import os
import selectors
import subprocess
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import Any, Protocol, Self

from separable.experiments.carrying_out import CellPlace
from separable.experiments.cells import Cell
from separable.files import make_directory
from separable.training.signals import StopRequest

__all__ = ["Crew", "Job", "Listener", "Pool"]

_TRIES = 3
"""Starts of a cell whose process dies: it goes on from its last checkpoint each time."""
_AGAIN = 1.0
"""Seconds until a cell that another process is at is asked for again."""
_LOOK = 0.3
_PATIENCE = 300.0
"""Seconds for a process to save and end."""
_ONE_THREAD = {"OMP_NUM_THREADS": "1", "MKL_NUM_THREADS": "1", "OMP_WAIT_POLICY": "PASSIVE"}


@dataclass(frozen=True)
class Job:
    """A cell and what a person calls it; `work` is how much there is to do, in a unit of one's own."""

    cell: Cell
    key: str
    title: str
    work: float


class Listener(Protocol):
    """Is told what happens."""

    def begins(self, job: Job) -> None: ...

    def ends(self, job: Job, seconds: float, problem: str | None) -> None: ...

    def note(self, text: str) -> None: ...


class _Worker:
    """A process that carries out one cell after the other."""

    def __init__(self, home: Path, one_thread: bool) -> None:
        self._errors = tempfile.TemporaryFile()  # noqa: SIM115 - as long as the process is
        self.process = subprocess.Popen(  # noqa: S603 - our own module
            [sys.executable, "-m", "separable.experiments.worker", str(home.absolute())],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=self._errors,
            env=os.environ | (_ONE_THREAD if one_thread else {}),
            text=True,
            encoding="utf-8",
            start_new_session=True,  # Ctrl-C goes to the runner alone
        )
        self.job: Job | None = None
        self.begun = 0.0

    def ask(self, job: Job) -> None:
        """Have it carried out; a process that has died is found out by its answer, which is none."""
        self.job, self.begun = job, time.monotonic()
        assert self.process.stdin is not None
        with contextlib.suppress(OSError):
            self.process.stdin.write(f"{job.key}\n")
            self.process.stdin.flush()

    def answer(self) -> dict[str, Any] | None:
        """The line that is there; None where the process has ended."""
        assert self.process.stdout is not None
        line = self.process.stdout.readline()
        return json.loads(line) if line.endswith("\n") else None

    def last_words(self) -> str:
        """How it ended."""
        code = self.process.wait()
        self._errors.seek(0)
        said = self._errors.read().decode(errors="replace").strip().splitlines()
        how = f"signal {-code}" if code < 0 else f"exit code {code}"
        return f"its process ended by {how}" + (f": {said[-1]}" if said else "")

    def let_go(self) -> None:
        """Ask it to end, at once or after saving."""
        assert self.process.stdin is not None
        with contextlib.suppress(OSError):
            self.process.stdin.close()

    def bury(self) -> None:
        """Wait until it has ended."""
        try:
            self.process.wait(_PATIENCE)
        except BaseException:
            self.process.kill()
            self.process.wait()
            raise
        finally:
            assert self.process.stdout is not None
            self.process.stdout.close()
            self._errors.close()


class Crew:
    """The processes below one home, which several pools may use one after the other: each costs seconds to start.

    As a context manager it lets them end after the block; after an error, or a second Ctrl-C, they are killed, which
    costs what they did since their last checkpoints.
    """

    def __init__(self, home: Path, processes: int, *, one_thread: bool = True) -> None:
        self.home, self.processes, self.one_thread = home, processes, one_thread
        self.workers: list[_Worker] = []

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        for worker in self.workers:
            if kind is not None:
                worker.process.kill()
            worker.let_go()
        for worker in self.workers:
            worker.bury()
        self.workers.clear()

    def more(self) -> _Worker:
        """One more process."""
        self.workers.append(_Worker(self.home, self.one_thread))
        return self.workers[-1]


class Pool:
    """Has a crew carry out cells, and tells a listener."""

    def __init__(self, crew: Crew, listener: Listener) -> None:
        self._crew, self._listener = crew, listener
        self._selector = selectors.DefaultSelector()
        self._deaths: Counter[str] = Counter()
        self._later: dict[str, float] = {}
        self.problems: dict[str, str] = {}
        """By key, why a cell has no outcome; it is not tried again before the next start."""

    def run(self, wanted: Callable[[], Sequence[Job]], stop: StopRequest) -> None:
        """Until nothing is `wanted` any more that can be had, or until `stop`; the crew then still saves what it does.

        `wanted` is asked again after everything that happens: what is to be done next may depend on outcomes, and
        other processes below the same home do a part.
        """
        make_directory(self._crew.home / "cells")
        with self._selector:
            for worker in self._crew.workers:
                self._register(worker)
            while not stop.requested:
                jobs = [job for job in wanted() if job.key not in self.problems]
                if not jobs:
                    break
                self._start(jobs)
                self._listen()

    def _start(self, jobs: Sequence[Job]) -> None:
        """The first of `jobs` that nobody is at, on processes that have nothing to do."""
        running = {worker.job.key for worker in self._crew.workers if worker.job is not None}
        now = time.monotonic()
        free = (job for job in jobs if job.key not in running and self._later.get(job.key, 0.0) <= now)
        for worker in self._idle():
            job = next(free, None)
            if job is None:
                return
            if worker is None:
                worker = self._crew.more()
                self._register(worker)
            job.cell.write(CellPlace(self._crew.home, job.key).spec)  # with the paths that hold here and now
            worker.ask(job)
            self._listener.begins(job)

    def _idle(self) -> Iterator[_Worker | None]:
        yield from [worker for worker in self._crew.workers if worker.job is None]
        yield from [None] * (self._crew.processes - len(self._crew.workers))

    def _register(self, worker: _Worker) -> None:
        assert worker.process.stdout is not None
        self._selector.register(worker.process.stdout, selectors.EVENT_READ, worker)

    def _listen(self) -> None:
        for key, _ in self._selector.select(_LOOK):
            worker: _Worker = key.data
            job, answer = worker.job, worker.answer()
            worker.job = None
            if answer is None:
                self._lost(worker, job)
            elif job is not None:
                self._answered(job, answer, time.monotonic() - worker.begun)

    def _answered(self, job: Job, answer: dict[str, Any], seconds: float) -> None:
        place = CellPlace(self._crew.home, job.key)
        if answer["status"] == "done" and place.read() is not None:
            self._listener.ends(job, seconds, None)
        elif answer["status"] in ("done", "error"):
            self.problems[job.key] = str(answer.get("text", f"{place.outcome} cannot be read. Remove it."))
            self._listener.ends(job, seconds, self.problems[job.key])
        else:
            self._later[job.key] = time.monotonic() + _AGAIN

    def _lost(self, worker: _Worker, job: Job | None) -> None:
        words = worker.last_words()
        assert worker.process.stdout is not None
        self._selector.unregister(worker.process.stdout)
        self._crew.workers.remove(worker)
        worker.let_go()
        worker.bury()
        if job is None:
            return
        self._deaths[job.key] += 1
        if self._deaths[job.key] < _TRIES:
            self._listener.note(f"{job.title}: {words}. It is started again.")
        else:
            self.problems[job.key] = f"{_TRIES} times, {words}."
            self._listener.ends(job, time.monotonic() - worker.begun, self.problems[job.key])
