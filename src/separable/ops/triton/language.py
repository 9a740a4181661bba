"""Triton where it is installed, and a stand-in that lets the kernels' modules be imported where it is not."""

import importlib
import importlib.util
from collections.abc import Callable
from dataclasses import dataclass
from types import SimpleNamespace
from typing import Any

import torch

__all__ = ["TritonStatus", "is_interpreting", "jit", "tl", "triton_status", "triton_version"]


@dataclass(frozen=True)
class TritonStatus:
    """Whether Triton kernels can run in this process, and if not why."""

    available: bool
    reason: str
    """One sentence."""


def _import(name: str) -> Any:
    try:
        return importlib.import_module(name)
    except ImportError:
        return None


_triton = _import("triton") if importlib.util.find_spec("triton") else None
tl: Any = SimpleNamespace(constexpr=int) if _triton is None else importlib.import_module("triton.language")


def jit(kernel: Callable[..., None]) -> Any:
    """`triton.jit`, or the function as it is where Triton is not installed: it is never called then."""
    return kernel if _triton is None else _triton.jit(kernel)


def is_interpreting() -> bool:
    """Whether kernels run in Triton's interpreter, on the CPU: TRITON_INTERPRET=1 was set before the first import."""
    return _triton is not None and bool(_triton.knobs.runtime.interpret)


def triton_version() -> str:
    """As the package gives it, or "none"."""
    return "none" if _triton is None else str(_triton.__version__)


def triton_status() -> TritonStatus:
    """Whether there is Triton and something to run it on."""
    if _triton is None:
        return TritonStatus(False, "Triton is not installed (torch brings it along on Linux with CUDA)")
    if is_interpreting():
        return TritonStatus(True, f"Triton {triton_version()} interprets the kernels on the CPU, slowly")
    if not torch.cuda.is_available():
        return TritonStatus(False, f"Triton {triton_version()} is installed, but there is no CUDA device")
    return TritonStatus(True, f"Triton {triton_version()} on {torch.cuda.get_device_name()}")
