"""Which implementation runs: chosen by an argument at call time, never by an import or an environment variable."""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Literal, get_args

import torch
from torch import Tensor

from separable.errors import UsageError
from separable.ops.cpu.build import kernels_in_use, load_kernels

__all__ = ["Implementation", "choose", "plain_by_default"]

Implementation = Literal["auto", "reference", "cpu", "triton"]
_KERNELS: tuple[Literal["cpu", "triton"], ...] = ("cpu", "triton")
_TYPES = (torch.float32, torch.bfloat16, torch.float16)

_withheld = False


@contextmanager
def plain_by_default() -> Iterator[None]:
    """Inside, "auto" is plain torch, whatever this process has loaded: for results to be the same in another one."""
    global _withheld
    before, _withheld = _withheld, True
    try:
        yield
    finally:
        _withheld = before


def choose(implementation: str, x: Tensor, weight: Tensor) -> Literal["reference", "cpu", "triton"]:
    """The implementation that takes these tensors.

    "auto" is the kernels of `ops.cpu` where they are loaded and pay, which is in channels_last. It never loads them:
    that takes a compiler and about a minute, and changes the last bits of a result, so it is asked for by
    `ops.cpu.load_kernels()`. An exported or traced graph is plain torch, so that it runs without this package. On CUDA
    "auto" is plain torch until the kernels of `ops.triton` have been measured there; "triton" asks for them.

    Raises:
        UsageError: the name is unknown, or "cpu" or "triton" is asked for and cannot be.
    """
    if implementation not in get_args(Implementation):
        raise UsageError(
            "Unknown `implementation`",
            got=repr(implementation),
            expected=" or ".join(repr(name) for name in get_args(Implementation)),
            fix='Use implementation="auto", which takes the fastest one there is',
        )
    for asked in _KERNELS:
        if implementation == asked:
            _require(asked, x, weight)
            return asked
    allowed = implementation == "auto" and kernels_in_use() and not _withheld
    pays = allowed and x.is_contiguous(memory_format=torch.channels_last)
    exporting = torch.compiler.is_exporting() or torch.jit.is_tracing()  # type: ignore[attr-defined]
    return "cpu" if pays and not exporting and _supports(x, weight, "cpu") else "reference"


def _supports(x: Tensor, weight: Tensor, device: str) -> bool:
    """A tensor of `device`, of a floating type up to 32 bits, and one filter per channel."""
    return x.device.type == device and x.dtype in _TYPES and weight.shape[0] == x.shape[1] and 0 not in x.shape


def _require(kernels: Literal["cpu", "triton"], x: Tensor, weight: Tensor) -> None:
    """Raise UsageError unless there are these kernels and they take these tensors."""
    name, device = "CPU", "cpu"
    if kernels == "triton":
        from separable.ops.triton import is_interpreting, triton_status  # Triton takes a while to import

        name, device = "Triton", "cpu" if is_interpreting() else "cuda"
    if not _supports(x, weight, device):
        raise UsageError(
            f"The {name} kernels cannot take this",
            got=f"{x.dtype} of shape {tuple(x.shape)} on {x.device.type}, {weight.shape[0]} filters",
            expected=f"float32, bfloat16 or float16 on {device}, not empty, one filter per channel",
            fix='Use implementation="auto"',
        )
    status = triton_status() if kernels == "triton" else load_kernels(automatic=False)
    if not status.available:
        raise UsageError(
            f"The {name} kernels are not available", got=status.reason, fix='Use implementation="auto" or "reference"'
        )
