"""How batches are made, as one frozen dataclass."""

from dataclasses import dataclass

from separable.data.decode import MAX_PIXELS
from separable.errors import UsageError

__all__ = ["LoaderConfig"]


@dataclass(frozen=True)
class LoaderConfig:
    """`workers`, `pin_memory` and `start_method` never change a result; the rest does."""

    batch_size: int
    workers: int = 0
    seed: int = 0
    decoder: str = "auto"
    max_bad: float = 0.05
    """Greatest share of unreadable pictures; the caller's quarantine enforces it."""
    image_size: tuple[int, int] | None = None
    """Overrides the contract's (height, width)."""
    max_pixels: int = MAX_PIXELS
    pin_memory: bool = False
    """Page-locked batches, for a CUDA device."""
    start_method: str | None = None
    """"fork", "spawn" or "forkserver"; None is fork on Linux, where it costs milliseconds, and spawn elsewhere."""
    prefetch: int = 2
    """Batches that each worker prepares ahead."""

    def __post_init__(self) -> None:
        if self.batch_size < 1:
            raise UsageError("The batch size has to be at least 1", got=self.batch_size)
        if self.workers < 0:
            raise UsageError("The number of data workers cannot be negative", got=self.workers)
