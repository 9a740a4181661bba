"""`separable.tune_runtime`: what costs users of torch most on this machine, set in one call, said, and undone.

Nothing here changes which function a network computes. Threads and cudnn's choice of algorithm decide about the last
bits of its results, as they always do.
"""

import os
import sys
from collections.abc import Callable, Iterable, Iterator
from contextlib import suppress
from dataclasses import asdict, dataclass, field, replace
from functools import partial
from importlib import metadata
from pathlib import Path
from types import TracebackType
from typing import Any

from separable.errors import UsageError
from separable.machine.allocator import give_freed_memory_back, keep_freed_memory, keeps_freed_memory
from separable.machine.known_bad import KnownBad, known_bad
from separable.machine.processor import read_processor

__all__ = ["Setting", "Settings", "multiplies_bf16", "run_on", "tune_runtime", "unpinned_cores"]

_BF16 = ("amx_bf16", "avx512_bf16", "arm_bf16")
_TOPOLOGY = Path("/sys/devices/system/cpu")
_TASKS = Path("/proc/self/task")

_MOST_THREADS = 1024
"""More than that is a slip: torch starts them all. A run may ask for more than there are here, to have its own bits."""
_RETURNS = "returns freed memory"

_unpinned: frozenset[int] | None = None
_originals: dict[str, int | bool | str | list[int] | None] = {}
"""By name, what a setting was before this process changed it first, as long as that holds."""


@dataclass(frozen=True)
class Setting:
    """One thing that was set, or, with `after` equal to `before`, left; `text` says why in a sentence."""

    name: str
    before: int | bool | str | list[int] | None
    after: int | bool | str | list[int] | None
    text: str

    @property
    def changed(self) -> bool:
        """Whether anything was set."""
        return self.before != self.after


@dataclass
class Settings:
    """What `tune_runtime` set and left. As a context manager it is undone at the end of the block.

    `bf16` is whether the processor or the GPU multiplies bfloat16 itself; `advice` is what only the program can do.
    """

    settings: tuple[Setting, ...]
    bf16: bool
    advice: tuple[str, ...]
    warnings: tuple[KnownBad, ...]
    _undo: list[Callable[[], object]] = field(default_factory=list, repr=False)

    def restore(self) -> None:
        """Set everything back, the last first. A second call does nothing."""
        while self._undo:
            self._undo.pop()()

    def __enter__(self) -> "Settings":
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.restore()

    def since_start(self) -> "Settings":
        """The same, where what an earlier call in this process set, and this one found, counts as set."""
        first = {"allocator": _RETURNS if keeps_freed_memory() else None} | _originals
        told = [replace(one, before=first.get(one.name) or one.before) for one in self.settings]
        return replace(self, settings=tuple(told))

    def to_json(self) -> dict[str, Any]:
        """Plain values."""
        return {
            "settings": [{**asdict(one), "changed": one.changed} for one in self.settings],
            "bf16": self.bf16,
            "advice": list(self.advice),
            "warnings": [asdict(one) for one in self.warnings],
        }

    def to_text(self) -> str:
        """A line for everything that was set, left, advised and warned of."""
        lines = [f"{'set ' if one.changed else 'left'}  {one.text}" for one in self.settings]
        lines += [f"do    {sentence}" for sentence in self.advice]
        return "\n".join([*lines, *(f"!!    {one.subject}: {one.what}. {one.fix}." for one in self.warnings)])


def tune_runtime(
    *, threads: int | None = None, allocator: bool = True, pin: bool = True, cudnn: bool = True
) -> Settings:
    """Set allocator, threads and cudnn for this machine. Call it first, before threads start and memory is taken.

    Before torch is imported is best: a thread that has a heap of its own by then keeps it.

    Args:
        threads: of torch; None is one for each physical core that this process may use, unless OMP_NUM_THREADS says.
        allocator: let glibc keep freed memory, in threads too (`machine.allocator`); worth up to twice the speed of
            training on a CPU. On musl and macOS nothing is done.
        pin: keep the process, and what it starts, on one hardware thread of each physical core (Linux). Helpers that
            do not compute get the others back by `run_on(unpinned_cores())`, as the data workers here do.
        cudnn: let cudnn time its algorithms, where there is a GPU and determinism was not asked for.

    Raises:
        UsageError: `threads` is no number above 0, or one that no machine has.
    """
    most = max(_MOST_THREADS, os.cpu_count() or 1)
    if threads is not None and (type(threads) is not int or not 1 <= threads <= most):
        expected = f"None, or an integer of at least 1 and at most {most}"
        raise UsageError("`threads` cannot be used", got=repr(threads), expected=expected)
    undo: list[Callable[[], object]] = []
    settings = [_allocator(undo)] if allocator else []  # before torch takes memory and starts threads
    cores = _one_per_core(_allowed(), _TOPOLOGY)
    if pin:
        settings.append(_affinity(cores, undo))
    settings.append(_threads(threads, len(cores), undo))
    if cudnn:
        settings.append(_cudnn(undo))
    for one in settings:
        if one.changed and one.name not in _originals:
            _originals[one.name] = one.before
            undo.append(partial(_originals.pop, one.name, None))
    bf16 = multiplies_bf16()
    return Settings(tuple(settings), bf16, tuple(_advice(bf16)), known_bad(_versions()), undo)


def unpinned_cores() -> frozenset[int] | None:
    """The hardware threads that this process had before `tune_runtime` pinned it; None where it did not."""
    return _unpinned


