"""Polyak averaging: a running mean of the weights, with which the papers evaluate (1610.02357 section 4.2)."""

from collections.abc import Iterator
from contextlib import contextmanager

import torch
from torch import nn

__all__ = ["WeightAverage"]


class WeightAverage:
    """The exponential mean of a model's parameters and float buffers, kept in fp32.

    The decay warms up as TensorFlow's `ExponentialMovingAverage` does with `num_updates`: min(decay, (1 + n)/(10 + n)).
    Batch norm's running statistics are averaged like weights, as TF-slim does (they belong to the averaged weights
    more than the last ones do); counters are copied.
    """

    def __init__(self, model: nn.Module, decay: float) -> None:
        self.decay, self.updates = decay, 0
        # The live tensors themselves: they are only ever written in place, and asking for them anew is slow.
        self._live = {name: tensor.detach() for name, tensor in model.state_dict(keep_vars=True).items()}
        self.tensors = {name: tensor.clone() for name, tensor in self._live.items()}
        floating = [name for name, tensor in self._live.items() if tensor.is_floating_point()]
        self._pairs = [self.tensors[name] for name in floating], [self._live[name] for name in floating]
        self._counters = [name for name in self._live if name not in set(floating)]

    @torch.no_grad()
    def update(self) -> None:
        """Take in the model's present weights."""
        self.updates += 1
        decay = min(self.decay, (1 + self.updates) / (10 + self.updates))
        torch._foreach_lerp_(*self._pairs, 1 - decay)
        for name in self._counters:
            self.tensors[name].copy_(self._live[name])

    @torch.no_grad()
    def load(self, tensors: dict[str, torch.Tensor], updates: int) -> None:
        """Restore what a checkpoint kept."""
        for name, own in self.tensors.items():
            own.copy_(tensors[name])
        self.updates = updates

    @contextmanager
    def applied(self) -> Iterator[None]:
        """The model holds the mean inside the block, and its own weights, to the bit, after it."""
        own = {name: tensor.clone() for name, tensor in self._live.items()}
        self._write(self.tensors)
        try:
            yield
        finally:
            self._write(own)

    @torch.no_grad()
    def _write(self, tensors: dict[str, torch.Tensor]) -> None:
        for name, target in self._live.items():
            target.copy_(tensors[name])
