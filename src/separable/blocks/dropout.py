"""Dropout whose mask is a pure function of the sample, so that it survives restarts and re-sharded batches."""

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from separable.errors import UsageError

__all__ = ["KeyedDropout", "hash_uniform", "set_dropout_keys"]

_GOLDEN = -7046029254386353131  # 0x9E3779B97F4A7C15 as a signed number: 2^64 / golden ratio
_MIX1 = -4658895280553007687  # 0xBF58476D1CE4E5B9
_MIX2 = -7723592293110705685  # 0x94D049BB133111EB


class KeyedDropout(nn.Module):
    """Inverted dropout (arXiv:1207.0580) with a counter-based mask.

    In training with `keys` set, an int64 tensor of one key per sample, element e of sample i is dropped when
    hash(keys[i], index, e) falls below `p`: the same on every device, in every batch the sample may land in. `index`
    tells the dropout layers of one network apart. Without keys this is `torch.nn.functional.dropout`.

    `keys` is no buffer: distributed training would overwrite every process's keys with those of the first.
    """

    def __init__(self, p: float) -> None:
        super().__init__()
        if not 0.0 <= p < 1.0:
            raise UsageError("Dropout probability out of range", got=p, expected="0 <= p < 1")
        self.p = p
        self.index = 0
        self.keys: Tensor | None = None

    def forward(self, x: Tensor) -> Tensor:
        if not self.training or self.p == 0.0:
            return x
        if self.keys is None:
            return F.dropout(x, self.p, training=True)
        if self.keys.shape != x.shape[:1]:
            raise UsageError(
                "Dropout needs one key per sample",
                got=f"{tuple(self.keys.shape)} keys for a batch of {x.shape[0]}",
                fix="Call set_dropout_keys with this batch's keys before the forward pass, or with None",
            )
        uniform = hash_uniform(self.keys.to(x.device), self.index, x[0].numel())
        keep = (uniform >= round(self.p * 2**32)).view(x.shape)
        return x * keep.to(x.dtype) / (1.0 - self.p)

    def extra_repr(self) -> str:
        return f"p={self.p}"


def set_dropout_keys(model: nn.Module, keys: Tensor | None) -> None:
    """Give every `KeyedDropout` of `model` the keys (int64, one per sample) of the next batch; None forgets them."""
    layers = (module for module in model.modules() if isinstance(module, KeyedDropout))
    for index, layer in enumerate(layers):
        layer.index, layer.keys = index, keys


def hash_uniform(keys: Tensor, index: int, count: int) -> Tensor:
    """`count` integers for each key, uniform in [0, 2^32): splitmix64 on int64, whose products wrap around.

    Shapes: keys (N,) int64 -> (N, count) int64.
    """
    elements = torch.arange(1, count + 1, device=keys.device, dtype=torch.int64)
    stream = _mix(keys + _wrap(_GOLDEN * (index + 1)))
    return _shift(_mix(stream[:, None] + elements * _GOLDEN), 32)


def _mix(x: Tensor) -> Tensor:
    x = (x ^ _shift(x, 30)) * _MIX1
    x = (x ^ _shift(x, 27)) * _MIX2
    return x ^ _shift(x, 31)


def _shift(x: Tensor, bits: int) -> Tensor:
    """Logical right shift; torch's copies the sign bit in."""
    return (x >> bits) & ((1 << (64 - bits)) - 1)


def _wrap(value: int) -> int:
    """A Python integer folded into int64."""
    return (value + 2**63) % 2**64 - 2**63
