"""A network's options: gathered from its constructor, and checked together with those that all networks have."""

from collections.abc import Mapping
from typing import Any

from separable.blocks.checks import (
    check_choice,
    check_flag,
    check_fraction,
    check_length,
    check_minimum,
    check_positive,
    check_widths,
)

__all__ = [
    "check_choice",
    "check_common",
    "check_flag",
    "check_fraction",
    "check_length",
    "check_minimum",
    "check_positive",
    "check_widths",
    "given",
]


def given(scope: Mapping[str, Any], *without: str) -> dict[str, Any]:
    """The options among the arguments of a network's constructor, for `build_model` to build it again.

    Args:
        scope: `locals()`, taken before anything else is assigned.
        without: arguments that the network's name stands for.
    """
    left_out = {"self", "__class__", "num_classes", *without}
    kept = {name: value for name, value in scope.items() if name not in left_out}
    return {name: tuple(value) if isinstance(value, list) else value for name, value in kept.items()}


def check_common(
    num_classes: object, in_channels: object, width: object, dropout: object, features_only: object
) -> None:
    """Raise ModelOptionError unless the arguments that every network has are legal."""
    check_minimum("num_classes", num_classes, 0)
    check_minimum("in_channels", in_channels, 1)
    check_positive("width", width)
    check_fraction("dropout", dropout)
    check_flag("features_only", features_only)
