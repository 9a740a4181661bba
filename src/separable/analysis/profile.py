"""What a network costs, layer by layer, without running it: shapes, parameters, multiply-adds, memory traffic."""

import operator
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import Any

import torch
from torch import Tensor, nn

from separable.analysis.counting import Counted, LayerProfile, count_layers
from separable.analysis.text_table import text_table
from separable.errors import UsageError

__all__ = ["LayerProfile", "Profile", "count", "profile"]


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
        return text_table([header, *rows, ("total", "", "", *totals)])


def profile(model: nn.Module, input_shape: Sequence[int] | Tensor) -> Profile:
    """Count what one evaluation of `model` costs.

    Any `nn.Module` that takes one tensor will do. The forward pass runs on the meta device, which computes shapes and
    nothing else, so it takes milliseconds at any size; a module that needs real numbers (a branch on a value) runs on
    zeros where its parameters are. The model is left as it was, its mode and statistics too.

    Args:
        model: in any mode; it is counted in evaluation mode.
        input_shape: (N, C, H, W), or a tensor whose shape and dtype count.

    Raises:
        UsageError: `input_shape` is neither, or `model` no module.
    """
    return count(model, input_shape)[0]


def count(model: nn.Module, input_shape: Sequence[int] | Tensor) -> tuple[Profile, tuple[Counted, ...]]:
    """`profile`, and beside each of its rows what the layer did there."""
    if not isinstance(model, nn.Module):
        raise UsageError(
            "Only a network can be profiled", got=repr(model)[:100], expected="a torch.nn.Module, not its name or class"
        )
    shape = _shape(input_shape)
    first = next(iter(model.parameters()), torch.zeros(()))
    like = input_shape if isinstance(input_shape, Tensor) else torch.zeros((), dtype=first.dtype)
    try:
        rows = count_layers(model, torch.zeros(shape, dtype=like.dtype, device="meta"))
    except (NotImplementedError, RuntimeError):  # the module looks at values; a mistaken shape fails again below
        rows = count_layers(model, torch.zeros(shape, dtype=like.dtype, device=first.device))
    return Profile(shape, tuple(row.layer for row in rows)), tuple(rows)


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
