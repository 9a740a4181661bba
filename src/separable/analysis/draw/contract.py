"""Making a tangle readable: what belongs to one module inside it becomes one box."""

from collections.abc import Mapping, Sequence
from dataclasses import replace

from separable.analysis.draw.labels import Label
from separable.analysis.draw.modules import common_scope
from separable.analysis.draw.names import readable_kind
from separable.analysis.draw.tree import Box, Item, Parallel, Series, Tangle
from separable.analysis.draw.units import Unit

__all__ = ["contracted"]


def contracted(item: Item, kinds: Mapping[str, str]) -> Item:
    """`item` with every tangle in it drawn by modules, where the modules still have an order.

    Args:
        kinds: the class of each module by its path.
    """
    if isinstance(item, Box):
        return item
    if isinstance(item, Parallel):
        branches = (Series(tuple(contracted(part, kinds) for part in branch.items)) for branch in item.branches)
        return Parallel(tuple(branches))
    depth = len(common_scope([unit.scope for unit in item.units]))
    groups: dict[str, list[Unit]] = {}
    for unit in item.units:
        inside = unit.scope[depth] if len(unit.scope) > depth else f":{unit.index}"
        groups.setdefault(inside, []).append(unit)
    if len(groups) < 2 or not _in_order(list(groups.values())):
        return item
    member = {unit.index: units[0].index for units in groups.values() for unit in units}
    joined = tuple(_one_box(name, units, kinds) for name, units in groups.items())
    edges = sorted({(member[a], member[b]) for a, b in item.edges if member[a] != member[b]})
    starts = tuple(sorted({member[index] for index in item.starts}))
    return Tangle(joined, tuple(edges), starts, tuple(sorted({member[index] for index in item.ends})))


def _one_box(name: str, units: Sequence[Unit], kinds: Mapping[str, str]) -> Unit:
    if len(units) == 1:
        return units[0]
    nodes = tuple(node for unit in units for node in unit.nodes)
    kind = kinds.get(name.partition("#")[0], "")
    label = Label(f"{readable_kind(kind)} {name.rpartition('.')[2]}".strip(), family="module")
    return replace(units[0], label=label, nodes=nodes, after=())


def _in_order(groups: Sequence[Sequence[Unit]]) -> bool:
    """Whether each group only takes from groups before it, so that one can stand below the other."""
    place = {unit.index: number for number, units in enumerate(groups) for unit in units}
    return all(
        place.get(source, 0) <= number
        for number, units in enumerate(groups)
        for unit in units
        for source in unit.inputs
    )
