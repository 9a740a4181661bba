import platform
import subprocess
import sys
from types import SimpleNamespace

import pytest

from separable.machine import allocator
from separable.machine.allocator import keep_freed_memory

FAULTS = """
import resource, sys
import torch
from separable.machine.allocator import keep_freed_memory
if sys.argv[1] == "kept":
    assert keep_freed_memory().changed
torch.set_num_threads(1)
for _ in range(12):  # the heap finds its shape
    torch.ones(16 << 20)
before = resource.getrusage(resource.RUSAGE_SELF).ru_minflt
for _ in range(8):
    torch.ones(16 << 20)  # 64 MiB, freed at once
print(resource.getrusage(resource.RUSAGE_SELF).ru_minflt - before)
"""


def page_faults(mode: str) -> int:
    done = subprocess.run([sys.executable, "-c", FAULTS, mode], capture_output=True, text=True, check=True)
    return int(done.stdout)


@pytest.mark.skipif(platform.libc_ver()[0] != "glibc", reason="only glibc can be told")
def test_freed_memory_is_not_faulted_in_again() -> None:
    """Measured: none against 131,080, or 256 on a kernel with huge pages."""
    assert page_faults("kept") < page_faults("given back") / 8


PEAK = """
from pathlib import Path
import torch
from separable.machine.allocator import keep_freed_memory, keeps_freed_memory, release_freed_memory
def held():
    return int(Path("/proc/self/statm").read_text().split()[1]) * 4096
keep_freed_memory(one_arena=True)
for _ in range(2):
    blocks = [torch.ones(16 << 20) for _ in range(4)]  # 256 MiB
    last = torch.ones(1 << 10)  # what is freed is not the end of the heap
    del blocks
kept = held()
assert release_freed_memory() and keeps_freed_memory()
print(kept - held())
"""


@pytest.mark.skipif(platform.libc_ver()[0] != "glibc", reason="only glibc can be told")
def test_a_peak_that_does_not_come_again_can_be_released() -> None:
    done = subprocess.run([sys.executable, "-c", PEAK], capture_output=True, text=True, check=True)
    assert int(done.stdout) > 200 << 20


def test_what_was_set_is_said() -> None:
    report = keep_freed_memory()
    if platform.libc_ver()[0] == "glibc":
        assert report.changed
        assert "told to keep freed memory (mmap" in report.to_text()
    assert report.to_json()["settings"] == list(report.settings)


def test_elsewhere_nothing_is_done_and_it_says_so(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(allocator, "_glibc_version", lambda: None)
    monkeypatch.setattr(platform, "libc_ver", lambda: ("", ""))
    monkeypatch.setattr(platform, "system", lambda: "Darwin")
    report = keep_freed_memory()
    assert not report.changed
    assert report.to_text() == (
        "Allocator: left as it is; only glibc can be told to keep freed memory, and this is Darwin."
    )


def test_a_glibc_that_caps_the_threshold_gets_no_mapping_at_all(monkeypatch: pytest.MonkeyPatch) -> None:
    """An older glibc refuses a threshold above 32 MiB; M_MMAP_MAX = 0 has the same effect there."""
    calls = []

    class Mallopt:
        def __call__(self, option: int, value: int) -> int:
            calls.append((option, value))
            return int(option != -3)

    library = SimpleNamespace(mallopt=Mallopt())
    monkeypatch.setattr(allocator, "_glibc_version", lambda: "2.31")
    monkeypatch.setattr(allocator.ctypes, "CDLL", lambda _: library)
    report = keep_freed_memory()
    assert calls == [(-3, 1 << 30), (-4, 0), (-1, -1), (-2, 64 << 20)]
    assert report.settings[0] == "mmap off"
