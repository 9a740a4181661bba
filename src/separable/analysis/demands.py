"""What anybody's network has to be before it is looked into or run, and what to say where it cannot be run."""

import re
from collections.abc import Sequence

import torch
from torch import nn
from torch.nn.parameter import UninitializedParameter

from separable.analysis.network_failure import is_about_size, own_words
from separable.errors import UsageError

__all__ = ["bare_network", "cannot_run", "demand_openness", "demand_precision", "demand_values", "without_replicas"]

_CHANNELS = re.compile(r"expected input\[.*\] to have (\d+) channels, but got (\d+) channels instead")


def bare_network(model: nn.Module) -> nn.Module:
    """What torch.compile and nn.DataParallel wrap, or `model` itself."""
    while True:
        inner = without_replicas(getattr(model, "_orig_mod", model))
        if inner is model:
            return model
        model = inner


def without_replicas(model: nn.Module) -> nn.Module:
    """What nn.DataParallel makes replicas of, or `model` itself."""
    if isinstance(model, nn.DataParallel | nn.parallel.DistributedDataParallel):
        inner: nn.Module = model.module
        return inner
    return model


def demand_openness(model: nn.Module) -> None:
    """Refuse a network whose layers cannot be watched.

    Raises:
        UsageError: lazy layers without weights, or TorchScript.
    """
    if any(isinstance(value, UninitializedParameter) for value in model.parameters()):
        raise UsageError("The network has lazy layers without weights", fix="Run it once on a picture beforehand")
    if any(isinstance(module, torch.jit.ScriptModule) for module in model.modules()):
        raise UsageError(
            "What TorchScript has compiled cannot be looked into", fix="Give the network that it was compiled from"
        )


def demand_values(model: nn.Module) -> None:
    """Refuse to time a network of shapes alone.

    Raises:
        UsageError: weights on the meta device.
    """
    if any(value.is_meta for value in (*model.parameters(), *model.buffers())):
        raise UsageError(
            "The network has no weights to run with",
            got="tensors on the meta device, which have shapes and no values",
            expected="weights on a device that computes",
            fix='Build it outside of torch.device("meta"), or call its to_empty(device="cpu") in the factory',
        )


def demand_precision(model: nn.Module) -> None:
    """Refuse weights of a type that no ceiling is measured for; a copy in another one would be another network.

    Raises:
        UsageError: weights that are neither fp32 nor bf16.
    """
    dtypes = {value.dtype for value in model.parameters() if value.is_floating_point()}
    strange = sorted(str(dtype).removeprefix("torch.") for dtype in dtypes - {torch.float32, torch.bfloat16})
    if strange:
        raise UsageError(
            "Only networks in fp32 or bf16 are timed",
            got=f"weights in {', '.join(strange)}",
            fix="Let the factory return model.float() or model.bfloat16()",
        )


def cannot_run(error: Exception, shape: Sequence[int]) -> UsageError:
    """The one message for a network of anybody's that failed on an input of `shape`: its own words, and what to try."""
    return UsageError(
        f"The network cannot be run on an input of {'x'.join(map(str, shape))}",
        got=own_words(error),
        fix=_remedy(error, shape),
    )


def _remedy(error: Exception, shape: Sequence[int]) -> str | None:
    """Nothing where the error tells neither of channels nor of a size: then it is the network's own affair."""
    channels = _CHANNELS.search(str(error))
    if channels and len(shape) == 4 and int(channels[2]) == shape[1]:
        wanted = "x".join(map(str, (shape[0], int(channels[1]), *shape[2:])))
        return f"Give it what its first layer takes: --input {wanted}"
    return "Give it a size that it can take" if is_about_size(error, shape[1] if len(shape) > 1 else 0) else None
