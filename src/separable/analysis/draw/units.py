"""From the nodes of a graph to the boxes of a drawing: a convolution with its norm and activation is one box."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

from separable.analysis.draw.labels import Label, label_of, short_name
from separable.analysis.graph import Graph, Node

__all__ = ["Unit", "units_of"]

_NOT_DRAWN = {"pad", "slice", "dropout"}
"""Part of the layer they serve, or nothing in an evaluation."""

_WEIGHTED = {"conv", "separable_conv", "linear"}
_LIGHT = {"norm", "activation"}


@dataclass(frozen=True)
class Unit:
    """One box. `inputs` are indices into the list of units; the first unit is the input."""

    index: int
    label: Label
    nodes: tuple[Node, ...]
    inputs: tuple[int, ...]
    after: tuple[str, ...] = ()
    """What follows inside the box: ("BN", "ReLU")."""
    between: tuple[str, ...] = ()
    """What stands between the halves of a separable convolution."""
    channels_last: bool = False
    """Whether the output is (N, H, W, C), as the dense layers of some transformers have it."""

    @property
    def scope(self) -> tuple[str, ...]:
        return self.nodes[0].scope

    @property
    def shape(self) -> tuple[int, ...]:
        """Of the output, channels first."""
        shape = self.nodes[-1].output_shape
        return (shape[0], shape[3], shape[1], shape[2]) if self.channels_last else shape

    @property
    def parameters(self) -> int:
        return sum(node.parameters for node in self.nodes)

    @property
    def is_join(self) -> bool:
        return self.label.family == "join"

    @property
    def is_circle(self) -> bool:
        """Sums and products are drawn as circles, concatenations as bars."""
        return self.is_join and self.nodes[0].operation in ("add", "mul")


def units_of(graph: Graph, *, every_layer: bool = False) -> list[Unit]:
    """The boxes in the order of execution.

    Args:
        every_layer: each layer has its own box; only pads, slices and dropouts are left out.
    """
    nodes = _with_strides(graph)
    belongs = _Joiner(graph, nodes)
    chains: list[list[Node]] = []
    chain_of: dict[int, int] = {}
    for node in nodes:
        source = _source(nodes, node.inputs[0]) if node.inputs else None
        if node.operation in _NOT_DRAWN:
            continue
        joined = source is not None and not every_layer and chain_of.get(source.index) is not None
        if joined and source is not None and belongs(chains[chain_of[source.index]], node):
            place = chain_of[source.index]
            chains[place].append(node)
        else:
            place = len(chains)
            chains.append([node])
        chain_of[node.index] = place
    order = sorted(range(len(chains)), key=lambda place: chains[place][0].index)
    new = {place: index for index, place in enumerate(order)}
    unit_of = {index: new[place] for index, place in chain_of.items()}
    last = _channels_last(graph)
    units = [_unit(new[place], chains[place], nodes, unit_of) for place in order]
    return [replace(unit, channels_last=unit.nodes[-1].index in last) for unit in units]


def _unit(index: int, chain: Sequence[Node], nodes: Sequence[Node], unit_of: dict[int, int]) -> Unit:
    sources = [_source(nodes, source).index for source in chain[0].inputs]
    inputs = tuple(dict.fromkeys(unit_of[source] for source in sources))
    weighted = [node for node in chain if node.operation in _WEIGHTED]
    if len(weighted) == 2:
        label = label_of(weighted[0], separable=weighted[1])
    elif len(chain) > 1 and not weighted:  # a norm and its activation in front of a convolution
        return Unit(index, Label(", ".join(short_name(node) for node in chain), family="light"), tuple(chain), inputs)
    else:
        label = label_of(chain[0])
    if label.family == "join" and len(inputs) < 2:  # a token put in front, a sum with itself
        label = replace(label, head={"+": "Add", "x": "Multiply"}.get(label.head, label.head), family="light")
    last = max((place for place, node in enumerate(chain) if node in weighted), default=0)
    names = [short_name(node) if node.operation in _LIGHT else "" for node in chain]
    between, after = (tuple(name for name in part if name) for part in (names[1:last], names[last + 1 :]))
    return Unit(index, label, tuple(chain), inputs, after, between)


def _channels_last(graph: Graph) -> set[int]:
    """The nodes with maps as (N, H, W, C): dense layers and layer norms make them, and what keeps the shape."""
    found: set[int] = set()
    for node in graph.nodes:
        if len(node.output_shape) != 4 or node.operation in ("conv", "max_pool", "average_pool", "adaptive_pool"):
            continue
        makes = node.operation == "linear" or node.kind in ("LayerNorm", "layer_norm")
        if makes or any(i in found and graph.nodes[i].output_shape == node.output_shape for i in node.inputs):
            found.add(node.index)
    return found


class _Joiner:
    """Decides which nodes share a box."""

    def __init__(self, graph: Graph, nodes: Sequence[Node]) -> None:
        self.nodes, self.kinds = nodes, graph.kinds
        self.consumers, self.parents = graph.consumers(), _parents(graph)

    def __call__(self, chain: Sequence[Node], node: Node) -> bool:
        """Whether `node` goes into the box of `chain`: same container, sole consumer, and the usual order."""
        last, parent = chain[-1], self.parents[node.index]
        if len(node.inputs) != 1 or _users(self.nodes, self.consumers, last.index) != [node.index]:
            return False
        if node.operation == "norm" and chain[0].operation in _WEIGHTED and last.operation in _WEIGHTED:
            return self.parents[last.index][: len(parent)] == parent  # it may stand just outside of the convolution
        if self.parents[last.index] != parent or node.operation == "norm":
            return False
        if node.operation == "activation":
            return last.operation in _WEIGHTED | {"norm"}
        kind = self.kinds.get(parent[-1].partition("#")[0], "") if parent else ""
        return _is_pointwise(node) and _is_depthwise(chain, with_norm="sep" in kind.lower())


def _is_pointwise(node: Node) -> bool:
    return node.operation == "conv" and set(node.settings["kernel"]) == {1} and node.settings["groups"] == 1


def _is_depthwise(chain: Sequence[Node], *, with_norm: bool) -> bool:
    """Whether a 1x1 after `chain` makes it separable. A norm between the halves does only where the module says so."""
    first = chain[0]
    if first.operation != "conv" or not 1 < first.settings["groups"] == first.settings["in_channels"]:
        return False
    return all(node.operation == "activation" or (with_norm and node.operation == "norm") for node in chain[1:])


def _users(nodes: Sequence[Node], consumers: dict[int, tuple[int, ...]], index: int) -> list[int]:
    """The drawn nodes that take the output of `index`, through those that are not drawn."""
    found: list[int] = []
    for user in consumers[index]:
        found += _users(nodes, consumers, user) if nodes[user].operation in _NOT_DRAWN else [user]
    return found


def _source(nodes: Sequence[Node], index: int) -> Node:
    """The drawn node whose output arrives from `index`."""
    node = nodes[index]
    while node.operation in _NOT_DRAWN:
        node = nodes[node.inputs[0]]
    return node


def _with_strides(graph: Graph) -> list[Node]:
    """The nodes, with a sampling slice in front of a convolution counted as the convolution's stride."""
    nodes: list[Node] = list(graph.nodes)
    for node in graph.nodes:
        step = nodes[node.inputs[0]].settings.get("step") if node.inputs else None
        if step and "stride" in node.settings:
            stride = tuple(a * b for a, b in zip(node.settings["stride"], step, strict=True))
            nodes[node.index] = replace(node, settings={**node.settings, "stride": stride})
    return nodes


def _parents(graph: Graph) -> dict[int, tuple[str, ...]]:
    """For each node the container it works in, past those that hold norms and activations alone."""
    inside: dict[str, set[Any]] = {}
    for node in graph.nodes:
        for path in node.scope:
            inside.setdefault(path, set()).add(node.operation)
    parents = {}
    for node in graph.nodes:
        scope = node.scope
        while scope and inside[scope[-1]] <= _LIGHT | {"dropout"}:
            scope = scope[:-1]
        parents[node.index] = scope
    return parents
