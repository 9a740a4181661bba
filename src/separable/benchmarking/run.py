"""Running a contest: the gate, warming up, then rounds in which everybody takes one step, each time another first."""

import math
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from typing import Any, Protocol, final

from separable.benchmarking.contest import Answer, Runner
from separable.benchmarking.gate import Verdict
from separable.benchmarking.outcome import ContestResult, Entry
from separable.errors import SeparableError

__all__ = ["ContestantError", "Listener", "Rules", "Seat", "Silent", "contained", "run_contest"]


class ContestantError(Exception):
    """A contestant crashed, hung or said that it cannot; `killed` where the system ended it, as it does without memory.

    Nothing that a user of the harness did wrong: it ends up in the table, and the others go on.
    """

    def __init__(self, reason: str, killed: bool = False) -> None:
        super().__init__(reason)
        self.killed = killed


@contextmanager
def contained() -> Iterator[None]:
    """Whatever fails within is a `ContestantError` of one line: an entry of the table, and the others go on."""
    try:
        yield
    except Exception as error:
        said = str(error) if isinstance(error, SeparableError) else f"{type(error).__name__}: {error}"
        raise ContestantError(said.splitlines()[0][:300]) from error


@dataclass(frozen=True)
class Seat:
    """A contestant as the contest sees it: what the table says of it, how to open it, and how to judge its answer.

    Attributes:
        entry: with nothing measured yet.
        warmups: steps before the clock counts, where it needs more of them than the rules say.
    """

    entry: Entry
    open: Callable[[], Runner]
    judge: Callable[[Answer], Verdict]
    warmups: int = 0

    @property
    def name(self) -> str:
        """One of a kind in a contest."""
        return self.entry.name


@dataclass(frozen=True)
class Rules:
    """How long a contest goes on.

    Attributes:
        rounds: at most.
        least: rounds that are made whatever they take, if there are as many.
        seconds: after which no further round begins; counted from the first round of a heat.
        warmups: steps before the clock counts.
        pause: seconds between two turns: thread pools spin for a while before they sleep.
        room: whether one more contestant of the given size in bytes fits into memory beside those who wait.
        clock: seconds.
    """

    rounds: int = 7
    least: int = 3
    seconds: float = math.inf
    warmups: int = 1
    pause: float = 0.0
    room: Callable[[int], bool] = lambda _: True
    clock: Callable[[], float] = time.monotonic


class Listener(Protocol):
    """Is told what happens."""

    def opening(self, name: str) -> None:
        """A contestant is started."""

    def judged(self, name: str, verdict: Verdict) -> None:
        """The gate has looked at it."""

    def failed(self, name: str, reason: str) -> None:
        """It takes no further part."""

    def step(self, name: str, done: int, rounds: int, seconds: float) -> None:
        """Of round `done`, the first being 1, one step."""


@final
class Silent:
    """Says nothing."""

    def opening(self, name: str) -> None:
        """Nothing."""

    def judged(self, name: str, verdict: Verdict) -> None:
        """Nothing."""

    def failed(self, name: str, reason: str) -> None:
        """Nothing."""

    def step(self, name: str, done: int, rounds: int, seconds: float) -> None:
        """Nothing."""


@dataclass
class _Entrant:
    """A seat while the contest goes on, and what has been found of it so far."""

    seat: Seat
    entry: Entry
    runner: Runner | None = None
    retried: bool = False

    def note(self, **found: Any) -> None:
        """Fields of the entry."""
        self.entry = replace(self.entry, **found)


def run_contest(
    title: str, seats: Sequence[Seat], *, baseline: str, rules: Rules | None = None, listener: Listener | None = None
) -> ContestResult:
    """Everybody who passes the gate, a step each in turns, another one first in each round: A B C, B C A, C A B.

    Who does not fit into memory beside the others waits for the next heat; the baseline takes part in every one, so
    that every ratio is of steps taken side by side. Ctrl-C ends the contest and keeps what was measured.

    Args:
        baseline: the name of the seat that ratios are against.
    """
    contest = _Contest([_Entrant(seat, seat.entry) for seat in seats], baseline, rules or Rules(), listener or Silent())
    interrupted = False
    try:
        contest.run()
    except KeyboardInterrupt:
        interrupted = True
    finally:
        contest.close()
    return ContestResult(title, baseline, tuple(one.entry for one in contest.entrants), interrupted)


