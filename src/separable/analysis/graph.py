"""The data flow of a network, recorded by running it once: layers and functions, who feeds whom, with what shapes."""

import copy
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from typing import Any

import torch
from torch import Tensor, nn

from separable.analysis.demands import bare_network, cannot_run, demand_openness
from separable.analysis.recording import RawNode, Recorder, tensors_in
from separable.errors import SeparableError, UsageError

__all__ = ["Graph", "Node", "record_graph"]


@dataclass(frozen=True)
class Node:
    """A layer's call, or a function that a container calls itself, such as the sum of a residual block."""

    index: int
    """Its place in `Graph.nodes`, which is the order of execution."""
    name: str
    """The layer's dotted path, or that of the container with the function's name; unique in the graph."""
    operation: str
    """conv, separable_conv, linear, norm, activation, max_pool, average_pool, adaptive_pool, mean, add, cat, mul,
    scale and shift (by a number or a parameter), pad, slice, dropout, upsample, attention, matmul, input, other."""
    kind: str
    """The layer's class, or the function's name."""
    scope: tuple[str, ...]
    """Paths of the modules around it, outermost first, the network itself left out; `#2` marks a second call."""
    inputs: tuple[int, ...]
    """Indices of the nodes whose outputs it takes, in the order of its arguments."""
    output_shape: tuple[int, ...]
    parameters: int
    """Elements of the parameters it uses that no earlier node has used."""
    settings: dict[str, Any] = field(default_factory=dict)
    """What the operation has of: channels, kernel, stride, dilation, groups, in_channels, step, by, probability."""

    @property
    def elements(self) -> int:
        """Numbers in the output for one picture."""
        count = 1
        for side in self.output_shape[1:]:
            count *= side
        return count


@dataclass(frozen=True)
class Graph:
    """Nodes in the order in which they run; the first is the input."""

    input_shape: tuple[int, ...]
    nodes: tuple[Node, ...]
    outputs: tuple[int, ...]
    """Nodes whose results the network returns, and last those of auxiliary heads, which only training runs."""
    kinds: dict[str, str]
    """The class of each module, by its path."""

    def consumers(self) -> dict[int, tuple[int, ...]]:
        """For each node's index the indices of those that take its output."""
        found: dict[int, list[int]] = {node.index: [] for node in self.nodes}
        for node in self.nodes:
            for source in node.inputs:
                found[source].append(node.index)
        return {index: tuple(users) for index, users in found.items()}

    def ancestors(self, index: int) -> set[int]:
        """The node itself and all that its output depends on."""
        found, stack = set[int](), [index]
        while stack:
            current = stack.pop()
            if current not in found:
                found.add(current)
                stack.extend(self.nodes[current].inputs)
        return found


def record_graph(model: nn.Module, input_shape: Sequence[int] | Tensor) -> Graph:
    """Run `model` once in evaluation mode and write down what it does.

    It runs as a copy without weights, on the meta device: shapes are computed, nothing else. A network that looks at
    values runs on zeros instead, with its own weights. Either way the model itself is left as it was: mode,
    statistics, hooks, caches; so are the states of the random generators.

    A module without children that did something is one node. A container's own functions are nodes of their own.
    Auxiliary heads of the networks here, which an evaluation skips, are recorded on the block they follow.

    Args:
        model: any module that takes one tensor.
        input_shape: (N, C, H, W), or a tensor whose shape and type count.

    Raises:
        UsageError: lazy layers, TorchScript, or a network that fails on such an input.
        InputSizeError: a network here was given pictures too small for it.
    """
    shape = tuple(int(side) for side in (input_shape.shape if isinstance(input_shape, Tensor) else input_shape))
    model = bare_network(model)
    demand_openness(model)
    first = next(model.parameters(), torch.zeros(()))
    dtype = input_shape.dtype if isinstance(input_shape, Tensor) else first.dtype
    random_state = torch.get_rng_state()
    try:
        return _record(model, torch.zeros(shape, dtype=dtype, device="meta"))
    except SeparableError:
        raise
    except Exception:  # it looks at values, or has tensors that are no parameters; its own mistakes fail again below
        return _record_on_zeros(model, torch.zeros(shape, dtype=dtype, device=first.device))
    finally:
        torch.set_rng_state(random_state)


def _record_on_zeros(model: nn.Module, x: Tensor) -> Graph:
    try:
        return _record(model, x)
    except SeparableError:
        raise
    except Exception as error:
        raise cannot_run(error, tuple(x.shape)) from error


