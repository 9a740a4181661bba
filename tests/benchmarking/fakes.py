"""Contestants with scripted clocks, and what they are judged by."""

import importlib
import sys
from collections.abc import Callable, Sequence
from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np

from separable.benchmarking.contest import Answer, Runner
from separable.benchmarking.gate import Verdict
from separable.benchmarking.outcome import Entry, Work
from separable.benchmarking.run import ContestantError, Seat

RIGHT = Verdict(True, 1e-7, 1e-7)
WRONG = Verdict(False, 0.5, 1e-7, "0.5 from fp64, where 2e-05 is allowed")


class FakeRunner(Runner):
    """Steps take what the script says; a text in the script is a crash, an exception is raised."""

    def __init__(self, name: str, script: Sequence[float | str | BaseException], log: list[str]) -> None:
        self.name, self.script, self.log = name, list(script), log

    def answer(self) -> Answer:
        self.log.append(f"{self.name} answers")
        return {"logits": np.zeros((1, 2))}

    def step(self) -> float:
        self.log.append(self.name)
        taken = self.script.pop(0)
        if isinstance(taken, BaseException):
            raise taken
        if isinstance(taken, str):
            raise ContestantError(taken)
        return taken

    def peak_memory(self) -> int | None:
        return 1000

    def describe(self) -> dict[str, Any]:
        return {"versions": {self.name: "1"}}

    def close(self) -> None:
        self.log.append(f"{self.name} leaves")


def seat(
    name: str,
    script: Sequence[float | str | BaseException],
    log: list[str],
    *,
    verdict: Verdict = RIGHT,
    pictures: int = 4,
    opened: Callable[[], None] = lambda: None,
) -> Seat:
    """A seat whose first step warms up."""

    def open_() -> Runner:
        opened()
        return FakeRunner(name, script, log)

    blank = Entry(name, name, "net", "fp32", "as it comes", Work(8e9, 0, pictures))
    return Seat(blank, open_, lambda _: verdict)


def entry(name: str, seconds: dict[int, float], **more: Any) -> Entry:
    """A result."""
    given: dict[str, Any] = {"work": Work(8e9, 0.0, 4), "verdict": RIGHT, **more}
    return Entry(name, given.pop("peer", name), "net", "fp32", "as it comes", seconds=seconds, **given)


def loaded(script: str) -> ModuleType:
    """A script of benchmarks/, which finds those beside it as it does where it is run."""
    folder = str(Path(__file__).parents[2] / "benchmarks")
    if folder not in sys.path:
        sys.path.insert(0, folder)
    return importlib.import_module(script)
