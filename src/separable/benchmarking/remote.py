"""A contestant in a process of its own, seen from the harness: orders through a pipe, answers within a time."""

import json
import os
import select
import signal
import subprocess
import sys
import time
from contextlib import suppress
from pathlib import Path
from typing import Any, final

import numpy as np

from separable.benchmarking import worker
from separable.benchmarking.contest import Answer, Contestant, Given, Runner, Task
from separable.benchmarking.run import ContestantError

__all__ = ["RemoteRunner"]

_SLOWEST = 30.0
"""A step may take this many times the longest so far, and as many seconds at least, before it counts as hung."""
_PARTING = 5.0
"""Seconds that a process has to end by itself."""


@final
class RemoteRunner(Runner):
    """Starts the process; every failure of it is a `ContestantError` that says what it last wrote."""

    def __init__(self, contestant: Contestant, task: Task, given: Given, patience: float | None = None) -> None:
        self._log = given.folder / f"{_file_name(contestant.name)}.log"
        self._answer = given.folder / f"{_file_name(contestant.name)}.npz"
        self._deadline: float | None = time.monotonic() + (contestant.patience if patience is None else patience)
        self._longest, self._rest = 0.0, b""
        environment = {**os.environ, **{key: value or "" for key, value in contestant.variables.items()}}
        for name in (key for key, value in contestant.variables.items() if value is None):
            environment.pop(name, None)
        with self._log.open("wb") as log:
            self._process = _start([contestant.python or sys.executable, "-P", worker.__file__], environment, log)
        order = {"do": "open", "folder": str(given.folder)}
        try:
            self._ask({**order, "contestant": contestant.to_json(), "task": task.to_json()})
        except BaseException:
            self._end()
            raise

    def answer(self) -> Answer:
        """What the process answers; it comes through a file."""
        path = Path(self._ask({"do": "answer", "path": str(self._answer)})["path"])
        with np.load(path, allow_pickle=False) as stored:
            answer = dict(stored)
        path.unlink()
        return answer

    def step(self) -> float:
        """The seconds that the process measured itself."""
        seconds = float(self._ask({"do": "step"})["seconds"])
        self._longest, self._deadline = max(self._longest, seconds), None
        return seconds

    def describe(self) -> dict[str, Any]:
        """What it says now; more is known after the first answer."""
        described: dict[str, Any] = self._ask({"do": "describe"})["description"]
        return described

    def peak_memory(self) -> int | None:
        """Bytes since the last call, as the process says."""
        return int(self._ask({"do": "memory"})["bytes"]) or None

    def close(self) -> None:
        """Ask it to end, and end it."""
        if self._process.poll() is None:
            with suppress(ContestantError):
                self._deadline = time.monotonic() + _PARTING
                self._ask({"do": "close"})
        self._end()

    def _end(self) -> None:
        with suppress(ProcessLookupError, PermissionError):
            _kill(self._process)
        for stream in (self._process.stdin, self._process.stdout):
            if stream is not None:
                with suppress(OSError):
                    stream.close()
        self._process.wait()

    def _ask(self, order: dict[str, Any]) -> dict[str, Any]:
        assert self._process.stdin is not None
        try:
            self._process.stdin.write(json.dumps(order).encode() + b"\n")
            self._process.stdin.flush()
        except OSError as error:
            raise self._died() from error
        limit = _SLOWEST * max(1.0, self._longest)
        seconds = limit if self._deadline is None else max(0.0, self._deadline - time.monotonic())
        reply: dict[str, Any] = json.loads(self._line(seconds))
        if "failure" in reply:
            raise ContestantError(reply["failure"].splitlines()[0][:300])
        return reply

    def _line(self, seconds: float) -> bytes:
        """The next line of what the process says."""
        assert self._process.stdout is not None
        pipe, end = self._process.stdout.fileno(), time.monotonic() + seconds
        while b"\n" not in self._rest:
            ready, _, _ = select.select([pipe], [], [], max(0.0, end - time.monotonic()))
            if not ready:
                self._end()
                raise ContestantError(f"no answer within {seconds:.0f} s; it was ended")
            read = os.read(pipe, 1 << 16)
            if not read:
                raise self._died()
            self._rest += read
        line, _, self._rest = self._rest.partition(b"\n")
        return line

    def _died(self) -> ContestantError:
        self._process.wait()
        code = self._process.returncode
        lines = self._log.read_text(encoding="utf-8", errors="replace").strip().splitlines()
        last = f": {lines[-1][:300]}" if lines else ""
        how = f"ended by signal {-code}" if code < 0 else f"ended with code {code}"
        return ContestantError(f"its process {how}{last}", killed=code == -signal.SIGKILL)


def _start(command: list[str], environment: dict[str, str], log: Any) -> subprocess.Popen[bytes]:
    """In a session of its own: Ctrl-C at the terminal is for the harness, which keeps what was measured."""
    try:
        return subprocess.Popen(  # noqa: S603 - the interpreter that the contestant names, with our own file
            command,
            env=environment,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=log,
            start_new_session=True,
        )
    except OSError as error:
        raise ContestantError(f"{command[0]} cannot be started: {error.strerror or error}") from error


def _kill(process: subprocess.Popen[bytes]) -> None:
    """And whatever it has started."""
    if hasattr(os, "killpg"):
        os.killpg(process.pid, signal.SIGKILL)
    else:
        process.kill()


def _file_name(name: str) -> str:
    return "".join(character if character.isalnum() else "-" for character in name)
