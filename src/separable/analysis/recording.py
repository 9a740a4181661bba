"""Watching a network run: module hooks say where we are, a function mode says what happens there."""

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any

import torch
from torch import Tensor, nn
from torch.overrides import TorchFunctionMode
from torch.utils._pytree import tree_leaves
from torch.utils.weak import WeakTensorKeyDictionary

from separable.analysis.operations import classify, settings_of

__all__ = ["RawNode", "Recorder", "tensors_in"]

_PRIORITY = (
    *("attention", "conv", "separable_conv", "linear", "max_pool", "average_pool", "adaptive_pool", "norm"),
    *("activation", "upsample", "mean", "dropout", "matmul", "cat", "add", "mul", "pad", "slice", "other"),
)
"""What a layer of several operations is called after, first found wins: a padded convolution is a convolution."""

_HEAVY = {"conv", "separable_conv", "linear", "max_pool", "average_pool", "attention"}


class RawNode:
    """An operation while it is recorded. `inputs` may point to nodes that were merged since: see `resolve`."""

    def __init__(self, name: str, operation: str, frame: "_Frame", settings: dict[str, Any]) -> None:
        self.name, self.operation, self.frame, self.settings = name, operation, frame, settings
        self.inputs: list[RawNode] = []
        self.used: set[str] = set()
        """Names of the parameters that went in."""
        self.shape: tuple[int, ...] = ()
        self.is_layer = False
        self.merged_into: RawNode | None = None

    def resolve(self) -> "RawNode":
        """Itself, or what it has become part of."""
        node = self
        while node.merged_into is not None:
            node = node.merged_into
        return node


class _Frame:
    """A call of a module: `path` has `#2` at its end on the second call of the same module."""

    def __init__(self, module: nn.Module | None, name: str, path: tuple[str, ...], start: int) -> None:
        self.module, self.name, self.path, self.start = module, name, path, start
        self.has_children = False


