"""What this machine can do at most, measured: the rate of multiply-adds and the bandwidth of a copy."""

import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import torch

from separable.errors import UsageError
from separable.machine.processor import Processor, read_processor

__all__ = ["PRECISIONS", "Ceilings", "has_fast_bf16", "limited_threads", "measure_ceilings"]

PRECISIONS = {"fp32": torch.float32, "bf16": torch.bfloat16}
"""The names that the command line and every file use."""

_BF16_FEATURES = ("avx512_bf16", "amx_bf16", "arm_bf16")
_MIB = 1 << 20
_LEAST_COPY = 128 * _MIB
"""Bytes read and as many written: beyond the caches of every desktop; servers say how large theirs are."""
_SIDES = (512, 1024, 2048, 4096, 8192)
"""Of the square matrices; the last that takes no longer than `_ONE_PRODUCT` is the one whose rate counts."""
_ONE_PRODUCT = 0.08
_ENOUGH = 0.12
"""Seconds after which a figure has been repeated often enough."""


@dataclass(frozen=True)
class Ceilings:
    """Rates that no layer of a network can be expected to exceed.

    `gemm_flops` has the floating-point operations a second of a large matrix product, or of a dense convolution where
    that is faster, by precision; a precision that the
    machine would only emulate is left out. `copies` has (bytes read and written, bytes a second) by rising size: the
    last one is far larger than the caches, so that it measures memory.
    """

    device: str
    processor: str
    threads: int
    gemm_flops: dict[str, float]
    copies: tuple[tuple[int, float], ...]
    versions: dict[str, str]

    @property
    def copy_bytes_per_second(self) -> float:
        """Bytes read and written in a second by a copy in main memory."""
        return self.copies[-1][1]

    def copy_rate(self, size: int) -> float:
        """The most bytes a second that moving `size` bytes can be hoped to reach: smaller ones stay in a cache."""
        return max((rate for moved, rate in self.copies if moved >= size), default=self.copy_bytes_per_second)

    def higher(self, other: "Ceilings") -> "Ceilings":
        """Of two measurements of one machine the higher figures: what disturbs can only lower them."""
        copies = zip(self.copies, other.copies, strict=True)
        return replace(
            self,
            gemm_flops={name: max(rate, other.gemm_flops[name]) for name, rate in self.gemm_flops.items()},
            copies=tuple((size, max(rate, again)) for (size, rate), (_, again) in copies),
        )

    def to_json(self) -> dict[str, Any]:
        """Plain dicts, lists and numbers."""
        return {
            "device": self.device,
            "processor": self.processor,
            "threads": self.threads,
            "gemm_flops": dict(self.gemm_flops),
            "copy_bytes_per_second": self.copy_bytes_per_second,
            "copies": [{"bytes": size, "bytes_per_second": rate} for size, rate in self.copies],
            "versions": dict(self.versions),
        }


