"""Which items of a network's main line belong to one module of its figure, told by the modules of its code."""

import itertools
from collections.abc import Iterable, Sequence

from separable.analysis.draw.tree import Box, Item, units_in
from separable.analysis.graph import Graph

__all__ = ["common_scope", "kind_of", "module_ranges"]

_LISTS = ("Sequential", "ModuleList", "ModuleDict")
_LONG_CHAIN = 4


def module_ranges(graph: Graph, items: Sequence[Item]) -> list[tuple[str, int, int]]:
    """(path, start, end) of the modules, in order and without gaps; no path for a container's own functions."""
    scopes = [_scope_of(items, place) for place in range(len(items))]
    return _ranges(graph, items, scopes, 0, len(items), 0)


def _ranges(
    graph: Graph, items: Sequence[Item], scopes: Sequence[tuple[str, ...]], start: int, end: int, depth: int
) -> list[tuple[str, int, int]]:
    """(name, start, end) of the blocks among items[start:end], which share their first `depth` scopes."""

    def key(place: int) -> str:
        return scopes[place][depth] if len(scopes[place]) > depth else ""

    found: list[tuple[str, int, int]] = []
    for name, run in itertools.groupby(range(start, end), key=key):
        places = list(run)
        first, last = places[0], places[-1] + 1
        if not name:
            found += [("", place, stop) for place, stop in _loose(items, first, last)]
        elif _is_block(graph, items, scopes, first, last, depth + 1):
            found.append((name, first, last))
        else:
            found += _ranges(graph, items, scopes, first, last, depth + 1)
    return found


def _loose(items: Sequence[Item], start: int, end: int) -> list[tuple[int, int]]:
    """A container's own functions: each alone, but what runs side by side together with what joins it."""
    ranges, place = [], start
    while place < end:
        stop = place + 1
        if not isinstance(items[place], Box) and stop < end:
            stop += 1
        ranges.append((place, stop))
        place = stop
    return ranges


def _is_block(
    graph: Graph, items: Sequence[Item], scopes: Sequence[tuple[str, ...]], start: int, end: int, depth: int
) -> bool:
    """Whether items[start:end], all in one module, are a module of the figure, or a stage that holds several."""
    regions = _regions(items, range(start, end))
    if end - start == 1 and not regions:
        return True
    children: dict[str, list[int]] = {}
    for place in range(start, end):
        if len(scopes[place]) > depth:
            children.setdefault(scopes[place][depth], []).append(place)
    whole = [places for places in children.values() if len(places) > 1 or not isinstance(items[places[0]], Box)]
    is_list = kind_of(graph, scopes[start][depth - 1]) in _LISTS
    if is_list:
        return regions == 0 and end - start <= _LONG_CHAIN and not whole
    if any(kind_of(graph, name) in _LISTS and _regions(items, places) > 1 for name, places in children.items()):
        return False
    kinds = [kind_of(graph, name) for name, places in children.items() if places in whole]
    return regions <= 3 and len(kinds) == len(set(kinds)) and (regions > 0 or end - start <= 2 * _LONG_CHAIN)


def _regions(items: Sequence[Item], places: Iterable[int]) -> int:
    """How many of the items at `places` have branches."""
    return sum(not isinstance(items[place], Box) for place in places)


def _scope_of(items: Sequence[Item], place: int) -> tuple[str, ...]:
    """Where an item belongs: what runs side by side goes with the unit that joins it."""
    item = items[place]
    scopes = [unit.scope for unit in units_in(item)]
    if not isinstance(item, Box) and place + 1 < len(items):
        scopes.append(units_in(items[place + 1])[0].scope)
    return common_scope(scopes)


def common_scope(scopes: Sequence[tuple[str, ...]]) -> tuple[str, ...]:
    """The paths that all scopes begin with."""
    together = []
    for parts in zip(*scopes, strict=False):
        if len(set(parts)) > 1:
            break
        together.append(parts[0])
    return tuple(together)


def kind_of(graph: Graph, name: str) -> str:
    """The class of the module at the path `name`, whichever of its calls is meant; nothing for no path."""
    return graph.kinds.get(name.partition("#")[0], "") if name else ""
