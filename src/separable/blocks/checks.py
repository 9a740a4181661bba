"""Checks of options, each with a message that names the option; types first, so that none is compared blindly.

A number may be numpy's: what counts is that it is one.
"""

import math
from collections.abc import Sequence

from separable.blocks.plain import plain
from separable.errors import ModelOptionError

__all__ = [
    "check_choice",
    "check_flag",
    "check_fraction",
    "check_length",
    "check_minimum",
    "check_odd",
    "check_pairs",
    "check_positive",
    "check_widths",
]


def check_choice(name: str, value: object, choices: Sequence[object]) -> None:
    """Raise ModelOptionError unless `value` is one of `choices`, which are strings, integers or None."""
    value = plain(value)
    comparable = value is None or isinstance(value, str) or _is_integer(value)
    if not comparable or value not in choices:
        _refuse(name, value, " or ".join(repr(choice) for choice in choices))


def check_flag(name: str, value: object) -> None:
    """Raise ModelOptionError unless `value` is True or False: "no" and "False" would count as true."""
    if not isinstance(plain(value), bool):
        _refuse(name, value, "True or False")


def check_fraction(name: str, value: object) -> None:
    """Raise ModelOptionError unless 0 <= value < 1."""
    value = plain(value)
    if not _is_number(value) or not 0.0 <= value < 1.0:  # type: ignore[operator] # NaN fails too
        _refuse(name, value, "a number from 0 to below 1")


def check_length(name: str, value: object, length: int) -> None:
    """Raise ModelOptionError unless `value` is a list or tuple of `length` entries, whatever they are."""
    value = plain(value)
    if not isinstance(value, Sequence) or isinstance(value, str) or len(value) != length:
        _refuse(name, value, f"a list of {length}")


def check_minimum(name: str, value: object, smallest: int) -> None:
    """Raise ModelOptionError unless `value` is an integer of at least `smallest`."""
    value = plain(value)
    if not _is_integer(value) or value < smallest:  # type: ignore[operator]
        _refuse(name, value, f"an integer of at least {smallest}")


def check_odd(name: str, value: object, smallest: int = 1) -> None:
    """Raise ModelOptionError unless `value` is an odd integer of at least `smallest`."""
    value = plain(value)
    if not _is_integer(value) or value < smallest or value % 2 == 0:  # type: ignore[operator]
        _refuse(name, value, f"an odd integer of at least {smallest}")


def check_pairs(name: str, value: object) -> None:
    """Raise ModelOptionError unless `value` is a list of pairs of integers of at least 1, at least one pair."""
    value = plain(value)
    if not isinstance(value, list | tuple) or not value or not all(map(_is_pair, value)):
        _refuse(name, value, "a list of pairs of integers of at least 1")


def check_positive(name: str, value: object) -> None:
    """Raise ModelOptionError unless value > 0, and finite."""
    value = plain(value)
    if not _is_number(value) or not 0.0 < value < math.inf:  # type: ignore[operator]
        _refuse(name, value, "a number above 0")


def check_widths(name: str, value: object) -> None:
    """Raise ModelOptionError unless `value` is a sequence of integers of at least 1, or empty."""
    value = plain(value)
    if not isinstance(value, Sequence) or not all(_is_integer(entry) and entry >= 1 for entry in value):
        _refuse(name, value, "a list of integers of at least 1")


def _is_integer(value: object) -> bool:
    return isinstance(value, int) and not isinstance(value, bool)


def _is_pair(value: object) -> bool:
    return (
        isinstance(value, list | tuple) and len(value) == 2 and all(_is_integer(side) and side >= 1 for side in value)
    )


def _is_number(value: object) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool)


def _refuse(name: str, value: object, expected: str) -> None:
    raise ModelOptionError(f"Bad model option {name}", got=repr(plain(value)), expected=expected)
