"""Compiling the C++ kernels once per machine, torch and compiler, and loading the result.

It needs a C++ compiler and torch's own headers, nothing else. Where it cannot be built, plain torch is used and
`kernel_status()` says why. The library is kept in the cache under a name made of everything that decides its content.
"""

import hashlib
import os
import platform
import shutil
import subprocess
import sys
import tempfile
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from functools import cache
from pathlib import Path

import torch

from separable.download import cache_directory
from separable.machine.processor import read_processor
from separable.ops.cpu.fakes import register_fakes

__all__ = ["KernelStatus", "kernel_status", "kernels_in_use", "load_kernels"]

_FOLDER = Path(__file__).parent
_SOURCES = tuple(sorted(path.name for path in _FOLDER.glob("*.cpp")))
_HEADERS = tuple(sorted(path.name for path in _FOLDER.glob("*.h")))
_SECONDS = 600
_CAPABILITIES = {"AVX512": "AVX512", "AVX2": "AVX2"}  # torch's name -> the macro that its vector headers read


@dataclass(frozen=True)
class KernelStatus:
    """Whether the kernels can be used, and if not why."""

    available: bool
    reason: str
    """One sentence."""
    library: Path | None = None
    """Where it is, or would be once built; None where it cannot be built."""


_loaded: KernelStatus | None = None
_automatic = False


def load_kernels(*, automatic: bool = True) -> KernelStatus:
    """Build the kernels unless they are in the cache, and load them: a minute of one core the first time, then nothing.

    From then on `implementation="auto"` uses them, unless `automatic` is False: then they are there for those who name
    them, and nobody else's bits change. Never raises: a machine without a compiler gets the reason, and plain torch.
    """
    global _automatic, _loaded
    if _loaded is None:
        _loaded = _load()
    _automatic = _automatic or automatic
    return _loaded


def kernels_in_use() -> bool:
    """Whether `load_kernels` was called in this process for `implementation="auto"`, and succeeded."""
    return _automatic and _loaded is not None and _loaded.available


def kernel_status() -> KernelStatus:
    """What `load_kernels` would say, without compiling or loading anything."""
    if _loaded is not None:
        return _loaded
    compiler = _compiler()
    if compiler is None or sys.platform != "linux":
        return _load()
    try:
        library = _library(compiler)
    except OSError as error:
        return KernelStatus(False, _reason(error))
    if library.is_file():
        return KernelStatus(True, "built before, not loaded yet", library)
    return KernelStatus(False, "the CPU kernels have not been built on this machine yet", library)


def _load() -> KernelStatus:
    compiler = _compiler()
    if sys.platform != "linux":
        return KernelStatus(False, f"the CPU kernels are built on Linux only, and this is {platform.system()}")
    if compiler is None:
        return KernelStatus(False, "no C++ compiler was found (g++ or clang++ on the path, or $CXX)")
    try:
        library = _library(compiler)
        if not library.is_file():
            _build(compiler, library)
        torch.ops.load_library(library)
        register_fakes()
    except (OSError, subprocess.SubprocessError, RuntimeError) as error:
        return KernelStatus(False, _reason(error))
    return KernelStatus(True, f"built by {compiler} for this processor", library)


@cache
def _compiler() -> str | None:
    named = os.environ.get("CXX")
    return next((found for name in (named, "g++", "clang++", "c++") if name and (found := shutil.which(name))), None)


def _flags(compiler: str) -> tuple[str, ...]:
    """Everything of the command that decides the library's content but the sources."""
    capability = _CAPABILITIES.get(torch.backends.cpu.get_cpu_capability(), "DEFAULT")
    kind = ("-O3", "-std=c++20", "-march=native", "-fopenmp", "-fPIC", "-w")
    return (compiler, *kind, f"-DCPU_CAPABILITY={capability}", f"-DCPU_CAPABILITY_{capability}")


@cache
def _library(compiler: str) -> Path:
    """Where the library belongs: its name tells the source, torch, the compiler, its flags and the processor apart.

    Where package and torch are installed is no part of it: a run that moves along with them finds the same kernels.
    """
    version = subprocess.run([compiler, "--version"], capture_output=True, text=True, check=False).stdout  # noqa: S603 - the compiler the user chose
    processor = read_processor()
    code = b"".join((_FOLDER / name).read_bytes() for name in (*_HEADERS, *_SOURCES))
    told = (*_flags(compiler), version, torch.__version__, processor.model, *processor.features)
    digest = hashlib.sha256(code + "\n".join(told).encode()).hexdigest()
    return cache_directory() / "kernels" / f"cpu-{digest[:16]}.so"


def _build(compiler: str, library: Path) -> None:
    """Compile beside the library's place and rename, so that another process never loads half of it."""
    library.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=library.parent) as folder:
        place, torch_root = Path(folder), Path(torch.__file__).parent
        include, built = f"-I{torch_root / 'include'}", place / library.name

        def compile_one(name: str) -> str:
            made = str(place / f"{name}.o")
            _run(*_flags(compiler), include, "-c", str(_FOLDER / name), "-o", made)
            return made

        with ThreadPoolExecutor(read_processor().usable_cores) as pool:  # each waits for a compiler of its own
            objects = list(pool.map(compile_one, _SOURCES))
        libraries = (f"-L{torch_root / 'lib'}", "-ltorch_cpu", "-lc10")
        _run(*_flags(compiler), "-shared", *objects, *libraries, "-o", str(built))
        built.replace(library)


def _run(*command: str) -> None:
    subprocess.run(command, capture_output=True, text=True, timeout=_SECONDS, check=True)  # noqa: S603 - the compiler the user chose


def _reason(error: Exception) -> str:
    if isinstance(error, subprocess.CalledProcessError):
        lines = [line for line in error.stderr.splitlines() if "error" in line] or error.stderr.splitlines()
        return f"the C++ compiler could not build the CPU kernels: {(lines or ['no message'])[0][:300]}"
    return f"the CPU kernels could not be built or loaded: {error}"[:300]
