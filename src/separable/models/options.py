"""Checks of model options, each with a message that names the option."""

from collections.abc import Sequence

from separable.errors import ModelOptionError

__all__ = ["check_choice", "check_fraction", "check_minimum", "check_positive"]


def check_choice(name: str, value: object, choices: Sequence[object]) -> None:
    """Raise ModelOptionError unless `value` is one of `choices`."""
    if value not in choices:
        raise ModelOptionError(
            f"Bad model option {name}", got=repr(value), expected=" or ".join(repr(choice) for choice in choices)
        )


def check_fraction(name: str, value: float) -> None:
    """Raise ModelOptionError unless 0 <= value < 1."""
    if not 0.0 <= value < 1.0:
        raise ModelOptionError(f"Bad model option {name}", got=value, expected="a number from 0 to below 1")


def check_minimum(name: str, value: int, smallest: int) -> None:
    """Raise ModelOptionError unless `value` is an integer of at least `smallest`."""
    if not isinstance(value, int) or value < smallest:
        raise ModelOptionError(
            f"Bad model option {name}", got=repr(value), expected=f"an integer of at least {smallest}"
        )


def check_positive(name: str, value: float) -> None:
    """Raise ModelOptionError unless value > 0."""
    if not value > 0.0:
        raise ModelOptionError(f"Bad model option {name}", got=value, expected="a number above 0")
