"""A network's options: gathered from its constructor, and checked together with those that all networks have."""

import inspect
from collections.abc import Callable, Mapping
from functools import wraps
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
from separable.blocks.plain import plain

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
    "with_plain_arguments",
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


def with_plain_arguments(constructor: Callable[..., None]) -> Callable[..., None]:
    """`constructor`, given its arguments as they are kept in files: Python's own numbers in place of numpy's.

    An option whose values are numbers written as text, such as SqueezeNet's `version`, may be given as the number: that
    is what YAML makes of `version=1.1`.
    """
    signature = inspect.signature(constructor)
    written = {name for name, parameter in signature.parameters.items() if _is_written_number(parameter.default)}

    @wraps(constructor)
    def construct(*args: Any, **kwargs: Any) -> None:
        bound = signature.bind(*args, **kwargs)
        for name, value in list(bound.arguments.items())[1:]:  # the first is `self`
            number = plain(value)
            if name in written and isinstance(number, int | float) and not isinstance(number, bool):
                number = str(number)
            bound.arguments[name] = number
        constructor(*bound.args, **bound.kwargs)

    return construct


def _is_written_number(value: object) -> bool:
    return isinstance(value, str) and value.replace(".", "", 1).isdigit()