def _record(model: nn.Module, x: Tensor) -> Graph:
    with _stand_in(model, x) as copied, torch.no_grad():
        recorder = Recorder(copied)
        recorder.start(x)
        with recorder.watching(), _tapped(copied, recorder) as auxiliary:
            result = copied(x)
        ends = [node for tensor in tensors_in(result) if (node := recorder.node_of(tensor)) is not None]
        if not ends:
            raise UsageError("The network's output does not depend on its input", got=type(result).__name__)
        return _finish(copied, recorder, list(dict.fromkeys([*ends, *auxiliary])), tuple(x.shape))


@contextmanager
def _stand_in(model: nn.Module, x: Tensor) -> Iterator[nn.Module]:
    """A copy in evaluation mode: weights without values on the meta device, elsewhere the model's own."""
    memo: dict[int, Any] = {}
    for parameter in model.parameters():
        data = parameter.detach().to("meta") if x.is_meta else parameter.detach()
        memo[id(parameter)] = nn.Parameter(data, requires_grad=False)
    for buffer in model.buffers():
        memo[id(buffer)] = buffer.to("meta") if x.is_meta else buffer.clone()
    yield copy.deepcopy(model, memo).eval()


@contextmanager
def _tapped(model: nn.Module, recorder: Recorder) -> Iterator[list[RawNode]]:
    """Auxiliary heads run right after the block they look at; their outputs are in the list afterwards.

    Entered after the recorder's hooks are in place, so that the block's call is over when its head's begins.
    """
    ends: list[RawNode] = []
    handles = []
    for block, name in getattr(model, "aux_names", {}).items():
        head = model.get_submodule(name)

        def run(_module: nn.Module, _inputs: Any, output: Any, head: nn.Module = head) -> None:
            ends.extend(node for tensor in tensors_in(head(output)) if (node := recorder.node_of(tensor)) is not None)

        handles.append(model.get_submodule(block).register_forward_hook(run))
    try:
        yield ends
    finally:
        for handle in handles:
            handle.remove()


def _finish(model: nn.Module, recorder: Recorder, ends: list[RawNode], shape: tuple[int, ...]) -> Graph:
    """Only what leads from the input to an output, numbered in the order of execution."""
    wanted: set[int] = set()
    stack = list(ends)
    while stack:
        node = stack.pop()
        if id(node) not in wanted:
            wanted.add(id(node))
            stack.extend(source.resolve() for source in node.inputs)
    kept = [node for node in recorder.nodes if id(node) in wanted or node.operation == "input"]
    places = {id(node): index for index, node in enumerate(kept)}
    sizes = {name: value.numel() for name, value in model.named_parameters()}
    names: dict[str, int] = {}
    nodes = []
    for index, node in enumerate(kept):
        used = node.used & sizes.keys()
        nodes.append(
            Node(
                index=index,
                name=_unique(_name(node), names),
                operation=node.operation,
                kind=type(node.frame.module).__name__ if node.is_layer else node.name,
                scope=node.frame.path[:-1] if node.is_layer else node.frame.path,
                inputs=tuple(dict.fromkeys(places[id(source.resolve())] for source in node.inputs)),
                output_shape=node.shape,
                parameters=sum(sizes.pop(name) for name in used),
                settings=node.settings,
            )
        )
    kinds = {name: type(module).__name__ for module, name in recorder.names.items()}
    outputs = tuple(dict.fromkeys(places[id(node.resolve())] for node in ends))
    return _main_first(Graph(shape, tuple(nodes), outputs, kinds))


def _main_first(graph: Graph) -> Graph:
    """The main output is the first that no other depends on: of taps the last one, of (logits, aux) the logits."""
    inner = {index for end in graph.outputs for index in graph.ancestors(end) - {end}}
    main = next(end for end in graph.outputs if end not in inner)
    return replace(graph, outputs=(main, *(end for end in graph.outputs if end != main)))


def _name(node: RawNode) -> str:
    """A function with weights is called after the layer whose weights they are, any other after its container."""
    if node.is_layer or node.operation == "input":
        return node.frame.path[-1] if node.frame.path else node.name
    owners = sorted({name.rpartition(".")[0] for name in node.used})
    return owners[0] if owners and owners[0] else ".".join((*node.frame.path[-1:], node.name))


def _unique(name: str, seen: dict[str, int]) -> str:
    seen[name] = seen.get(name, 0) + 1
    return name if seen[name] == 1 else f"{name}:{seen[name]}"
