"""Kernels timed once, on an example, and held to from then on."""

import time

from torch import Tensor, nn

from separable.blocks.accelerate.entry import accelerate
from separable.blocks.accelerate.report import AccelerationReport
from separable.blocks.accelerate.swapped import Clock
from separable.machine.allocator import release_freed_memory

__all__ = ["settle"]


def settle(model: nn.Module, example: Tensor, clock: Clock = time.perf_counter) -> AccelerationReport:
    """Let the kernels serve the modules of `model` itself for which they are faster on `example`; nothing else ever.

    `accelerate` alone times a mode or a type of numbers that the example did not have when it first meets it, in the
    middle of the work. Here such a mode is plain torch. `choices` of the report give the same bits again.
    """
    report = accelerate(model, inplace=True, example=example, clock=clock).report
    accelerate(model, inplace=True, choices=report.choices)
    release_freed_memory()  # plain torch's peak, which does not come again
    return report
