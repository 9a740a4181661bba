"""From a network's main line to its modules: which items belong together, which of them repeat."""

import itertools
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from separable.analysis.draw.contract import contracted
from separable.analysis.draw.modules import common_scope, kind_of, module_ranges
from separable.analysis.draw.tree import Box, Item, Parallel, Series, Tangle, series_between, units_in
from separable.analysis.draw.units import Unit
from separable.analysis.graph import Graph
from separable.errors import UsageError

__all__ = ["Block", "Group", "Network", "SideBranch", "arrange", "count_branches", "signature"]

_SAME_BOXES = 4
"""Single boxes are drawn one by one up to this many."""


@dataclass(frozen=True)
class Block:
    """A module of the figure: its items in order, and the boxes in them."""

    name: str
    kind: str
    series: Series
    input_shape: tuple[int, ...]

    @property
    def units(self) -> list[Unit]:
        return units_in(self.series)

    @property
    def output_shape(self) -> tuple[int, ...]:
        return self.units[-1].shape

    @property
    def parameters(self) -> int:
        return sum(unit.parameters for unit in self.units)

    @property
    def is_box(self) -> bool:
        """Whether it is one box, which needs no frame."""
        return len(self.series.items) == 1 and isinstance(self.series.items[0], Box)


@dataclass(frozen=True)
class Group:
    """Identical blocks in a row, drawn once."""

    blocks: tuple[Block, ...]

    @property
    def first(self) -> Block:
        return self.blocks[0]

    @property
    def last(self) -> Block:
        return self.blocks[-1]

    @property
    def parameters(self) -> int:
        return sum(block.parameters for block in self.blocks)


@dataclass(frozen=True)
class SideBranch:
    """What hangs on the output of the unit `source` and ends by itself: an auxiliary head."""

    source: int
    block: Block


@dataclass(frozen=True)
class Network:
    kind: str
    """The class of the whole."""
    input_shape: tuple[int, ...]
    groups: tuple[Group, ...]
    sides: tuple[SideBranch, ...]
    exits: tuple[Unit, ...] = ()
    """On the main line before its end, yet outputs of the network: its taps."""


def arrange(graph: Graph, units: Sequence[Unit], *, collapse: bool = True) -> Network:
    """The network's main line as groups of blocks, and what hangs on it.

    Args:
        collapse: blocks that are alike become one group, and tangles are drawn by modules.

    Raises:
        UsageError: there is nothing to draw.
    """
    if len(units) < 2:
        raise UsageError("This network has nothing to draw", got="its output is its input")
    by_index = {unit.index: unit for unit in units}
    ends = _ends(graph, units)
    main = max((_ancestors(by_index, end) for end in ends), key=lambda found: (len(found), max(found)))
    sink = max(main)
    line = series_between(by_index, 0, sink, main - {0, sink})
    items = (*line.items, *([Box(by_index[sink])] if sink else []))
    if collapse:
        items = tuple(contracted(item, graph.kinds) for item in items)
    blocks = _blocks(graph, items)
    groups = [Group((block,)) for block in blocks]
    if collapse:
        groups = _collapse(blocks)
    sides = _sides(graph, by_index, main)
    exits = tuple(by_index[end] for end in sorted(set(ends) & main - {sink}))
    return Network(graph.kinds.get("", ""), graph.input_shape, tuple(groups), tuple(sides), exits)


def signature(item: "Item | Series", *, channels: bool = True) -> object:
    """Equal for what is drawn alike; without `channels` the numbers of channels may differ."""
    if isinstance(item, Box):
        unit, label = item.unit, item.unit.label
        shown = label.text() if channels else (label.head, label.channels is None, label.tail)
        return shown, unit.after, unit.between
    if isinstance(item, Tangle):
        first = item.units[0].index
        edges = tuple((a - first, b - first) for a, b in item.edges)
        return tuple(signature(Box(unit), channels=channels) for unit in item.units), edges
    parts = item.items if isinstance(item, Series) else item.branches
    return type(item).__name__, tuple(signature(part, channels=channels) for part in parts)


def count_branches(item: "Item | Series") -> int:
    """How many lines run side by side at the widest place."""
    if isinstance(item, Box):
        return 1
    if isinstance(item, Tangle):
        return 2
    if isinstance(item, Parallel):
        return sum(count_branches(branch) for branch in item.branches)
    return max((count_branches(part) for part in item.items), default=1)


def _ends(graph: Graph, units: Sequence[Unit]) -> list[int]:
    """The units that hold the graph's outputs; an output that is not drawn is that of the unit before it."""
    holder = {node.index: unit.index for unit in units for node in unit.nodes}
    found = []
    for output in graph.outputs:
        node = graph.nodes[output]
        while node.index not in holder:
            node = graph.nodes[node.inputs[0]]
        found.append(holder[node.index])
    return found


def _ancestors(units: Mapping[int, Unit], end: int) -> set[int]:
    found, stack = set[int](), [end]
    while stack:
        index = stack.pop()
        if index not in found:
            found.add(index)
            stack.extend(units[index].inputs)
    return found


def _sides(graph: Graph, units: Mapping[int, Unit], main: set[int]) -> list[SideBranch]:
    """One for each output that is not on the main line and each place it starts from."""
    sides = []
    taken = set(main)
    for end in sorted(set(_ends(graph, list(units.values()))) - main):
        own = _ancestors(units, end) - taken
        taken |= own
        sources = [source for index in sorted(own) for source in units[index].inputs if source not in own]
        start = max(sources)
        line = series_between(units, start, end, {index for index in own if index > start} - {end})
        items = (*line.items, Box(units[end]))
        scope = common_scope([unit.scope for item in items for unit in units_in(item)])
        name = scope[-1] if scope else units[end].nodes[0].name
        sides.append(SideBranch(start, Block(name, kind_of(graph, name), Series(items), units[start].shape)))
    return sides


def _blocks(graph: Graph, items: Sequence[Item]) -> list[Block]:
    blocks: list[Block] = []
    shape = graph.input_shape
    for name, start, end in module_ranges(graph, items):
        series = Series(tuple(items[start:end]))
        only = items[start]
        label = name or (only.unit.nodes[0].name if end - start == 1 and isinstance(only, Box) else "")
        blocks.append(Block(label, kind_of(graph, name), series, shape))
        shape = blocks[-1].output_shape
    return blocks


def _collapse(blocks: Sequence[Block]) -> list[Group]:
    groups: list[Group] = []
    for _, run in itertools.groupby(
        blocks, key=lambda block: (block.kind, block.output_shape, signature(block.series))
    ):
        same = tuple(run)
        if same[0].is_box and len(same) < _SAME_BOXES:
            groups += [Group((block,)) for block in same]
        else:
            groups.append(Group(same))
    return groups