def measure_ceilings(
    dtypes: Sequence[torch.dtype] = (torch.float32, torch.bfloat16),
    threads: int | None = None,
    device: str = "cpu",
    *,
    clock: Callable[[], float] = time.perf_counter,
    largest_copy: int | None = None,
) -> Ceilings:
    """Measure in a second or two; each figure is the best of several, after a run that touches every page.

    The best, because whatever else the machine does can only make a run slower, and a ceiling that is too low would
    flatter what is held against it.

    Args:
        dtypes: to multiply matrices in; bf16 is skipped on a processor that would only emulate it.
        threads: of torch during the measurement; what torch is set to now when None.
        device: "cpu", or "cuda" with or without an index.
        clock: seconds; tests bring their own.
        largest_copy: bytes that the largest copy reads; by default four times the last cache, and 128 MiB at least.

    Raises:
        UsageError: a dtype other than fp32 and bf16, or a GPU that torch cannot use.
    """
    names = {dtype: name for name, dtype in PRECISIONS.items()}
    unknown = [dtype for dtype in dtypes if dtype not in names]
    if unknown:
        raise UsageError("No ceiling is known for this type of numbers", got=unknown[0], expected=", ".join(PRECISIONS))
    if device.startswith("cuda") and not torch.cuda.is_available():
        raise UsageError("There is no GPU that torch can use", got=f"device {device}, torch {torch.__version__}")
    now = _synchronised(clock) if device.startswith("cuda") else clock
    processor = read_processor()
    wanted = [d for d in dtypes if d != torch.bfloat16 or device != "cpu" or has_fast_bf16(processor)]
    largest = largest_copy or _beyond_the_caches(processor)
    sizes = [size for size in (_MIB // 2, 2 * _MIB, 8 * _MIB, 32 * _MIB) if size < largest]
    with limited_threads(threads), torch.no_grad():
        return Ceilings(
            device=device,
            processor=torch.cuda.get_device_name(device) if device.startswith("cuda") else processor.model,
            threads=torch.get_num_threads(),
            gemm_flops={names[dtype]: _gemm(dtype, device, now) for dtype in wanted},
            copies=tuple((2 * size, _copy(size, device, now)) for size in [*sizes, largest]),
            versions={"torch": torch.__version__},
        )


def has_fast_bf16(processor: Processor | None = None) -> bool:
    """Whether the processor multiplies bf16 numbers itself; elsewhere torch converts them to fp32 and back."""
    return any(feature in _BF16_FEATURES for feature in (processor or read_processor()).features)


def _gemm(dtype: torch.dtype, device: str, clock: Callable[[], float]) -> float:
    """Operations a second of the largest square product done in the time given, or of a convolution if that is more.

    torch's matrix product need not be the fastest there is: on AMD's processors MKL's fp32 product was measured at half
    the rate of oneDNN's 3x3 convolution, which is a matrix product too, and the larger part of what networks do.
    """
    rate = _convolution_flops(device) / _convolution_seconds(dtype, device, clock)
    for side in _SIDES:
        seconds = _product_seconds(side, dtype, device, clock)
        rate = max(rate, 2 * side**3 / seconds)
        if seconds * 8 > _ONE_PRODUCT:  # the next would take eight times as long
            break
    return rate


def _product_seconds(side: int, dtype: torch.dtype, device: str, clock: Callable[[], float]) -> float:
    a, b = (torch.randn(side, side, device=device).to(dtype) for _ in range(2))
    out = torch.zeros(side, side, dtype=dtype, device=device)
    return _fewest_seconds(lambda: torch.mm(a, b, out=out), clock)


def _convolution_shape(device: str) -> tuple[int, int, int]:
    """Pictures, channels in and out, side of the grid."""
    return (64 if device.startswith("cuda") else 1), 256, 28


def _convolution_flops(device: str) -> float:
    pictures, channels, side = _convolution_shape(device)
    return 2.0 * pictures * channels * channels * 9 * side * side


def _convolution_seconds(dtype: torch.dtype, device: str, clock: Callable[[], float]) -> float:
    pictures, channels, side = _convolution_shape(device)
    x = torch.randn(pictures, channels, side, side, device=device).to(dtype)
    weight = torch.randn(channels, channels, 3, 3, device=device).to(dtype)
    x, weight = (one.to(memory_format=torch.channels_last) for one in (x, weight))
    return _fewest_seconds(lambda: torch.conv2d(x, weight, padding=1), clock)


def _copy(size: int, device: str, clock: Callable[[], float]) -> float:
    """Bytes a second, read and written, of copying `size` bytes into memory that has been touched before."""
    source = torch.ones(size // 4, device=device)
    target = torch.zeros_like(source)
    return 2 * source.numel() * 4 / _fewest_seconds(lambda: target.copy_(source), clock)


def _fewest_seconds(work: Callable[[], object], clock: Callable[[], float]) -> float:
    """The shortest of at least three runs, and of as many more as fit into the time, after one that warms up."""
    work()
    durations: list[float] = []
    while len(durations) < 3 or (sum(durations) < _ENOUGH and len(durations) < 200):
        before = clock()
        work()
        durations.append(max(clock() - before, 1e-9))
    return min(durations)


def _beyond_the_caches(processor: Processor) -> int:
    """Four times the largest cache, at least 128 MiB, and never more than a sixteenth of memory."""
    sizes = [_size(path) for path in Path("/sys/devices/system/cpu/cpu0/cache").glob("index*/size")]
    wanted = max(_LEAST_COPY, 4 * max(sizes, default=0))
    return min(wanted, processor.memory_bytes // 16 // 4096 * 4096) if processor.memory_bytes else wanted


def _size(path: Path) -> int:
    """ "32768K" -> bytes; 0 for what cannot be read."""
    try:
        text = path.read_text(encoding="ascii").strip()
    except (OSError, UnicodeDecodeError):
        return 0
    factor = {"K": 1024, "M": _MIB}.get(text[-1:], 1)
    digits = text.rstrip("KM")
    return int(digits) * factor if digits.isdigit() else 0


def _synchronised(clock: Callable[[], float]) -> Callable[[], float]:
    """A GPU works on after the call has returned; its time is up when it has nothing left to do."""

    def now() -> float:
        torch.cuda.synchronize()
        return clock()

    return now


@contextmanager
def limited_threads(count: int | None) -> Iterator[None]:
    """Inside, torch computes with `count` threads; None leaves it as it is."""
    before = torch.get_num_threads()
    if count is not None:
        torch.set_num_threads(count)
    try:
        yield
    finally:
        torch.set_num_threads(before)
