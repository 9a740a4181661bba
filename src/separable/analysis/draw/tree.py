"""Taking a data flow apart into what runs one after the other and what runs side by side."""

import itertools
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from separable.analysis.draw.units import Unit

__all__ = ["Box", "Item", "Parallel", "Series", "Tangle", "series_between", "units_in"]


@dataclass(frozen=True)
class Box:
    unit: Unit


@dataclass(frozen=True)
class Series:
    """Items one after the other; none at all is a line without a box, such as an identity shortcut."""

    items: "tuple[Item, ...]" = ()


@dataclass(frozen=True)
class Parallel:
    """Branches that all start from what comes before and all end in what comes after."""

    branches: tuple[Series, ...]


@dataclass(frozen=True)
class Tangle:
    """What is neither: boxes in the order of execution, and who feeds whom by index of the unit."""

    units: tuple[Unit, ...]
    edges: tuple[tuple[int, int], ...]
    starts: tuple[int, ...]
    """Those that take what comes before."""
    ends: tuple[int, ...]
    """Those that what comes after takes."""


Item = Box | Parallel | Tangle


def units_in(item: "Item | Series") -> list[Unit]:
    """All the units of a tree, in its order."""
    if isinstance(item, Box):
        return [item.unit]
    if isinstance(item, Tangle):
        return list(item.units)
    parts = item.items if isinstance(item, Series) else item.branches
    return [unit for part in parts for unit in units_in(part)]


def series_between(
    units: Mapping[int, Unit], source: int, sink: int, inside: set[int], *, is_branch: bool = False
) -> Series:
    """What lies between the units `source` and `sink`, both left out, of which `inside` are allowed.

    A unit through which every path goes is an item of its own. What lies between two of them falls into branches that
    do not touch; a branch that cannot be taken apart further is a tangle. For a branch, a direct line from `source` to
    `sink` is another branch's business.
    """
    chain = [source, *_on_every_path(units, source, sink, inside, is_branch), sink]
    items: list[Item] = []
    for start, end in itertools.pairwise(chain):
        between = {index for index in inside if start < index < end}  # indices are in the order of execution
        direct = start in units[end].inputs and not (is_branch and (start, end) == (source, sink))
        if between:
            items.append(_side_by_side(units, start, end, between, direct))
        if end != sink:
            items.append(Box(units[end]))
    return Series(tuple(items))


def _side_by_side(units: Mapping[int, Unit], start: int, end: int, between: set[int], direct: bool) -> Item:
    groups = _components(units, between)
    if len(groups) == 1 and not direct:
        return _tangle(units, start, end, between)
    order = {source: place for place, source in enumerate(units[end].inputs)}
    branches = [series_between(units, start, end, group, is_branch=True) for group in groups]
    branches += [Series()] if direct else []

    def place(branch: Series) -> int:
        inside = [unit.index for unit in units_in(branch)] or [start]
        return min(order[index] for index in inside if index in order)

    return Parallel(tuple(sorted(branches, key=place)))


def _tangle(units: Mapping[int, Unit], start: int, end: int, inside: set[int]) -> Tangle:
    ordered = tuple(units[index] for index in sorted(inside))
    edges = tuple((source, unit.index) for unit in ordered for source in unit.inputs if source in inside)
    starts = tuple(unit.index for unit in ordered if start in unit.inputs)
    return Tangle(ordered, edges, starts, tuple(index for index in units[end].inputs if index in inside))


def _on_every_path(units: Mapping[int, Unit], source: int, sink: int, inside: set[int], is_branch: bool) -> list[int]:
    """By counting paths: those from the source times those to the sink must be all there are."""
    order = [source, *sorted(inside), sink]
    sources = {index: [i for i in units[index].inputs if i in inside or i == source] for index in order[1:]}
    if is_branch:
        sources[sink] = [i for i in sources[sink] if i != source]
    down = {source: 1}
    up = dict.fromkeys(order, 0) | {sink: 1}
    for index in order[1:]:
        down[index] = sum(down[i] for i in sources[index])
    for index in reversed(order[1:]):
        for i in sources[index]:
            up[i] += up[index]
    return [index for index in order[1:-1] if down[index] * up[index] == down[sink]]


def _components(units: Mapping[int, Unit], members: set[int]) -> list[set[int]]:
    """Groups of `members` without an edge between them, by their first unit."""
    neighbours: dict[int, set[int]] = {index: set() for index in members}
    for index in members:
        for source in units[index].inputs:
            if source in members:
                neighbours[index].add(source)
                neighbours[source].add(index)
    groups: list[set[int]] = []
    left: Sequence[int] = sorted(members)
    while left:
        group, stack = set[int](), [left[0]]
        while stack:
            index = stack.pop()
            if index not in group:
                group.add(index)
                stack.extend(neighbours[index] - group)
        groups.append(group)
        left = [index for index in left if index not in group]
    return groups
