"""Tell glibc to keep freed memory, which is worth up to twice the speed of training on a CPU.

A step allocates and frees activations of tens of megabytes. glibc gets each from the kernel and gives it back, and
every page is then faulted in and zeroed again. Nothing here changes a result.
"""

import ctypes
import platform
from collections.abc import Callable
from dataclasses import asdict, dataclass
from typing import Any

__all__ = [
    "AllocatorReport",
    "give_freed_memory_back",
    "keep_freed_memory",
    "keeps_freed_memory",
    "release_freed_memory",
]

# malloc.h
_M_TRIM_THRESHOLD, _M_TOP_PAD, _M_MMAP_THRESHOLD, _M_MMAP_MAX, _M_ARENA_MAX = -1, -2, -3, -4, -8
_DEFAULTS = {
    _M_TRIM_THRESHOLD: 128 << 10,
    _M_TOP_PAD: 0,
    _M_MMAP_THRESHOLD: 128 << 10,
    _M_MMAP_MAX: 65536,
    _M_ARENA_MAX: 0,
}
"""What mallopt(3) documents. It has no way to ask for what was set before."""
_NEVER_MAPPED = 1 << 30
_TOP_PAD = 64 << 20

_kept = False


@dataclass(frozen=True)
class AllocatorReport:
    """What was set: `changed` False on another C library than glibc; `settings` is what glibc accepted."""

    changed: bool
    library: str
    settings: tuple[str, ...]

    def to_json(self) -> dict[str, Any]:
        """Plain values."""
        return asdict(self) | {"settings": list(self.settings)}

    def to_text(self) -> str:
        """One sentence."""
        if self.changed:
            return f"Allocator: {self.library} told to keep freed memory ({', '.join(self.settings)})."
        return f"Allocator: left as it is; only glibc can be told to keep freed memory, and this is {self.library}."


def keep_freed_memory(*, one_arena: bool = False) -> AllocatorReport:
    """Set glibc's malloc to serve big blocks from its own heap and never to trim it. Elsewhere nothing is done.

    To be called before the first big allocation and before threads start: only the main heap can grow without bound.
    With `one_arena` threads that start afterwards allocate from it too; a thread's own heap ends at 64 MiB, so that it
    maps and unmaps every activation.
    """
    version = _glibc_version()
    if version is None:
        return AllocatorReport(False, platform.libc_ver()[0] or platform.system(), ())
    global _kept
    mallopt = _mallopt()
    settings = []
    if mallopt(_M_MMAP_THRESHOLD, _NEVER_MAPPED):
        settings.append(f"mmap threshold {_NEVER_MAPPED}")
    elif mallopt(_M_MMAP_MAX, 0):  # a glibc that caps the threshold at 32 MiB
        settings.append("mmap off")
    if mallopt(_M_TRIM_THRESHOLD, -1):
        settings.append("trim off")
    if mallopt(_M_TOP_PAD, _TOP_PAD):
        settings.append(f"top pad {_TOP_PAD}")
    if one_arena and mallopt(_M_ARENA_MAX, 1):
        settings.append("one arena")
    _kept = bool(settings)
    return AllocatorReport(bool(settings), f"glibc {version}", tuple(settings))


def keeps_freed_memory() -> bool:
    """Whether this process was told to, and not told otherwise since. What the environment says is not seen."""
    return _kept


def give_freed_memory_back() -> bool:
    """Put glibc's documented defaults back and return what is free to the kernel. True where there was anything to do.

    Its thresholds no longer adapt by themselves then: that cannot be switched on again.
    """
    global _kept
    if _glibc_version() is None:
        return False
    mallopt, _kept = _mallopt(), False
    for option, value in _DEFAULTS.items():
        mallopt(option, value)
    return release_freed_memory()


def release_freed_memory() -> bool:
    """Return to the kernel what is free at this moment, and go on keeping what is freed. False where nothing was done.

    For after a peak that does not come again, such as kernels being timed against plain torch.
    """
    if _glibc_version() is None:
        return False
    ctypes.CDLL(None).malloc_trim(ctypes.c_size_t(0))
    return True


def _mallopt() -> Callable[[int, int], int]:
    mallopt = ctypes.CDLL(None).mallopt
    mallopt.argtypes, mallopt.restype = (ctypes.c_int, ctypes.c_int), ctypes.c_int
    return mallopt


def _glibc_version() -> str | None:
    """The C library this process runs on, asked of itself: a Python built elsewhere may name another one."""
    try:
        version = ctypes.CDLL(None).gnu_get_libc_version
    except (OSError, TypeError, AttributeError):  # Windows takes no None; musl and macOS have no such function
        return None
    version.restype = ctypes.c_char_p
    return str(version().decode())
