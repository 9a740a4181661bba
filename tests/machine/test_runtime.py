"""`tune_runtime`: what it sets, that it is undone, and what it says; page faults counted in two threads."""

import json
import os
import platform
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
import torch

from separable.errors import UsageError
from separable.machine import allocator, runtime
from separable.machine.processor import Processor, read_processor
from separable.machine.runtime import tune_runtime

FAULTS = """
import resource, sys, threading
import separable
if sys.argv[1] == "tuned":
    settings = separable.tune_runtime()
import torch
counted = []
def work():
    torch.set_num_threads(1)  # a thread of Python's own would start helpers, whose faults are not counted here
    for _ in range(12):  # the heap finds its shape
        torch.ones(16 << 20)
    before = resource.getrusage(resource.RUSAGE_THREAD).ru_minflt
    for _ in range(8):
        torch.ones(16 << 20)  # 64 MiB, freed at once
    counted.append(resource.getrusage(resource.RUSAGE_THREAD).ru_minflt - before)
work()
second = threading.Thread(target=work)
second.start()
second.join()
print(*counted)
"""


def page_faults(*modes: str) -> list[int]:
    done = subprocess.run([sys.executable, "-c", FAULTS, *modes], capture_output=True, text=True, check=True)
    return [int(number) for number in done.stdout.split()]


@pytest.fixture(autouse=True)
def as_it_was() -> Iterator[None]:
    threads, benchmark = torch.get_num_threads(), torch.backends.cudnn.benchmark
    yield
    assert torch.get_num_threads() == threads, "a test has left the threads changed"
    assert torch.backends.cudnn.benchmark == benchmark


@pytest.mark.skipif(platform.libc_ver()[0] != "glibc", reason="only glibc can be told")
def test_no_page_faults_after_warm_up_in_two_threads() -> None:
    """Measured: 0 and 0 against 131,080 in either thread (256 on a kernel with huge pages)."""
    main, second = page_faults("as it is")
    tuned_main, tuned_second = page_faults("tuned")
    assert tuned_main < main / 8
    assert tuned_second < second / 8


def test_the_allocator_gets_its_documented_defaults_back(monkeypatch: pytest.MonkeyPatch) -> None:
    """mallopt(3): 128 KiB twice, no top pad, 65,536 mappings, as many arenas as there are by default."""
    calls: list[tuple[int, int]] = []
    library = SimpleNamespace(malloc_trim=lambda pad: calls.append((0, pad.value)))
    monkeypatch.setattr(allocator, "_glibc_version", lambda: "2.36")
    monkeypatch.setattr(allocator, "_mallopt", lambda: lambda option, value: calls.append((option, value)) or 1)
    monkeypatch.setattr(allocator.ctypes, "CDLL", lambda _: library)
    monkeypatch.setattr(allocator, "_kept", False)
    with tune_runtime(threads=torch.get_num_threads(), pin=False) as settings:
        assert calls == [(-3, 1 << 30), (-1, -1), (-2, 64 << 20), (-8, 1)]
        assert settings.settings[0].changed
        calls.clear()
    assert calls == [(-1, 128 << 10), (-2, 0), (-3, 128 << 10), (-4, 65536), (-8, 0), (0, 0)]


