"""Which of many things are looked at, drawn so that the same set gives the same ones whatever the order of its list."""

import hashlib
from collections.abc import Sequence

__all__ = ["draw_by_name"]


def draw_by_name(names: Sequence[str], most: int) -> list[int]:
    """Indices of the `most` names with the lowest hashes, the lowest first; all of them where there are fewer."""
    return sorted(range(len(names)), key=lambda index: _lot(names[index]))[:most]


def _lot(name: str) -> bytes:
    return hashlib.sha256(name.encode("utf-8", "surrogateescape")).digest()
