"""What the processor and the memory of this machine are, read from the operating system without torch."""

import ctypes
import os
import platform
import subprocess
from collections.abc import Callable
from dataclasses import asdict, dataclass
from pathlib import Path

__all__ = ["Processor", "read_processor"]

# Names a person uses -> what /proc/cpuinfo calls the flag (x86) or the feature (ARM).
_FEATURES = {
    "avx2": "avx2",
    "avx512": "avx512f",
    "avx512_bf16": "avx512_bf16",
    "avx512_fp16": "avx512_fp16",
    "avx512_vnni": "avx512_vnni",
    "avx_vnni": "avx_vnni",
    "amx_bf16": "amx_bf16",
    "amx_int8": "amx_int8",
    "neon": "asimd",
    "sve": "sve",
    "arm_bf16": "bf16",
    "arm_i8mm": "i8mm",
}
_UNKNOWN = "unknown"


@dataclass(frozen=True)
class Processor:
    """`usable_cores` is what affinity and container limits leave; memory in bytes, container limits applied."""

    model: str
    architecture: str
    physical_cores: int
    logical_cores: int
    usable_cores: int
    memory_bytes: int
    features: tuple[str, ...]

    def to_json(self) -> dict[str, object]:
        return {**asdict(self), "features": list(self.features)}


def read_processor(proc: Path = Path("/proc"), cgroup: Path = Path("/sys/fs/cgroup")) -> Processor:
    """Read Linux's files where they exist, and ask macOS's sysctl or Windows' API elsewhere; nothing here raises."""
    logical = os.cpu_count() or 1
    cpuinfo = _text(proc / "cpuinfo")
    if cpuinfo:
        model, physical, flags = _from_cpuinfo(cpuinfo)
        memory = _meminfo_total(_text(proc / "meminfo"))
    elif platform.system() == "Darwin":
        model, physical, flags = (
            _sysctl("machdep.cpu.brand_string"),
            _number(_sysctl("hw.physicalcpu")),
            _darwin_flags(),
        )
        memory = _number(_sysctl("hw.memsize"))
    else:
        model, physical, flags, memory = platform.processor(), 0, frozenset(), _windows_memory()
    limit = _number(_text(cgroup / "memory.max"))
    return Processor(
        model=model or _UNKNOWN,
        architecture=platform.machine() or _UNKNOWN,
        physical_cores=physical or logical,
        logical_cores=logical,
        usable_cores=_usable_cores(logical, _text(cgroup / "cpu.max")),
        memory_bytes=min(memory, limit) if limit and memory else memory,
        features=tuple(name for name, flag in _FEATURES.items() if flag in flags),
    )


def _from_cpuinfo(text: str) -> tuple[str, int, frozenset[str]]:
    """Model name, number of distinct (package, core) pairs, flags of the first processor; 0 cores when not said."""
    model, flags, cores, package = "", "", set(), "0"
    for line in text.splitlines():
        key, _, value = (part.strip() for part in line.partition(":"))
        if key in ("model name", "Model"):
            model = model or value
        elif key in ("flags", "Features"):
            flags = flags or value
        elif key == "physical id":
            package = value
        elif key == "core id":
            cores.add((package, value))
    return model, len(cores), frozenset(flags.split())


def _meminfo_total(text: str) -> int:
    for line in text.splitlines():
        if line.startswith("MemTotal:"):
            return int(line.split()[1]) * 1024
    return 0


def _usable_cores(logical: int, cpu_max: str) -> int:
    affinity: Callable[[int], set[int]] | None = getattr(os, "sched_getaffinity", None)
    allowed = len(affinity(0)) if affinity else logical
    quota, _, period = cpu_max.partition(" ")
    if quota.isdigit() and period.strip().isdigit():
        allowed = min(allowed, max(1, round(int(quota) / int(period))))
    return allowed


def _darwin_flags() -> frozenset[str]:
    if platform.machine() == "arm64":
        named = {"asimd": "AdvSIMD", "bf16": "FEAT_BF16", "i8mm": "FEAT_I8MM"}
        return frozenset(flag for flag, key in named.items() if _sysctl(f"hw.optional.arm.{key}") == "1")
    leaf = f"{_sysctl('machdep.cpu.features')} {_sysctl('machdep.cpu.leaf7_features')}"
    return frozenset(leaf.lower().split())


def _sysctl(key: str) -> str:
    try:
        done = subprocess.run(  # noqa: S603 - a fixed absolute program with keys written in this file
            ["/usr/sbin/sysctl", "-n", key], capture_output=True, text=True, timeout=5, check=False
        )
    except (OSError, subprocess.SubprocessError):
        return ""
    return done.stdout.strip()


def _windows_memory() -> int:
    class Status(ctypes.Structure):  # MEMORYSTATUSEX of the Windows API
        _fields_ = (
            ("length", ctypes.c_ulong),
            ("load", ctypes.c_ulong),
            *((f"n{i}", ctypes.c_ulonglong) for i in range(7)),
        )

    library = getattr(ctypes, "windll", None)
    if library is None:
        return 0
    status = Status(length=ctypes.sizeof(Status))
    filled = library.kernel32.GlobalMemoryStatusEx(ctypes.byref(status))
    return int(status.n0) if filled else 0


def _text(path: Path) -> str:
    try:
        return path.read_text(errors="replace").strip()
    except OSError:
        return ""


def _number(text: str) -> int:
    return int(text) if text.isdigit() else 0