class Recorder:
    """Collects `nodes` while the model runs inside `watching`."""

    def __init__(self, model: nn.Module) -> None:
        self.model = model
        self.names = {module: name for name, module in model.named_modules()}
        self.parameters = {id(value): name for name, value in model.named_parameters()}
        self.nodes: list[RawNode] = []
        self.frames = [_Frame(None, "", (), 0)]
        self.calls: dict[str, int] = {}
        self.origin: WeakTensorKeyDictionary = WeakTensorKeyDictionary()
        """Which node made a tensor."""
        self.constants: WeakTensorKeyDictionary = WeakTensorKeyDictionary()
        """Names of the parameters that a tensor without data was computed from, such as a standardised weight."""

    def start(self, x: Tensor) -> RawNode:
        """Register the network's input."""
        node = RawNode("input", "input", self.frames[0], {})
        node.shape = tuple(x.shape)
        self.nodes.append(node)
        self.origin[x] = node
        return node

    def node_of(self, tensor: Tensor) -> RawNode | None:
        """What made `tensor`; None if no data of the input is in it."""
        node = self.origin.get(tensor)
        return node.resolve() if node is not None else None

    @contextmanager
    def watching(self) -> Iterator[None]:
        """Hooks on every module and the mode on inside; neither afterwards."""
        handles = []
        try:
            for module in self.names:
                handles.append(module.register_forward_pre_hook(self._enter))
                handles.append(module.register_forward_hook(self._leave))
            with _Watcher(self.record):
                yield
        finally:
            for handle in handles:
                handle.remove()

    def record(self, function: Callable[..., Any], args: Sequence[Any], kwargs: Mapping[str, Any], result: Any) -> None:
        """One torch function has run."""
        outputs = list(tensors_in(result))
        if not outputs:
            return
        name, operation = classify(function)
        inputs = list(tensors_in((args, kwargs)))
        live = [node for tensor in inputs if (node := self.node_of(tensor)) is not None]
        used = self._parameters_in(inputs)
        if not live or operation == "not_data" or all(t.dtype == torch.bool for t in outputs):
            for tensor in outputs:
                if id(tensor) not in self.parameters and tensor not in self.origin:
                    self.constants[tensor] = used
            return
        whole = sum(tensor.numel() for tensor in outputs) and outputs[0].numel() == inputs[0].numel()
        if operation == "view" or (operation == "slice" and whole and len(outputs) == 1):
            for tensor in outputs:
                self.origin[tensor] = live[0]
            return
        node = RawNode(name, operation, self.frames[-1], settings_of(name, operation, args, kwargs, result))
        node.inputs, node.used, node.shape = list(dict.fromkeys(live)), used, tuple(outputs[0].shape)
        if operation in ("add", "mul") and len(node.inputs) == 1 and len(live) == 1:
            node.operation = "scale" if operation == "mul" else "shift"
        self.nodes.append(node)
        for tensor in outputs:
            self.origin[tensor] = node

    def _parameters_in(self, inputs: Sequence[Tensor]) -> set[str]:
        used: set[str] = set()
        for tensor in inputs:
            if id(tensor) in self.parameters:
                used.add(self.parameters[id(tensor)])
            else:
                used |= self.constants.get(tensor, set())
        return used

    def _enter(self, module: nn.Module, _inputs: Any) -> None:
        name = self.names[module]
        self.calls[name] = self.calls.get(name, 0) + 1
        again = f"#{self.calls[name]}" if self.calls[name] > 1 else ""
        path = (*self.frames[-1].path, name + again) if name else self.frames[-1].path
        self.frames.append(_Frame(module, name, path, len(self.nodes)))

    def _leave(self, module: nn.Module, inputs: Any, output: Any) -> None:
        frame = self.frames.pop()
        made = self.nodes[frame.start :]
        if not made:
            made = self._opaque(frame, inputs, output)
        self.frames[-1].has_children |= bool(made)
        if made and not frame.has_children and _is_one_layer(module, made):
            self._merge(frame, made, output)

    def _opaque(self, frame: _Frame, inputs: Any, output: Any) -> list[RawNode]:
        """A node for a module that works out of sight, such as compiled code."""
        live = [node for tensor in tensors_in(inputs) if (node := self.node_of(tensor)) is not None]
        seen = (self.origin, self.constants)
        fresh = [tensor for tensor in tensors_in(output) if not any(tensor in known for known in seen)]
        if not live or not fresh:
            return []
        node = RawNode(type(frame.module).__name__, "other", frame, {})
        node.inputs, node.shape = list(dict.fromkeys(live)), tuple(fresh[0].shape)
        self.nodes.append(node)
        for tensor in fresh:
            self.origin[tensor] = node
        return [node]

    def _merge(self, frame: _Frame, made: list[RawNode], output: Any) -> None:
        """Make the operations of a leaf module one node, called after the weightiest of them."""
        main = min(made, key=lambda node: _PRIORITY.index(node.operation) if node.operation in _PRIORITY else 99)
        layer = RawNode(main.name, main.operation, frame, dict(main.settings))
        for node in made:
            step = node.settings.get("step")
            if step and "stride" in layer.settings and node is not main:
                layer.settings["stride"] = tuple(a * b for a, b in zip(layer.settings["stride"], step, strict=True))
        layer.is_layer = True
        layer.shape = next((tuple(t.shape) for t in tensors_in(output) if t in self.origin), made[-1].shape)
        inside = {id(node) for node in made}
        sources = [source.resolve() for node in made for source in node.inputs]
        layer.inputs = list(dict.fromkeys(node for node in sources if id(node) not in inside))
        layer.used = {name for node in made for name in node.used}
        if frame.module is not None:
            layer.used |= {
                self.parameters[id(value)]
                for value in frame.module.parameters(recurse=False)
                if id(value) in self.parameters
            }
        for node in made:
            node.merged_into = layer
        self.nodes[frame.start :] = [layer]


class _Watcher(TorchFunctionMode):
    def __init__(self, record: Callable[..., None]) -> None:
        super().__init__()
        self.record = record

    def __torch_function__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        result = func(*args, **(kwargs or {}))
        self.record(func, args, kwargs or {}, result)
        return result


def tensors_in(tree: Any) -> Iterator[Tensor]:
    """The tensors of nested lists, tuples, dicts and the like, in order."""
    return (leaf for leaf in tree_leaves(tree) if isinstance(leaf, Tensor))


def _is_one_layer(module: nn.Module, made: list[RawNode]) -> bool:
    """Whether the operations of a module without children are one layer; torch's own modules always are."""
    return type(module).__module__.startswith("torch.nn.") or sum(node.operation in _HEAVY for node in made) <= 1
