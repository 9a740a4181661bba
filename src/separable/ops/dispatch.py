"""Which implementation runs: chosen by an argument at call time, never by an import or an environment variable."""

from typing import Literal, get_args

import torch
from torch import Tensor

from separable.errors import UsageError
from separable.ops.cpu.build import kernels_in_use, load_kernels

__all__ = ["Implementation", "choose"]

Implementation = Literal["auto", "reference", "cpu", "triton"]
_AVAILABLE = ("auto", "reference", "cpu")
_TYPES = (torch.float32, torch.bfloat16, torch.float16)


def choose(implementation: str, x: Tensor, weight: Tensor) -> Literal["reference", "cpu"]:
    """The implementation that takes these tensors.

    "auto" is the kernels of `ops.cpu` where they are loaded and pay, which is in channels_last. It never loads them:
    that takes a compiler and half a minute, and changes the last bits of a result, so it is asked for by
    `ops.cpu.load_kernels()`. An exported or traced graph is plain torch, so that it runs without this package.

    Raises:
        UsageError: the name is unknown or not built yet, or "cpu" is asked for and cannot be.
    """
    if implementation not in _AVAILABLE:
        known = implementation in get_args(Implementation)
        raise UsageError(
            f"The {implementation!r} kernels are not part of this version" if known else "Unknown `implementation`",
            got=None if known else repr(implementation),
            expected=" or ".join(repr(name) for name in _AVAILABLE),
            fix='Use implementation="auto", which takes the fastest one there is',
        )
    if implementation == "cpu":
        _require_cpu(x, weight)
        return "cpu"
    pays = implementation == "auto" and kernels_in_use() and x.is_contiguous(memory_format=torch.channels_last)
    exporting = torch.compiler.is_exporting() or torch.jit.is_tracing()  # type: ignore[attr-defined]
    return "cpu" if pays and not exporting and _supports(x, weight) else "reference"


def _supports(x: Tensor, weight: Tensor) -> bool:
    """A tensor of the CPU, of a floating type up to 32 bits, and one filter per channel."""
    return x.device.type == "cpu" and x.dtype in _TYPES and weight.shape[0] == x.shape[1] and 0 not in x.shape


def _require_cpu(x: Tensor, weight: Tensor) -> None:
    if not _supports(x, weight):
        raise UsageError(
            "The CPU kernels cannot take this",
            got=f"{x.dtype} of shape {tuple(x.shape)} on {x.device.type}, {weight.shape[0]} filters",
            expected="float32, bfloat16 or float16 on the CPU, not empty, one filter per channel",
            fix='Use implementation="auto"',
        )
    status = load_kernels()
    if not status.available:
        raise UsageError(
            "The CPU kernels are not available", got=status.reason, fix='Use implementation="auto" or "reference"'
        )
