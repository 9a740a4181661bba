"""A contest between peers over a training step or an inference of networks, each in a process of its own."""

import tempfile
from collections import Counter
from collections.abc import Sequence
from dataclasses import replace
from functools import partial
from pathlib import Path

from separable.benchmarking.contest import Contestant, Given, Runner, Task
from separable.benchmarking.outcome import ContestResult, Entry, Work
from separable.benchmarking.referee import Referee, give, give_weights, work_of
from separable.benchmarking.remote import RemoteRunner
from separable.benchmarking.run import Listener, Rules, Seat, contained, run_contest
from separable.benchmarking.worker import called

__all__ = ["bench_networks", "has_room", "named_apart"]

_SPARE = 1.3
"""Times what the largest contestant took so far has to be free before another is opened."""
_UNKNOWN = 2 << 30
"""Bytes that a contestant is taken to need before one has been seen."""
_PAUSE = 0.05
_COMPILED = 2
"""Steps that warm a compiled network up: its first one may still compile."""


def bench_networks(
    task: Task,
    contestants: Sequence[Contestant],
    *,
    baseline: str,
    rules: Rules | None = None,
    listener: Listener | None = None,
) -> ContestResult:
    """Everybody on the same pictures from the same weights, by turns; see `run_contest`.

    Args:
        contestants: with names of their own, see `named_apart`.
        baseline: the name of one.
    """
    rules = replace(rules or Rules(), room=has_room, pause=_PAUSE)
    with tempfile.TemporaryDirectory(prefix="separable-bench-") as folder:
        given = give(task, Path(folder))
        referee = Referee(task, given)
        seats = [
            Seat(
                _entry(contestant, task),
                open=partial(_open, contestant, task, given),
                judge=partial(referee.judge, contestant),
                warmups=_COMPILED if contestant.options.get("compiled") else 0,
            )
            for contestant in contestants
        ]
        return run_contest(_title(task, contestants), seats, baseline=baseline, rules=rules, listener=listener)


def named_apart(contestants: Sequence[Contestant]) -> list[Contestant]:
    """The same with the network, and where that is not enough the precision, added to names that several have."""
    named = list(contestants)
    for more in ("network", "precision"):
        seen = Counter(one.name for one in named)
        named = [replace(one, name=f"{one.name}, {getattr(one, more)}") if seen[one.name] > 1 else one for one in named]
    return named


def has_room(needed: int, meminfo: Path = Path("/proc/meminfo"), cgroup: Path = Path("/sys/fs/cgroup")) -> bool:
    """Whether a contestant of that many bytes fits beside those who wait; True where the system does not say."""
    free = [_available(meminfo), _left(cgroup)]
    known = [value for value in free if value is not None]
    return not known or min(known) > _SPARE * (needed or _UNKNOWN)


def _available(meminfo: Path) -> int | None:
    try:
        lines = meminfo.read_text(encoding="ascii").splitlines()
    except OSError:
        return None
    found = [line.split()[1] for line in lines if line.startswith("MemAvailable:")]
    return int(found[0]) * 1024 if found else None


def _left(cgroup: Path) -> int | None:
    """Of a container's limit."""
    try:
        limit, used = ((cgroup / name).read_text(encoding="ascii").strip() for name in ("memory.max", "memory.current"))
    except OSError:
        return None
    return int(limit) - int(used) if limit.isdecimal() and used.isdecimal() else None


def _open(contestant: Contestant, task: Task, given: Given) -> Runner:
    with contained():
        give_weights(task, given, contestant.network, contestant.numerics)
        if contestant.prepare:
            called(contestant.prepare)(contestant, task, given)
    return RemoteRunner(contestant, task, given)


def _entry(one: Contestant, task: Task) -> Entry:
    """With nothing measured yet."""
    try:
        work = work_of(one.network, task, one.numerics)
    except Exception:  # said when it is opened
        work = Work(pictures=task.batch)
    return Entry(one.name, one.peer, one.network, one.precision, one.settings, work)


def _title(task: Task, contestants: Sequence[Contestant]) -> str:
    """With the network and the precision where all have the same: "Inference of xception in bf16, batch 16, ..."."""
    what = "Training step" if task.verb == "train" else "Inference"
    networks, precisions = ({getattr(one, name) for one in contestants} for name in ("network", "precision"))
    of = f" of {networks.pop()}" if len(networks) == 1 else ""
    precision = f" in {precisions.pop()}" if len(precisions) == 1 else ""
    where = "" if task.device == "cpu" else f", {task.device}"
    return f"{what}{of}{precision}, batch {task.batch}, {task.side}x{task.side}{where}"
