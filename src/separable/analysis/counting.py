"""Counting what each layer of a network costs: every operation below autograd, charged to the module it runs in."""

from collections import defaultdict
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn
from torch.func import functional_call
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_leaves
from torch.utils.flop_counter import flop_registry
from torch.utils.weak import WeakIdKeyDictionary

from separable.analysis.kinds import Operation, convolution_of, kind_of

__all__ = ["Counted", "LayerProfile", "count_layers"]


@dataclass(frozen=True)
class LayerProfile:
    """One call of a layer, or what a container does itself beside its layers (sums, concatenations)."""

    name: str
    kind: str
    output_shape: tuple[int, ...]
    """Empty for a layer that an evaluation never runs, such as an auxiliary head."""
    parameters: int
    macs: int
    """Multiply-adds of convolutions and matrix products; normalisation, activation and bias count as nothing."""
    activations: int
    """Elements that convolutions and matrix products put out, the depthwise half of a separable one included."""
    bytes: int
    """Read and written by the layer's operations, weights included, each tensor once per operation."""


@dataclass(frozen=True)
class Counted:
    """A row with what a profile of time needs beside it: which call of the module it is, and what it did."""

    layer: LayerProfile
    call: int
    """0 for the first call of this module in a run, 1 for the second, ..."""
    operations: tuple[Operation, ...]


class _Frame:
    """A module being run: what its own operations, those outside its children, have cost so far."""

    def __init__(self, call: int = 0) -> None:
        self.call = call
        self.macs = self.activations = self.bytes = 0
        self.position: int | None = None
        """When the first operation that costs anything ran."""
        self.has_children = False
        self.used: set[str] = set()
        """Names of the parameters that its operations touched."""
        self.operations: list[Operation] = []


class _Counter(TorchDispatchMode):
    """Sees every operation below autograd and charges it to the innermost module that is running."""

    def __init__(self, parameters: dict[int, str]) -> None:
        super().__init__()
        self.parameters = parameters
        """From a parameter's identity to its name."""
        self.frames = [_Frame()]
        self.clock = 0
        self.makers: WeakIdKeyDictionary = WeakIdKeyDictionary()
        """From a tensor to the kind of the operation that made it."""

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        result = func(*args, **(kwargs or {}))
        frame = self.frames[-1]
        frame.used |= {self.parameters[id(t)] for t in _tensors((args, kwargs)) if id(t) in self.parameters}
        count = flop_registry.get(func.overloadpacket)
        macs = count(*args, **(kwargs or {}), out_val=result) // 2 if count is not None else 0
        if count is not None:
            frame.macs += macs
            frame.activations += sum(tensor.numel() for tensor in _tensors(result))
        sources = list(_tensors((args, kwargs)))
        follows = self.makers.get(sources[0], "") if sources else ""
        kind = follows
        if not func.is_view:
            self.clock += 1
            frame.position = frame.position or self.clock
            moved = sum(tensor.numel() * tensor.element_size() for tensor in [*sources, *_tensors(result)])
            frame.bytes += moved
            convolution = convolution_of(func.overloadpacket.__name__, args, kwargs or {})
            kind = kind_of(func.overloadpacket.__name__, convolution, macs)
            if moved:  # an empty buffer is no work
                frame.operations.append(Operation(kind, macs, moved, convolution, follows))
        for tensor in _tensors(result):
            self.makers[tensor] = kind
        return result


class _Recorder:
    """Forward hooks that turn module calls into rows."""

    def __init__(self, model: nn.Module, counter: _Counter) -> None:
        self.counter = counter
        self.rows: list[tuple[int, Counted]] = []
        self.calls: dict[nn.Module, int] = defaultdict(int)
        self.names = {module: name or "(model)" for name, module in model.named_modules()}
        self.sizes = {name: parameter.numel() for name, parameter in model.named_parameters()}
        # Parameters are swapped for meta ones during the run, so ownership is read beforehand.
        canonical = {parameter: name for name, parameter in model.named_parameters()}
        self.own = {m: {canonical[p] for p in m.parameters(recurse=False)} for m in model.modules()}
        self.claimed: set[str] = set()

    def enter(self, module: nn.Module, _inputs: Any) -> None:
        self.counter.frames[-1].has_children = True
        self.counter.frames.append(_Frame(self.calls[module]))
        self.calls[module] += 1

    def leave(self, module: nn.Module, _inputs: Any, output: Any) -> None:
        frame = self.counter.frames.pop()
        # A fused operation uses the weights of children that are never called, so use counts beside ownership.
        parameters = self._claim(self.own[module] | frame.used)
        idle = frame.has_children and not (frame.macs or frame.bytes or parameters)
        if not idle and not isinstance(module, nn.Identity):
            shape = next((tuple(tensor.shape) for tensor in _tensors(output)), ())
            self._add(module, shape, parameters, frame)

    def add_unrun(self) -> None:
        """Rows for the modules whose parameters no row has claimed."""
        for module, owned in self.own.items():
            parameters = self._claim(owned)
            if parameters:
                self._add(module, (), parameters, _Frame())

    def counted(self) -> list[Counted]:
        """The rows in the order in which their first operations ran."""
        return [row for _, row in sorted(self.rows, key=lambda pair: pair[0])]

    def _claim(self, names: set[str]) -> int:
        """Elements of the named parameters that no earlier row has counted; shared ones count once."""
        fresh = names - self.claimed
        self.claimed |= fresh
        return sum(self.sizes[name] for name in fresh)

    def _add(self, module: nn.Module, shape: tuple[int, ...], parameters: int, frame: _Frame) -> None:
        position = self.counter.clock if frame.position is None else frame.position
        row = LayerProfile(
            name=self.names[module],
            kind=type(module).__name__,
            output_shape=shape,
            parameters=parameters,
            macs=frame.macs,
            activations=frame.activations,
            bytes=frame.bytes,
        )
        self.rows.append((position, Counted(row, frame.call, tuple(frame.operations))))


def count_layers(model: nn.Module, x: Tensor) -> list[Counted]:
    """Run `model` on `x`, on the meta device or with real numbers, and count. The model is left as it was."""
    parameters = {name: value.to(x.device) for name, value in model.named_parameters()}
    buffers = {name: value.to(x.device) for name, value in model.named_buffers()}
    counter = _Counter({id(value): name for name, value in parameters.items()})
    recorder = _Recorder(model, counter)
    with _hooked(model, recorder), torch.no_grad(), counter:
        functional_call(model, {**parameters, **buffers}, (x,))
    recorder.add_unrun()
    return recorder.counted()


@contextmanager
def _hooked(model: nn.Module, recorder: _Recorder) -> Iterator[None]:
    """Evaluation mode and hooks inside; each module's own mode and no hooks afterwards."""
    modes = {module: module.training for module in model.modules()}
    handles = [module.register_forward_pre_hook(recorder.enter) for module in modes]
    handles += [module.register_forward_hook(recorder.leave) for module in modes]
    try:
        for module in modes:
            module.training = False
        yield
    finally:
        for handle in handles:
            handle.remove()
        for module, training in modes.items():
            module.training = training


def _tensors(tree: Any) -> Iterator[Tensor]:
    return (leaf for leaf in tree_leaves(tree) if isinstance(leaf, Tensor))
