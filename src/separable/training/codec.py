"""Frozen dataclasses to plain values and back, so that a configuration survives YAML without losing its types."""

import dataclasses
import difflib
import math
import types
from collections.abc import Mapping
from typing import Any, Literal, TypeVar, Union, get_args, get_origin, get_type_hints

from separable.errors import UsageError

__all__ = ["differences", "from_plain", "overridden", "to_plain"]

T = TypeVar("T")


def to_plain(value: Any) -> Any:
    """Dataclasses to dicts and tuples to lists, all the way down; everything else as it is."""
    if dataclasses.is_dataclass(value) and not isinstance(value, type):
        return {field.name: to_plain(getattr(value, field.name)) for field in dataclasses.fields(value)}
    if isinstance(value, Mapping):
        return {str(key): to_plain(entry) for key, entry in value.items()}
    if isinstance(value, list | tuple):
        return [to_plain(entry) for entry in value]
    return value


def from_plain(kind: type[T], plain: Any, where: str = "") -> T:
    """Build the dataclass `kind` from nested dicts; a missing key takes its default.

    Raises:
        UsageError: an unknown key (with the nearest known one), a missing one without default, a value of a wrong type.
    """
    if not isinstance(plain, Mapping):
        raise UsageError(f"{where or 'The configuration'} must be a mapping", got=repr(plain), expected="key: value")
    hints = get_type_hints(kind)
    fields = {field.name: field for field in dataclasses.fields(kind) if field.init}  # type: ignore[arg-type]
    for key in plain:
        if key not in fields:
            raise _unknown_key(_join(where, key), str(key), list(fields))
    for name, field in fields.items():
        required = field.default is dataclasses.MISSING and field.default_factory is dataclasses.MISSING
        if required and name not in plain:
            raise UsageError(f"{_join(where, name)} is missing", fix=f"Add {name}: to the configuration")
    values = {name: _convert(hints[name], plain[name], _join(where, name)) for name in fields if name in plain}
    return kind(**values)


def overridden(plain: dict[str, Any], settings: Mapping[str, Any], called: str = "") -> dict[str, Any]:
    """`{"optimiser.momentum": 0.8}` put in its place in nested dicts; `from_plain` then says what is wrong with it.

    Args:
        plain: is changed, and returned.
        settings: by dotted names.
        called: what comes before a name in an error, such as "--set ".

    Raises:
        UsageError: there is no such section.
    """
    for path, value in settings.items():
        *sections, name = path.split(".")
        place = plain
        for section in sections:
            inner = place.get(section)
            if not isinstance(inner, dict):
                raise UsageError(
                    f"{called}{path}: there is no section {section!r}",
                    expected="one of " + ", ".join(key for key, entry in place.items() if isinstance(entry, dict)),
                )
            place = inner
        place[name] = value
    return plain


def differences(left: Any, right: Any, where: str = "") -> list[str]:
    """Where two plain trees differ: `path: left, not right`, in the order of the keys of `left`."""
    if isinstance(left, Mapping) and isinstance(right, Mapping):
        keys = [*left, *(key for key in right if key not in left)]
        found = [differences(left.get(key), right.get(key), _join(where, key)) for key in keys]
        return [line for lines in found for line in lines]
    if left != right:
        return [f"{where}: {left!r}, not {right!r}"]
    return []


def _join(where: str, name: object) -> str:
    return f"{where}.{name}" if where else str(name)


def _unknown_key(path: str, key: str, known: list[str]) -> UsageError:
    close = difflib.get_close_matches(key, known, n=1)
    fix = f"Did you mean {close[0]!r}?" if close else None
    return UsageError(f"Unknown key {path!r} in the configuration", expected="one of " + ", ".join(known), fix=fix)


def _convert(hint: Any, value: Any, where: str) -> Any:
    origin, arguments = get_origin(hint), get_args(hint)
    if origin in (Union, types.UnionType):
        return _convert_union(arguments, value, where)
    if origin is Literal:
        if value not in arguments:
            raise UsageError(f"{where} has an illegal value", got=repr(value), expected=_listed(arguments))
        return value
    if origin is tuple:
        return _convert_tuple(arguments, value, where)
    if origin is dict:
        if not isinstance(value, Mapping):
            raise _wrong_type(where, value, "a mapping")
        return {key: _convert(arguments[1], entry, _join(where, key)) for key, entry in value.items()}
    if dataclasses.is_dataclass(hint):
        return from_plain(hint, value, where)  # type: ignore[arg-type]
    return _convert_scalar(hint, value, where)


def _convert_union(arguments: tuple[Any, ...], value: Any, where: str) -> Any:
    if value is None and type(None) in arguments:
        return None
    kinds = [kind for kind in arguments if kind is not type(None)]
    for kind in kinds[:-1]:
        try:
            return _convert(kind, value, where)
        except UsageError:
            continue
    return _convert(kinds[-1], value, where)


def _convert_tuple(arguments: tuple[Any, ...], value: Any, where: str) -> tuple[Any, ...]:
    if not isinstance(value, list | tuple):
        raise _wrong_type(where, value, "a list")
    if len(arguments) == 2 and arguments[1] is Ellipsis:
        return tuple(_convert(arguments[0], entry, f"{where}[{i}]") for i, entry in enumerate(value))
    if len(value) != len(arguments):
        raise _wrong_type(where, value, f"a list of {len(arguments)} values")
    return tuple(_convert(kind, entry, f"{where}[{i}]") for i, (kind, entry) in enumerate(zip(arguments, value)))  # noqa: B905 - lengths were just compared


def _convert_scalar(hint: Any, value: Any, where: str) -> Any:
    if hint is Any:
        return value
    if hint is float:
        return _convert_float(value, where)
    if hint is int and isinstance(value, bool):
        raise _wrong_type(where, value, "a whole number")
    if not isinstance(value, hint):
        names = {int: "a whole number", str: "a text", bool: "true or false"}
        raise _wrong_type(where, value, names.get(hint, str(hint)))
    return value


def _convert_float(value: Any, where: str) -> float:
    # YAML 1.1 reads 1e-5 (no dot) as a text, and a user means the number.
    try:
        number = float(value) if not isinstance(value, bool) else math.nan
    except (TypeError, ValueError):
        number = math.nan
    if math.isnan(number):
        raise _wrong_type(where, value, "a number")
    return number


def _wrong_type(where: str, value: object, expected: str) -> UsageError:
    return UsageError(f"{where} has a value of the wrong type", got=repr(value), expected=expected)


def _listed(values: tuple[Any, ...]) -> str:
    return "one of " + ", ".join(repr(value) for value in values)
