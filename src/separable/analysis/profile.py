"""What a network costs, layer by layer, without running it: shapes, parameters, multiply-adds, memory traffic."""

import operator
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from typing import Any

import torch
from torch import Tensor, nn
from torch.func import functional_call
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_leaves
from torch.utils.flop_counter import flop_registry

from separable.errors import UsageError

__all__ = ["LayerProfile", "Profile", "profile"]


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
class Profile:
    """The layers in the order they run; the totals are the sums of their columns."""

    input_shape: tuple[int, ...]
    layers: tuple[LayerProfile, ...]

    @property
    def parameters(self) -> int:
        return sum(layer.parameters for layer in self.layers)

    @property
    def macs(self) -> int:
        return sum(layer.macs for layer in self.layers)

    @property
    def activations(self) -> int:
        return sum(layer.activations for layer in self.layers)

    @property
    def bytes(self) -> int:
        return sum(layer.bytes for layer in self.layers)

    def to_json(self) -> dict[str, Any]:
        """Plain dicts, lists and numbers: `input_shape`, the four totals, `layers`."""
        return {
            "input_shape": list(self.input_shape),
            "parameters": self.parameters,
            "macs": self.macs,
            "activations": self.activations,
            "bytes": self.bytes,
            "layers": [{**asdict(layer), "output_shape": list(layer.output_shape)} for layer in self.layers],
        }

    def to_text(self) -> str:
        """A table of fixed-width columns, totals last."""
        header = ("layer", "kind", "output", "parameters", "MACs", "activations", "bytes")
        rows = [
            (
                layer.name,
                layer.kind,
                "x".join(map(str, layer.output_shape)) or "not run",
                *(f"{value:,}" for value in (layer.parameters, layer.macs, layer.activations, layer.bytes)),
            )
            for layer in self.layers
        ]
        totals = (f"{value:,}" for value in (self.parameters, self.macs, self.activations, self.bytes))
        return _table([header, *rows, ("total", "", "", *totals)])


def profile(model: nn.Module, input_shape: Sequence[int] | Tensor) -> Profile:
    """Count what one evaluation of `model` costs.

    Any `nn.Module` that takes one tensor will do. The forward pass runs on the meta device, which computes shapes and
    nothing else, so it takes milliseconds at any size; a module that needs real numbers (a branch on a value) runs on
    zeros where its parameters are. The model is left as it was, its mode and statistics too.

    Args:
        model: in any mode; it is counted in evaluation mode.
        input_shape: (N, C, H, W), or a tensor whose shape and dtype count.

    Raises:
        UsageError: `input_shape` is neither.
    """
    shape = _shape(input_shape)
    first = next(iter(model.parameters()), torch.zeros(()))
    like = input_shape if isinstance(input_shape, Tensor) else torch.zeros((), dtype=first.dtype)
    try:
        layers = _count(model, torch.zeros(shape, dtype=like.dtype, device="meta"))
    except (NotImplementedError, RuntimeError):  # the module looks at values; a mistaken shape fails again below
        layers = _count(model, torch.zeros(shape, dtype=like.dtype, device=first.device))
    return Profile(shape, tuple(layers))


class _Frame:
    """A module being run: what its own operations, those outside its children, have cost so far."""

    def __init__(self) -> None:
        self.macs = self.activations = self.bytes = 0
        self.position: int | None = None
        """When the first operation that costs anything ran."""
        self.has_children = False
        self.used: set[str] = set()
        """Names of the parameters that its operations touched."""


class _Counter(TorchDispatchMode):
    """Sees every operation below autograd and charges it to the innermost module that is running."""

    def __init__(self, parameters: dict[int, str]) -> None:
        super().__init__()
        self.parameters = parameters
        """From a parameter's identity to its name."""
        self.frames = [_Frame()]
        self.clock = 0

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        result = func(*args, **(kwargs or {}))
        frame = self.frames[-1]
        frame.used |= {self.parameters[id(t)] for t in _tensors((args, kwargs)) if id(t) in self.parameters}
        count = flop_registry.get(func.overloadpacket)
        if count is not None:
            frame.macs += count(*args, **(kwargs or {}), out_val=result) // 2
            frame.activations += sum(tensor.numel() for tensor in _tensors(result))
        if not func.is_view:
            self.clock += 1
            frame.position = frame.position or self.clock
            touched = [*_tensors((args, kwargs)), *_tensors(result)]
            frame.bytes += sum(tensor.numel() * tensor.element_size() for tensor in touched)
        return result


class _Recorder:
    """Forward hooks that turn module calls into rows."""

    def __init__(self, model: nn.Module, counter: _Counter) -> None:
        self.counter = counter
        self.rows: list[tuple[int, LayerProfile]] = []
        self.names = {module: name or "(model)" for name, module in model.named_modules()}
        self.sizes = {name: parameter.numel() for name, parameter in model.named_parameters()}
        # Parameters are swapped for meta ones during the run, so ownership is read beforehand.
        canonical = {parameter: name for name, parameter in model.named_parameters()}
        self.own = {m: {canonical[p] for p in m.parameters(recurse=False)} for m in model.modules()}
        self.claimed: set[str] = set()

    def enter(self, module: nn.Module, _inputs: Any) -> None:
        self.counter.frames[-1].has_children = True
        self.counter.frames.append(_Frame())

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

    def layers(self) -> list[LayerProfile]:
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
        self.rows.append((position, row))


def _count(model: nn.Module, x: Tensor) -> list[LayerProfile]:
    parameters = {name: value.to(x.device) for name, value in model.named_parameters()}
    buffers = {name: value.to(x.device) for name, value in model.named_buffers()}
    counter = _Counter({id(value): name for name, value in parameters.items()})
    recorder = _Recorder(model, counter)
    with _hooked(model, recorder), torch.no_grad(), counter:
        functional_call(model, {**parameters, **buffers}, (x,))
    recorder.add_unrun()
    return recorder.layers()


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


def _shape(given: Sequence[int] | Tensor) -> tuple[int, ...]:
    try:
        shape = tuple(operator.index(side) for side in (given.shape if isinstance(given, Tensor) else given))
    except TypeError:
        shape = (-1,)
    if min(shape, default=0) < 0:
        raise UsageError(
            "`input_shape` is no shape", got=repr(given), expected="(N, C, H, W), for example (1, 3, 224, 224)"
        )
    return shape


def _tensors(tree: Any) -> Iterator[Tensor]:
    return (leaf for leaf in tree_leaves(tree) if isinstance(leaf, Tensor))


def _table(rows: Iterable[Sequence[str]]) -> str:
    rows = list(rows)
    widths = [max(len(cell) for cell in column) for column in zip(*rows, strict=True)]
    lines = []
    for row in rows:
        left = [cell.ljust(width) for cell, width in zip(row[:3], widths[:3], strict=True)]
        right = [cell.rjust(width) for cell, width in zip(row[3:], widths[3:], strict=True)]
        lines.append("  ".join([*left, *right]).rstrip())
    return "\n".join([lines[0], "-" * max(map(len, lines)), *lines[1:-1], "-" * max(map(len, lines)), lines[-1]])