def test_threads_are_set_and_set_back(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("OMP_NUM_THREADS", raising=False)
    monkeypatch.setattr(runtime, "_one_per_core", lambda *_: {0})
    before = torch.get_num_threads()
    with tune_runtime(allocator=False, pin=False, cudnn=False) as settings:
        assert torch.get_num_threads() == 1
    assert torch.get_num_threads() == before
    settings.restore()
    assert settings.to_text().splitlines()[0] == (
        f"set   Threads: 1, one for each physical core that this process may use (there were {before})."
    )


def test_what_the_user_says_about_threads_counts(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("OMP_NUM_THREADS", "2")
    before = torch.get_num_threads()
    left = tune_runtime(allocator=False, pin=False, cudnn=False)
    assert left.to_text().startswith(f"left  Threads: left at {before}; OMP_NUM_THREADS says so.")
    with tune_runtime(threads=before + 1, allocator=False, pin=False, cudnn=False) as asked:
        assert torch.get_num_threads() == before + 1
    assert asked.settings[0].text == f"Threads: {before + 1}, as asked (there were {before})."


@pytest.mark.parametrize("threads", [0, -1, True, 1.5, "2", 10**6])
def test_bad_threads(threads: object) -> None:
    with pytest.raises(UsageError, match=r"`threads` cannot be used\. Got: .*\. Expected: None, or an integer"):
        tune_runtime(threads=threads)  # type: ignore[arg-type]


def test_one_hardware_thread_of_each_core(tmp_path: Path) -> None:
    """Two cores of two threads, numbered as Linux does on x86: siblings far apart; of a fifth nothing is known."""
    for number, siblings in enumerate(("0,2", "1,3", "0,2", "1,3")):
        (tmp_path / f"cpu{number}" / "topology").mkdir(parents=True)
        (tmp_path / f"cpu{number}" / "topology" / "thread_siblings_list").write_text(siblings + "\n")
    assert runtime._one_per_core({0, 1, 2, 3}, tmp_path) == {0, 1}
    assert runtime._one_per_core({3, 2}, tmp_path) == {2, 3}
    assert runtime._one_per_core({0, 2, 4}, tmp_path) == {0, 4}


PIN = """
import os, threading
from separable.machine import runtime
one = {min(os.sched_getaffinity(0))}
runtime._one_per_core = lambda *_: one
hold, started = threading.Event(), threading.Event()
seen = []
def work():
    started.set()
    hold.wait()
    seen.append(os.sched_getaffinity(0))
before = os.sched_getaffinity(0)
thread = threading.Thread(target=work)
thread.start()
started.wait()
settings = runtime.tune_runtime(allocator=False, cudnn=False)
assert os.sched_getaffinity(0) == one
assert os.sched_getaffinity(thread.native_id) == one, "threads that run already are pinned too"
late = []
def look():
    late.append(os.sched_getaffinity(0))
other = threading.Thread(target=look)
other.start()
other.join()
assert late == [one], "and those that start later"
settings.restore()
assert os.sched_getaffinity(thread.native_id) == before
hold.set()
thread.join()
assert seen == [before] and os.sched_getaffinity(0) == before
print(settings.settings[0].text)
"""


@pytest.mark.skipif(not hasattr(os, "sched_setaffinity"), reason="only Linux can be told")
def test_every_thread_is_pinned_and_set_free() -> None:
    if len(os.sched_getaffinity(0)) < 2:
        pytest.skip("one core: there is nothing to pin")
    done = subprocess.run([sys.executable, "-c", PIN], capture_output=True, text=True, check=True)
    assert done.stdout.startswith("Affinity: on one hardware thread of each of 1 physical cores (there were ")


FREE = """
import os, sys
from concurrent.futures import ThreadPoolExecutor
from multiprocessing import get_context
from separable.data import loader
from separable.machine import runtime
if __name__ == "__main__":
    everything = os.sched_getaffinity(0)
    runtime._one_per_core = lambda *_: {min(everything)}
    assert runtime.unpinned_cores() is None
    runtime.run_on(None)
    with runtime.tune_runtime(allocator=False, cudnn=False):
        helpers = (runtime.run_on, (runtime.unpinned_cores(),))
        with ThreadPoolExecutor(1, initializer=helpers[0], initargs=helpers[1]) as pool:
            assert pool.submit(os.sched_getaffinity, 0).result() == everything
        assert os.sched_getaffinity(0) == {min(everything)}
        for method in ("fork", "spawn"):
            with get_context(method).Pool(1, loader._start_worker, (runtime.unpinned_cores(), 0)) as workers:
                assert workers.apply(os.sched_getaffinity, (0,)) == everything, method
            assert os.sched_getaffinity(0) == {min(everything)}
    assert runtime.unpinned_cores() is None
    print("free")
"""


@pytest.mark.skipif(not hasattr(os, "sched_setaffinity"), reason="only Linux can be told")
def test_helpers_are_set_free(tmp_path: Path) -> None:
    """Threads and processes that decode, forked or spawned, while what computes stays where it is."""
    if len(os.sched_getaffinity(0)) < 2:
        pytest.skip("one core: there is nothing to pin")
    script = tmp_path / "free.py"
    script.write_text(FREE)
    done = subprocess.run([sys.executable, str(script)], capture_output=True, text=True, check=False)
    assert done.stdout == "free\n", done.stderr


def test_elsewhere_a_sentence_and_no_change(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(allocator, "_glibc_version", lambda: None)
    monkeypatch.setattr(platform, "libc_ver", lambda: ("", ""))
    monkeypatch.setattr(platform, "system", lambda: "Darwin")
    monkeypatch.setattr(runtime, "_TASKS", Path("/nowhere"))
    settings = tune_runtime(threads=torch.get_num_threads())
    assert [one.changed for one in settings.settings] == [False] * 4
    assert settings.to_text().splitlines()[:2] == [
        "left  Allocator: left as it is; only glibc can be told to keep freed memory, and this is Darwin.",
        "left  Affinity: left as it is; only Linux can be told.",
    ]


def test_cudnn_times_its_algorithms_unless_determinism_was_asked_for(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    monkeypatch.setattr(torch.cuda, "is_bf16_supported", lambda including_emulation: True)
    options = {"threads": torch.get_num_threads(), "allocator": False, "pin": False}
    with tune_runtime(**options) as settings:  # type: ignore[arg-type]
        assert torch.backends.cudnn.benchmark
        assert settings.bf16
        assert runtime.multiplies_bf16("cuda")
        assert runtime.multiplies_bf16("cpu") == any(name in runtime._BF16 for name in read_processor().features)
    assert not torch.backends.cudnn.benchmark
    monkeypatch.setattr(torch.backends.cudnn, "deterministic", True)
    assert tune_runtime(**options).settings[-1].text.endswith("deterministic results were asked for.")  # type: ignore[arg-type]
    assert not torch.backends.cudnn.benchmark


@pytest.mark.parametrize(
    ("number", "warned"), [(91002, True), (91100, True), (91501, False), (90800, False), (8902, False), (None, False)]
)
def test_known_bad_cudnn_is_warned_of(monkeypatch: pytest.MonkeyPatch, number: int | None, warned: bool) -> None:
    monkeypatch.setattr(torch.backends.cudnn, "is_available", lambda: number is not None)
    monkeypatch.setattr(torch.backends.cudnn, "version", lambda: number)
    settings = tune_runtime(threads=torch.get_num_threads(), allocator=False, pin=False, cudnn=False)
    assert ("cudnn" in [one.subject for one in settings.warnings]) == warned
    assert ("!!    cudnn: 9.10 to 9.14" in settings.to_text()) == warned


@pytest.mark.parametrize(
    ("features", "bf16"),
    [(("avx2", "avx512_bf16"), True), (("amx_bf16",), True), (("arm_bf16",), True), (("avx2",), False)],
)
def test_bf16_is_reported_and_not_forced(
    monkeypatch: pytest.MonkeyPatch, features: tuple[str, ...], bf16: bool
) -> None:
    found = read_processor()
    processor = Processor(**{**vars(found), "features": features})
    monkeypatch.setattr(runtime, "read_processor", lambda: processor)
    settings = tune_runtime(threads=torch.get_num_threads(), allocator=False, pin=False, cudnn=False)
    assert settings.bf16 == bf16
    assert ("torch.autocast(device, torch.bfloat16)" in settings.to_text()) == bf16
    assert not torch.is_autocast_enabled("cpu")
    assert any("channels_last" in sentence for sentence in settings.advice)
    assert json.loads(json.dumps(settings.to_json()))["bf16"] == bf16


def test_within_another_the_allocator_stays(monkeypatch: pytest.MonkeyPatch) -> None:
    given: list[int] = []
    monkeypatch.setattr(runtime, "give_freed_memory_back", lambda: given.append(1))
    monkeypatch.setattr(allocator, "_kept", False)
    options = {"threads": torch.get_num_threads(), "pin": False}
    with tune_runtime(**options) as outer:  # type: ignore[arg-type]
        with tune_runtime(**options):  # type: ignore[arg-type]
            pass
        assert not given
    assert bool(given) == outer.settings[0].changed


def test_what_an_earlier_call_set_can_be_told_as_set(monkeypatch: pytest.MonkeyPatch) -> None:
    """A run's record has to say what holds in its process, whoever of this package set it first."""
    monkeypatch.delenv("OMP_NUM_THREADS", raising=False)
    monkeypatch.setattr(allocator, "_kept", True)
    before = torch.get_num_threads()
    options: dict[str, Any] = {"threads": before + 1, "pin": False, "cudnn": False}
    with tune_runtime(**options, allocator=False), tune_runtime(**options) as again:
        assert [(one.name, one.changed) for one in again.settings] == [("allocator", False), ("threads", False)]
        told = {one.name: one for one in again.since_start().settings}
        assert (told["threads"].before, told["threads"].after) == (before, before + 1)
        assert told["allocator"].changed == (told["allocator"].after is not None)
    assert not runtime._originals
