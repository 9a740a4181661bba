"""`classes.yaml`: which colour or number in the masks is which class."""

from pathlib import Path
from typing import Any

import yaml

from separable.errors import DataFolderError, UsageError
from separable.segmentation.coding import COLOUR, MaskCoding
from separable.segmentation.palette import parse_colour

__all__ = ["classes_text", "read_classes"]

_MOST_BYTES = 1 << 20
_EXAMPLE = 'classes: [{name: background, colour: "#000000"}, {name: cat, colour: "#ff0000"}], then ignore: ["#ffffff"]'


def read_classes(path: str | Path) -> MaskCoding:
    """Read a list of classes, each with its `name` and either its `colour` or its `value` in the masks.

    `ignore` lists the colours or values that are no class. Without it, 255 is ignored where no class has it.
    The order is that of the class indices. A class may come twice, under one name, with another colour or value.

    Raises:
        DataFolderError: it cannot be read, is no such list, or contradicts itself; the message names the entry.
    """
    path = Path(path)
    try:
        return _coding(_load(path))
    except UsageError as error:
        raise DataFolderError(
            f"{path}: {error.what}", got=error.got, expected=error.expected or _EXAMPLE, fix=error.fix
        ) from error


def classes_text(names: list[str], values: list[int], ignored: list[int]) -> str:
    """A `classes.yaml` to begin with, which `read_classes` reads."""
    entries = [{"name": name, **_written(value)} for name, value in zip(names, values, strict=True)]
    shown: dict[str, Any] = {"classes": entries}
    if ignored:
        shown["ignore"] = [next(iter(_written(value).values())) for value in ignored]
    return yaml.safe_dump(shown, sort_keys=False, allow_unicode=True)


def _written(value: int) -> dict[str, Any]:
    return {"colour": f"#{value - COLOUR:06x}"} if value >= COLOUR else {"value": value}


def _load(path: Path) -> Any:
    try:
        data = path.read_bytes()
    except OSError as error:
        raise UsageError("it cannot be read", got=error.strerror or str(error)) from error
    if len(data) > _MOST_BYTES:
        raise UsageError("it is no list of classes", got=f"{len(data):,} bytes", expected="at most a megabyte")
    try:
        if any(isinstance(event, yaml.AliasEvent) for event in yaml.parse(data)):  # aliases of aliases grow without end
            raise UsageError("it has YAML aliases", expected="every class written out")
        return yaml.safe_load(data)
    except (yaml.YAMLError, ValueError, RecursionError) as error:
        raise UsageError("it is not YAML", got=" ".join(str(error).split())[:160]) from error


def _coding(content: Any) -> MaskCoding:
    if not isinstance(content, dict) or not isinstance(content.get("classes"), list) or not content["classes"]:
        raise UsageError("it has no list of classes", got=type(content).__name__)
    unknown = sorted(str(key) for key in set(content) - {"classes", "ignore"})
    if unknown:
        raise UsageError("it has entries that mean nothing", got=", ".join(unknown), expected="classes and ignore")
    names: list[str] = []
    values: list[tuple[int, int]] = []
    for number, entry in enumerate(content["classes"], start=1):
        name, value = _entry(number, entry)
        if name not in names:
            names.append(name)
        values.append((value, names.index(name)))
    return MaskCoding(tuple(names), tuple(values), _ignored(content.get("ignore"), values), _colours(names, values))


def _entry(number: int, entry: Any) -> tuple[str, int]:
    where = f"class {number}"
    if not isinstance(entry, dict) or not isinstance(entry.get("name"), str) or not entry["name"].strip():
        raise UsageError(f"{where} has no name", got=repr(entry)[:80], expected="a name in letters, quoted if need be")
    given = sorted(str(key) for key in set(entry) - {"name"})
    if given not in (["colour"], ["value"], ["color"]):
        raise UsageError(
            f"{where} ({entry['name']}) needs either a colour or a value", got=", ".join(given) or "neither"
        )
    return entry["name"], _value(entry[given[0]], colour=given != ["value"], where=f"{where} ({entry['name']})")


def _value(given: Any, *, colour: bool, where: str) -> int:
    if not colour:
        if isinstance(given, bool) or not isinstance(given, int) or not 0 <= given <= 65535:
            raise UsageError(f"{where} has no such value", got=repr(given)[:60], expected="0 to 65535")
        return given
    try:
        red, green, blue = parse_colour(given)
    except UsageError as error:
        raise UsageError(f"{where} has no colour", got=error.got, expected=error.expected) from error
    return COLOUR + (red << 16) + (green << 8) + blue


def _ignored(given: Any, values: list[tuple[int, int]]) -> frozenset[int]:
    stored = {value for value, _ in values}
    by_colour = max(stored) >= COLOUR
    if given is None:
        return frozenset() if by_colour else frozenset({255} - stored)
    one_colour = by_colour and isinstance(given, list) and all(isinstance(part, int) for part in given)
    entries = [given] if one_colour or not isinstance(given, list) else given
    found = frozenset(_value(one, colour=by_colour, where="ignore") for one in entries)
    if found & stored:
        raise UsageError("a class and ignore have the same value or colour")
    return found


def _colours(names: list[str], values: list[tuple[int, int]]) -> tuple[tuple[int, int, int], ...]:
    if values[0][0] < COLOUR:
        return ()
    first = {index: value - COLOUR for value, index in reversed(values)}
    return tuple((first[k] >> 16, first[k] >> 8 & 255, first[k] & 255) for k in range(len(names)))
