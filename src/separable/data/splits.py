"""Which pictures are held out where nobody held any out: those of the lowest keyed hashes of their paths."""

import hashlib
from collections.abc import Sequence

from separable.errors import UsageError

__all__ = ["HELD_OUT_NAMES", "demand_fraction", "held_out_count", "held_out_first", "split_samples"]

HELD_OUT_NAMES = ("val", "valid", "validation", "test")
"""What a folder or a list of held-out pictures may be called, the likeliest first."""


def demand_fraction(val_fraction: float) -> None:
    """
    Raises:
        UsageError: `val_fraction` is not between 0 and 1.
    """
    if not 0 < val_fraction < 1:
        raise UsageError("val_fraction out of range", got=val_fraction, expected="above 0 and below 1")


def held_out_first(paths: Sequence[str], seed: int) -> list[str]:
    """Paths in the order of their keyed hashes: the first ones are held out."""

    def keyed(path: str) -> bytes:
        return hashlib.blake2b(f"{seed}:{path}".encode(errors="surrogateescape"), digest_size=16).digest()

    return sorted(paths, key=keyed)


def held_out_count(count: int, fraction: float) -> int:
    """How many of two or more are held out: at least one, and not all."""
    return min(count - 1, max(1, round(count * fraction)))


def split_samples(paths: Sequence[str], fraction: float, seed: int) -> tuple[list[int], list[int]]:
    """(training, held out): the numbers of two or more paths, in their order."""
    held = set(held_out_first(paths, seed)[: held_out_count(len(paths), fraction)])
    return [k for k, path in enumerate(paths) if path not in held], [k for k, path in enumerate(paths) if path in held]
