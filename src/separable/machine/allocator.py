"""Tell glibc to keep freed memory, which is worth up to twice the speed of training on a CPU.

A step allocates and frees activations of tens of megabytes. glibc gets each from the kernel and gives it back, and
every page is then faulted in and zeroed again. Nothing here changes a result.
"""

import ctypes
import platform
from dataclasses import asdict, dataclass
from typing import Any

__all__ = ["AllocatorReport", "keep_freed_memory"]

# malloc.h
_M_TRIM_THRESHOLD, _M_TOP_PAD, _M_MMAP_THRESHOLD, _M_MMAP_MAX = -1, -2, -3, -4
_NEVER_MAPPED = 1 << 30
_TOP_PAD = 64 << 20


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


def keep_freed_memory() -> AllocatorReport:
    """Set glibc's malloc to serve big blocks from its own heap and never to trim it. Elsewhere nothing is done.

    To be called before the first big allocation and before threads start: only the main heap can grow without bound.
    """
    version = _glibc_version()
    if version is None:
        return AllocatorReport(False, platform.libc_ver()[0] or platform.system(), ())
    mallopt = ctypes.CDLL(None).mallopt
    mallopt.argtypes, mallopt.restype = (ctypes.c_int, ctypes.c_int), ctypes.c_int
    settings = []
    if mallopt(_M_MMAP_THRESHOLD, _NEVER_MAPPED):
        settings.append(f"mmap threshold {_NEVER_MAPPED}")
    elif mallopt(_M_MMAP_MAX, 0):  # a glibc that caps the threshold at 32 MiB
        settings.append("mmap off")
    if mallopt(_M_TRIM_THRESHOLD, -1):
        settings.append("trim off")
    if mallopt(_M_TOP_PAD, _TOP_PAD):
        settings.append(f"top pad {_TOP_PAD}")
    return AllocatorReport(bool(settings), f"glibc {version}", tuple(settings))


def _glibc_version() -> str | None:
    """The C library this process runs on, asked of itself: a Python built elsewhere may name another one."""
    try:
        version = ctypes.CDLL(None).gnu_get_libc_version
    except (OSError, TypeError, AttributeError):  # Windows takes no None; musl and macOS have no such function
        return None
    version.restype = ctypes.c_char_p
    return str(version().decode())