class _Contest:
    def __init__(self, entrants: list[_Entrant], baseline: str, rules: Rules, listener: Listener) -> None:
        self.entrants, self.baseline, self.rules, self.listener = entrants, baseline, rules, listener
        self.round = 0

    def run(self) -> None:
        waiting = list(self.entrants)
        while waiting:
            heat = self._fill(waiting)
            if len(heat) > 1 or not waiting:
                self._race(heat)
            for entrant in heat:
                if entrant.seat.name != self.baseline or not waiting:
                    self._note_memory(entrant)
                    self._dismiss(entrant)

    def close(self) -> None:
        for entrant in self.entrants:
            self._dismiss(entrant)

    def _fill(self, waiting: list[_Entrant]) -> list[_Entrant]:
        """Open those who fit, the baseline first; whoever is taken leaves `waiting`."""
        heat = [one for one in self.entrants if one.runner is not None]
        waiting.sort(key=lambda one: one.seat.name != self.baseline)
        opened = 0
        while waiting:
            largest = max((one.entry.memory or 0 for one in self.entrants), default=0)
            if opened and not self.rules.room(largest):
                break
            entrant = waiting.pop(0)
            if self._open(entrant):
                heat.append(entrant)
                opened += 1
            elif not entrant.entry.failure:  # the system killed it for want of memory: it gets the next heat
                waiting.append(entrant)
                break
        order = {id(one): number for number, one in enumerate(self.entrants)}
        return sorted(heat, key=lambda one: order[id(one)])

    def _open(self, entrant: _Entrant) -> bool:
        """Start it, ask it, warm it up; False, with the reason noted, if it is not to be timed."""
        seat, begun = entrant.seat, self.rules.clock()
        self.listener.opening(seat.name)
        try:
            entrant.runner = seat.open()
            verdict = seat.judge(entrant.runner.answer())
            entrant.note(verdict=verdict)
            entrant.note(description=entrant.runner.describe())
            entrant.runner.peak_memory()  # of compiling and the gate: thrown away
            self.listener.judged(seat.name, verdict)
            if not verdict.passed:
                self._fail(entrant, f"wrong answer: {verdict.reason}")
                return False
            for _ in range(max(self.rules.warmups, seat.warmups)):
                entrant.runner.step()
            entrant.note(memory=entrant.runner.peak_memory())
        except ContestantError as error:
            alone = not any(one.runner is not None for one in self.entrants if one is not entrant)
            if error.killed and not alone and not entrant.retried:
                entrant.retried = True
                self._dismiss(entrant)
            else:
                self._fail(entrant, str(error))
            return False
        entrant.note(opening=self.rules.clock() - begun)
        return True

    def _race(self, heat: Sequence[_Entrant]) -> None:
        begun, first = self.rules.clock(), self.round
        while self.round - first < self.rules.rounds and any(one.runner is not None for one in heat):
            over = self.rules.clock() - begun > self.rules.seconds
            if over and self.round - first >= self.rules.least:
                break
            done = self.round - first
            for turn in range(len(heat)):
                self._step(heat[(done + turn) % len(heat)], done + 1)
            self.round += 1

    def _step(self, entrant: _Entrant, number: int) -> None:
        if entrant.runner is None:
            return
        if self.rules.pause:
            time.sleep(self.rules.pause)
        try:
            seconds = entrant.runner.step()
        except ContestantError as error:
            self._fail(entrant, str(error))
            return
        entrant.note(seconds={**entrant.entry.seconds, self.round: seconds})
        self.listener.step(entrant.seat.name, number, self.rules.rounds, seconds)

    def _note_memory(self, entrant: _Entrant) -> None:
        if entrant.runner is None:
            return
        try:
            peak = entrant.runner.peak_memory()
        except ContestantError as error:
            self._fail(entrant, str(error))
            return
        entrant.note(memory=max(filter(None, (peak, entrant.entry.memory)), default=None))

    def _fail(self, entrant: _Entrant, reason: str) -> None:
        entrant.note(failure=reason)
        self._dismiss(entrant)
        self.listener.failed(entrant.seat.name, reason)

    def _dismiss(self, entrant: _Entrant) -> None:
        if entrant.runner is not None:
            runner, entrant.runner = entrant.runner, None
            runner.close()
