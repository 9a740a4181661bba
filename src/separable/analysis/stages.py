"""The parts of a network that a reader thinks in: its blocks, told from the names of its layers."""

import re
from collections.abc import Sequence
from itertools import groupby

__all__ = ["readable_name", "stages_of"]

_MOST = 30
_READABLE = 20
_HEAVY = 0.5


def readable_name(name: str, what: str) -> str:
    """ "layer 10 (7x7 convolution)" for the "10" of an nn.Sequential; a name with letters as it is."""
    if re.search(r"[^\W\d]", name):
        return name
    return f"layer {name} ({what})" if what else f"block {name}"


def stages_of(names: Sequence[str], shapes: Sequence[tuple[int, ...]], weights: Sequence[float]) -> list[str]:
    """For each layer in the order of execution, what part of the network it belongs to.

    Parts are the first components of the dotted names; one that holds more than half of `weights` is taken apart
    further. Neighbours that differ by a number alone and put out the same shape (block5, block6, ...) become one where
    there would be more than 20, and parts become grids ("56x56") where there still would be more than 30.
    """
    parts = _split(names, weights)
    if len(set(parts)) > _READABLE:
        parts = _merged(parts, shapes)
    if len(set(parts)) > _MOST:
        parts = [f"at {'x'.join(map(str, shape[2:]))}" if len(shape) == 4 else "vectors" for shape in shapes]
    return parts


def _split(names: Sequence[str], weights: Sequence[float]) -> list[str]:
    total = sum(weights) or 1.0
    depths = dict.fromkeys({_prefix(name, 1) for name in names}, 1)
    while True:
        parts = [_part(name, depths) for name in names]
        sums: dict[str, float] = {}
        for part, weight in zip(parts, weights, strict=True):
            sums[part] = sums.get(part, 0.0) + weight
        for part in sorted(sums, key=lambda one: -sums[one]):
            inside = {
                _prefix(name, depths[part] + 1) for name, own in zip(names, parts, strict=True) if own == part
            } - {part}
            if sums[part] > _HEAVY * total and inside and len(sums) + len(inside) - 1 <= 2 * _MOST:
                depth = depths.pop(part)
                depths |= dict.fromkeys(inside | {part}, depth + 1)
                break
        else:
            return parts


def _part(name: str, depths: dict[str, int]) -> str:
    """The longest known part that `name` lies in."""
    pieces = name.split(".")
    for length in range(len(pieces), 0, -1):
        prefix = ".".join(pieces[:length])
        if prefix in depths:
            return prefix
    return name


def _prefix(name: str, depth: int) -> str:
    return ".".join(name.split(".")[:depth])


def _merged(parts: Sequence[str], shapes: Sequence[tuple[int, ...]]) -> list[str]:
    """Runs of parts with the same last shape whose names differ in their last number, under one name."""
    order = list(dict.fromkeys(parts))
    last = {part: shape for part, shape in zip(parts, shapes, strict=True) if shape}
    new: dict[str, str] = {}
    for _, group in groupby(order, key=lambda part: (re.sub(r"\d+$", "#", part), last.get(part))):
        members = list(group)
        number = re.search(r"\d+$", members[-1])
        name = f"{members[0]}\N{EN DASH}{number[0]}" if len(members) > 1 and number else members[0]
        new |= dict.fromkeys(members, name)
    return [new[part] for part in parts]
