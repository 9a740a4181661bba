"""How much passes from a network's input to its output: the narrowest places, found as cuts through its data flow."""

from collections import deque
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from separable.analysis.graph import Graph, Node

__all__ = ["Cut", "find_cuts", "find_strides"]

_Strides = tuple[int, int]


@dataclass(frozen=True)
class Cut:
    """Nodes whose outputs together are everything that what follows can know of the picture.

    `size` counts their numbers as if every reduction of the grid divided its sides exactly, in units of the picture's
    area: 35x35 -> 17x17 is a quarter, however the borders fell. `stride` is the picture's side over the grid's.
    """

    nodes: tuple[Node, ...]
    size: float
    stride: int

    @property
    def last(self) -> Node:
        """The one that runs last."""
        return self.nodes[-1]

    @property
    def alone(self) -> bool:
        """Whether one tensor carries it all."""
        return len(self.nodes) == 1


def find_cuts(graph: Graph) -> tuple[Cut, ...]:
    """The places that everything passes, in order, and between two of them the narrowest cut through the branches.

    What comes after the last grid of more than one pixel, the head, is left out, as are auxiliary heads.
    """
    nodes = _ancestors(graph)
    strides = find_strides(graph)
    gates = [node for node in _gates(nodes) if node.index in strides]
    if not gates:
        return ()
    found = []
    for before, after in zip([None, *gates], gates, strict=False):
        if before is not None:
            between = [node for node in nodes if before.index < node.index < after.index]
            narrow = _narrowest(before, after, between, strides)
            if narrow:
                found.append(_cut(narrow, strides))
        found.append(_cut([after], strides))
    return tuple(found)


def _cut(nodes: Sequence[Node], strides: dict[int, _Strides]) -> Cut:
    stride = max(_side(strides[node.index]) for node in nodes)
    return Cut(tuple(nodes), sum(_size(node, strides) for node in nodes), stride)


def _size(node: Node, strides: dict[int, _Strides]) -> float:
    height, width = strides[node.index]
    return node.output_shape[1] / (height * width)


def _side(strides: _Strides) -> int:
    return max(strides)


def _ancestors(graph: Graph) -> list[Node]:
    """What the main output is made of, in the order of execution."""
    wanted = {graph.outputs[0]}
    for node in reversed(graph.nodes):
        if node.index in wanted:
            wanted.update(node.inputs)
    return [node for node in graph.nodes if node.index in wanted]


def find_strides(graph: Graph) -> dict[int, tuple[int, int]]:
    """By node, how much coarser than the picture its grid is, in whole steps; only (N, C, H, W) of several pixels.

    Empty for a network that also lays its grids out as (N, H, W, C), told by a linear layer that puts out four axes:
    which axes are the grid's cannot be seen from a shape.
    """
    found: dict[int, _Strides] = {}
    if any(node.operation == "linear" and len(node.output_shape) == 4 for node in graph.nodes):
        return found
    for node in _ancestors(graph):
        shape = node.output_shape
        if len(shape) != 4 or shape[2] * shape[3] <= 1:
            continue
        sources = [graph.nodes[index] for index in node.inputs if index in found]
        if not sources:
            if node.operation == "input":
                found[node.index] = (1, 1)
            continue
        source = max(sources, key=lambda one: one.output_shape[2:] == shape[2:])
        steps = node.settings.get("stride") or node.settings.get("step") or (0, 0)
        found[node.index] = (
            _coarser(found[source.index][0], steps[0], source.output_shape[2], shape[2]),
            _coarser(found[source.index][1], steps[-1], source.output_shape[3], shape[3]),
        )
    return found


def _coarser(stride: int, step: int, before: int, after: int) -> int:
    """The stride after an operation that says its `step`; 0 if it does not, so that the sides have to tell."""
    if after > before:
        return max(1, stride // round(after / before))
    return stride * (step or round(before / after))


def _gates(nodes: Sequence[Node]) -> list[Node]:
    """Nodes that every path from input to output passes: no data from before them is used after them."""
    last_use = {node.index: node.index for node in nodes}
    for node in nodes:
        for source in node.inputs:
            if source in last_use:
                last_use[source] = max(last_use[source], node.index)
    found, reach = [], -1
    for node in nodes:
        if reach <= node.index:
            found.append(node)
        reach = max(reach, last_use[node.index])
    return found


def _narrowest(before: Node, after: Node, between: Sequence[Node], strides: dict[int, _Strides]) -> list[Node]:
    """The smallest set of nodes strictly between two gates that cuts every path; empty if one path has none.

    A smallest cut is a largest flow (Ford and Fulkerson, 1956): each node is an edge as wide as its output, from its
    entry (index, 0) to its exit (index, 1); what joins nodes is as wide as anything.
    """
    if len(between) < 2 or before.index in after.inputs:
        return []
    room: dict[_Port, dict[_Port, float]] = {}
    for node in between:
        size = _size(node, strides) if node.index in strides else float(node.elements) * 1e-9
        _join(room, (node.index, 0), (node.index, 1), size)
        for source in node.inputs:
            _join(room, (source, 1), (node.index, 0), float("inf"))
    for source in after.inputs:
        _join(room, (source, 1), (after.index, 0), float("inf"))
    start, end = (before.index, 1), (after.index, 0)
    while path := _path(room, start, end):
        width = min(room[a][b] for a, b in path)
        for a, b in path:
            room[a][b] -= width
            room[b][a] += width
    reached = set(_reachable(room, start))
    cut = [node for node in between if (node.index, 0) in reached and (node.index, 1) not in reached]
    return cut if cut and all(node.index in strides for node in cut) else []


_Port = tuple[int, int]
_Room = dict[_Port, dict[_Port, float]]


def _join(room: _Room, a: _Port, b: _Port, width: float) -> None:
    room.setdefault(a, {})[b] = width
    room.setdefault(b, {}).setdefault(a, 0.0)


def _path(room: _Room, start: _Port, end: _Port) -> list[tuple[_Port, _Port]]:
    """A shortest way with room left, as edges; empty if there is none."""
    came: dict[_Port, _Port] = {}
    for a, b in _steps(room, start):
        came[b] = a
        if b == end:
            path = [(a, b)]
            while path[-1][0] != start:
                path.append((came[path[-1][0]], path[-1][0]))
            return path
    return []


def _reachable(room: _Room, start: _Port) -> Iterator[_Port]:
    yield start
    for _, b in _steps(room, start):
        yield b


def _steps(room: _Room, start: _Port) -> Iterator[tuple[_Port, _Port]]:
    """Edges with room left by which each port is first reached, breadth first."""
    seen, queue = {start}, deque([start])
    while queue:
        a = queue.popleft()
        for b, width in room.get(a, {}).items():
            if width > 1e-9 and b not in seen:
                seen.add(b)
                queue.append(b)
                yield a, b