def run_on(cores: frozenset[int] | None) -> None:
    """Let the calling thread, or a process that has only this one yet, run on `cores`; None changes nothing.

    For helpers that read and decode, with `unpinned_cores()`: they inherit the pinning, and on a hardware thread that
    computes they would hold up every step, which waits for its slowest thread. The siblings that pinning leaves idle
    are free for them.
    """
    if cores is not None:
        with suppress(OSError):  # the container took some of them away since
            os.sched_setaffinity(0, cores)


def _allocator(undo: list[Callable[[], object]]) -> Setting:
    kept = keeps_freed_memory()
    report = keep_freed_memory(one_arena=True)
    after = ", ".join(report.settings) or None
    if report.changed and not kept:
        undo.append(give_freed_memory_back)
    before = after if kept or not report.changed else _RETURNS
    return Setting("allocator", before, after, report.to_text())


def _affinity(cores: set[int], undo: list[Callable[[], object]]) -> Setting:
    if not hasattr(os, "sched_setaffinity") or not _TASKS.is_dir():
        return Setting("affinity", None, None, "Affinity: left as it is; only Linux can be told.")
    allowed = _allowed()
    before, after = sorted(allowed), sorted(cores)
    if cores == allowed:
        text = f"Affinity: left as it is; the process already has {len(cores)} cores, one hardware thread each."
        return Setting("affinity", before, before, text)
    kept = _pin_all(lambda _: cores)
    undo.append(lambda: _unpin_all(kept, allowed))
    global _unpinned
    _unpinned = frozenset(allowed)
    text = f"Affinity: on one hardware thread of each of {len(cores)} physical cores (there were {len(allowed)})."
    return Setting("affinity", before, after, text)


def _pin_all(cores_of: Callable[[int], set[int]]) -> dict[int, set[int]]:
    """Pin every thread of this process; where each was before. A thread inherits from the one that starts it."""
    before = {}
    for task in [int(entry.name) for entry in _TASKS.iterdir()]:
        try:
            before[task] = os.sched_getaffinity(task)
            os.sched_setaffinity(task, cores_of(task))
        except OSError:  # it has ended in between, or the container forbids it
            continue
    return before


def _unpin_all(kept: dict[int, set[int]], allowed: set[int]) -> None:
    global _unpinned
    _pin_all(lambda task: kept.get(task, allowed))
    _unpinned = None


def _threads(asked: int | None, cores: int, undo: list[Callable[[], object]]) -> Setting:
    import torch

    before = torch.get_num_threads()
    if asked is None and "OMP_NUM_THREADS" in os.environ:
        return Setting("threads", before, before, f"Threads: left at {before}; OMP_NUM_THREADS says so.")
    after = asked or max(1, min(cores, read_processor().usable_cores))
    why = "as asked" if asked else "one for each physical core that this process may use"
    if after == before:
        return Setting("threads", before, after, f"Threads: left at {before}, {why}.")
    torch.set_num_threads(after)
    undo.append(lambda: torch.set_num_threads(before))
    return Setting("threads", before, after, f"Threads: {after}, {why} (there were {before}).")


def _cudnn(undo: list[Callable[[], object]]) -> Setting:
    import torch

    backend, name = torch.backends.cudnn, "cudnn.benchmark"
    before: bool = backend.benchmark
    if not torch.cuda.is_available():
        return Setting(name, before, before, "cudnn: left as it is; no GPU.")
    if torch.are_deterministic_algorithms_enabled() or backend.deterministic:
        return Setting(name, before, before, "cudnn: left as it is; deterministic results were asked for.")
    if before:
        return Setting(name, before, before, "cudnn: times its algorithms already.")
    backend.benchmark = True
    undo.append(lambda: setattr(backend, "benchmark", before))
    return Setting(name, before, True, "cudnn: times its algorithms for each shape once.")


def multiplies_bf16(device: str | None = None) -> bool:
    """Whether `device` multiplies bfloat16 itself; None is the GPU where there is one, else the processor."""
    import torch

    if device != "cpu" and torch.cuda.is_available():
        return bool(torch.cuda.is_bf16_supported(including_emulation=False))
    return any(name in _BF16 for name in read_processor().features)


def _advice(bf16: bool) -> Iterator[str]:
    yield "Layout: model.to(memory_format=torch.channels_last), and pictures too; the default is 2 to 4 times slower."
    if bf16:
        yield "Precision: the hardware multiplies bfloat16; torch.autocast(device, torch.bfloat16) makes use of it."
    else:
        yield "Precision: nothing here multiplies bfloat16 itself, so float32 is the faster one."


def _versions() -> dict[str, str]:
    import torch

    found = {"python": ".".join(map(str, sys.version_info[:3]))}
    for name in ("torch", "torchvision", "numpy", "pillow"):
        try:
            found[name] = metadata.version(name)
        except metadata.PackageNotFoundError:
            continue
    number = torch.backends.cudnn.version() if torch.backends.cudnn.is_available() else None
    return found if number is None else found | {"cudnn": _cudnn_version(number)}


def _cudnn_version(number: int) -> str:
    """91002 -> 9.10.2, and as it was before 9, 8902 -> 8.9.2."""
    unit = 10_000 if number >= 90_000 else 1000
    return f"{number // unit}.{number % unit // 100}.{number % 100}"


def _allowed() -> set[int]:
    affinity: Callable[[int], set[int]] | None = getattr(os, "sched_getaffinity", None)
    return affinity(0) if affinity else set(range(read_processor().physical_cores))


def _one_per_core(allowed: Iterable[int], topology: Path) -> set[int]:
    """The first of the `allowed` hardware threads of each core; a core that Linux says nothing of counts as one."""
    first: dict[str, int] = {}
    for number in sorted(allowed):
        try:
            core = (topology / f"cpu{number}" / "topology" / "thread_siblings_list").read_text().strip()
        except OSError:
            core = str(number)
        first.setdefault(core, number)
    return set(first.values())
