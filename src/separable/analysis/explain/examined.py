"""A network held still while it is looked into, what its answer is, and which class is asked about."""

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any

import torch
from torch import Tensor, nn

from separable.errors import UsageError

__all__ = ["Scores", "Targets", "class_scores", "demand_classes", "examined", "logits_of", "prepared", "targets_of"]

Targets = int | Sequence[int] | Tensor | None
"""One class for every picture, one each, or None for the class each picture is taken for."""
Scores = Callable[[nn.Module, Tensor], Tensor]
"""What is explained: (network, pictures (N, C, H, W)) -> a number for each picture and class, (N, classes)."""


@contextmanager
def examined(model: nn.Module) -> Iterator[None]:
    """Inside: evaluation mode, no gradients of parameters, autograd on whatever stands outside. Afterwards: as it was.

    Modes are set module by module, because `train` and `eval` may be overridden to do more.
    """
    modes = [(module, module.training) for module in model.modules()]
    wanted = [(parameter, parameter.requires_grad) for parameter in model.parameters()]
    try:
        for module, _ in modes:
            module.training = False
        for parameter, _ in wanted:
            parameter.requires_grad_(False)
        with torch.inference_mode(False), torch.enable_grad():
            yield
    finally:
        for parameter, requires_grad in wanted:
            parameter.requires_grad_(requires_grad)
        for module, training in modes:
            module.training = training


def prepared(inputs: Tensor) -> Tensor:
    """`inputs` as a plain tensor: without a history, and usable by autograd where inference mode made them.

    Raises:
        UsageError: they are no batch of pictures.
    """
    if not isinstance(inputs, Tensor) or inputs.dim() != 4 or not inputs.is_floating_point() or not len(inputs):
        got = f"{inputs.dtype} {tuple(inputs.shape)}" if isinstance(inputs, Tensor) else type(inputs).__name__
        raise UsageError("There is nothing to explain", got=got, expected="floating-point pictures (N, C, H, W)")
    return inputs.detach().clone()


def logits_of(output: Any) -> Tensor:
    """(N, classes) from whatever a classifier's forward returns: a tensor, a tuple with it first, or one by name.

    Raises:
        UsageError: there is no such tensor in it.
    """
    found = output
    while not isinstance(found, Tensor):
        if isinstance(found, Mapping):
            found = next((found[name] for name in ("logits", "out") if name in found), None)
        elif isinstance(found, list | tuple) and found:
            found = found[0]
        else:
            found = getattr(found, "logits", None)
        if found is None:
            break
    if isinstance(found, Tensor) and found.dim() == 2 and found.shape[1] > 0:
        return found
    got = f"{type(output).__name__}" if found is None else f"a tensor of shape {tuple(found.shape)}"
    raise UsageError("This network gives no logits to explain", got=got, expected="a classifier: logits (N, classes)")


def class_scores(model: nn.Module, inputs: Tensor) -> Tensor:
    """The logits of a network that classifies."""
    return logits_of(model(inputs))


def demand_classes(model: nn.Module) -> None:
    """Refuse a network built with num_classes=0, whose pooled features look like logits.

    Raises:
        UsageError: it is one.
    """
    classes = getattr(model, "num_classes", None)
    if isinstance(classes, int) and classes == 0:
        raise UsageError(
            "This network has no classifier: it puts out features, and they are no answers",
            got="num_classes=0",
            expected="a network with classes",
            fix="Build it with as many classes as it was trained for, or load a model that has them",
        )


def targets_of(target: Targets, logits: Tensor) -> Tensor:
    """(N,) class numbers on the logits' device.

    Raises:
        UsageError: a class that the network does not have, or another number of classes than pictures.
    """
    pictures, classes = logits.shape
    if target is None:
        return logits.argmax(1)
    chosen = torch.as_tensor(target, device=logits.device)
    if chosen.dtype.is_floating_point or chosen.dtype == torch.bool or chosen.dtype.is_complex:
        raise UsageError("`target` is no class number", got=repr(target), expected="integers")
    if chosen.dim() > 1 or (chosen.dim() == 1 and len(chosen) not in (1, pictures)):
        raise UsageError(
            "`target` does not fit the pictures",
            got=f"shape {tuple(chosen.shape)} for {pictures} pictures",
            expected="one class number, or one for each picture",
        )
    if int(chosen.min()) < 0 or int(chosen.max()) >= classes:
        raise UsageError("There is no such class", got=chosen.tolist(), expected=f"0 to {classes - 1}")
    return chosen.to(torch.int64).expand(pictures)
