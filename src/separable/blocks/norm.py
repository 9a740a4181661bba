"""Batch normalisation with the constants of the networks built here."""

from collections.abc import Iterator
from contextlib import contextmanager

from torch import nn

__all__ = [
    "BATCH_NORM_EPS",
    "BATCH_NORM_MOMENTUM",
    "batch_norm",
    "frozen_running_statistics",
    "keep_own_eps",
    "own_eps",
]

BATCH_NORM_EPS = 1e-3
"""Keras' and TF-slim's epsilon. torch's 1e-5 changes the logits of their published weights visibly."""

BATCH_NORM_MOMENTUM = 0.01
"""The weight of the newest batch, torch's convention; Keras calls the same thing momentum 0.99."""


def batch_norm(channels: int, *, gamma: bool = True) -> nn.BatchNorm2d:
    """Batch normalisation over `channels`; without `gamma` it has a learned offset only (Keras' `scale=False`)."""
    norm = nn.BatchNorm2d(channels, eps=BATCH_NORM_EPS, momentum=BATCH_NORM_MOMENTUM)
    if not gamma:
        norm.register_parameter("weight", None)
    return norm


def keep_own_eps(module: nn.Module, eps: float) -> None:
    """Give every batch normalisation in `module` an epsilon of its own, whatever that of the network's weights is."""
    for layer in module.modules():
        if isinstance(layer, nn.BatchNorm2d):
            layer.eps = layer.own_eps = eps  # type: ignore[assignment]


def own_eps(norm: nn.BatchNorm2d, otherwise: float) -> float:
    """What `keep_own_eps` gave `norm`, or `otherwise`."""
    found: float = vars(norm).get("own_eps", otherwise)
    return found


@contextmanager
def frozen_running_statistics(module: nn.Module) -> Iterator[None]:
    """Inside, training-mode forwards of `module` normalise by the batch but leave the running statistics alone.

    Gradient checkpointing runs each block a second time during the backward pass; without this, that second run would
    fold the same batch into the running statistics twice.
    """
    norms = [child for child in module.modules() if isinstance(child, nn.BatchNorm2d) and child.track_running_stats]
    kept = [(norm, norm.momentum, norm.num_batches_tracked) for norm in norms]
    for norm in norms:
        norm.momentum, norm.num_batches_tracked = 0.0, None
    try:
        yield
    finally:
        for norm, momentum, batches in kept:
            norm.momentum, norm.num_batches_tracked = momentum, batches
