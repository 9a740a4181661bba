"""What `predict` and `evaluate` set for speed, and what they say of it in their documents."""

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from separable.blocks.accelerate import AccelerationReport
    from separable.machine.runtime import Settings

__all__ = ["MANY", "kernels_are_built", "runtime_of"]

MANY = 1000
"""Pictures from which on timing the CPU kernels, which takes what a hundred pictures do, is worth it."""


def kernels_are_built() -> bool:
    """Whether the CPU kernels are there to be loaded; building them takes longer than most sets of pictures do."""
    from separable.ops.cpu import kernel_status

    return kernel_status().available


def runtime_of(settings: "Settings", acceleration: "AccelerationReport | None") -> dict[str, Any]:
    """The entry `runtime`: what `tune_runtime` set, and which modules the kernels served (None: nothing was tried)."""
    return {**settings.to_json(), "acceleration": None if acceleration is None else acceleration.to_json()}
