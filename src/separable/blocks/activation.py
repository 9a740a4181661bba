"""Activations by the names that papers and options use."""

from collections.abc import Callable

from torch import nn

from separable.blocks.checks import check_choice

__all__ = ["ACTIVATIONS", "make_activation"]

ACTIVATIONS: dict[str | None, Callable[[], nn.Module]] = {
    None: nn.Identity,
    "relu": nn.ReLU,
    "relu6": nn.ReLU6,
    "elu": nn.ELU,
}


def make_activation(name: str | None) -> nn.Module:
    """A fresh activation module; None is the identity.

    Raises:
        ModelOptionError: no activation of that name.
    """
    check_choice("activation", name, tuple(ACTIVATIONS))
    return ACTIVATIONS[name]()
