"""`classes.yaml`: which colour or number in the masks is which class."""

import re
from pathlib import Path
from typing import Any

import yaml

from separable.errors import DataFolderError, UsageError
from separable.segmentation.coding import COLOUR, MaskCoding
from separable.segmentation.palette import parse_colour

__all__ = ["classes_text", "read_classes"]

_MOST_BYTES = 1 << 20
_EXAMPLE = (
    'classes: [{name: background, value: 0}, {name: cat, value: 255}]; or [{name: background, colour: "#000000"}, '
    '{name: cat, colour: "#ff0000"}]; or names alone, [background, cat], for the values 0, 1, ...; then ignore: [254]'
)
_COLOUR_EXAMPLE = '"#ff0000", in quotes, or [255, 0, 0]'


def read_classes(path: str | Path) -> MaskCoding:
    """Read a list of classes, each with its `name` and either its `colour` (or `color`) or its `value` in the masks;
    or a list of names alone, whose values are 0, 1 and so on.

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
        bare = re.search(rb":\s*#[0-9a-fA-F]{3}", data)
        fix = "Put colours into quotes: YAML takes what follows # for a remark" if bare else None
        raise UsageError("it is not YAML", got=_yaml_cause(error), fix=fix) from error


def _yaml_cause(error: Exception) -> str:
    """Without the excerpt of the file, which takes several lines and a mark below one."""
    if isinstance(error, yaml.MarkedYAMLError) and error.problem_mark is not None:
        mark = error.problem_mark
        return f"{error.problem or error.context} in line {mark.line + 1}, column {mark.column + 1}"
    if isinstance(error, yaml.reader.ReaderError):
        return f"a character that no text has, at place {error.position + 1}"
    return " ".join(str(error).split())[:160] or "lists in lists without end"


def _coding(content: Any) -> MaskCoding:
    if not isinstance(content, dict):
        raise UsageError("it has no list of classes", got=_at_the_top(content))
    if not isinstance(content.get("classes"), list) or not content["classes"]:
        got = f"classes: {_as_yaml(content['classes'])}" if "classes" in content else ", ".join(map(str, content))
        raise UsageError(
            "it has no list of classes", got=got[:80] or "nothing", expected=_as_list(content.get("classes"))
        )
    unknown = sorted(str(key) for key in set(content) - {"classes", "ignore"})
    if unknown:
        raise UsageError("it has entries that mean nothing", got=", ".join(unknown), expected="classes and ignore")
    names: list[str] = []
    values: list[tuple[int, int]] = []
    for number, entry in enumerate(_entries(content["classes"]), start=1):
        name, value = _entry(number, entry)
        if name not in names:
            names.append(name)
        values.append((value, names.index(name)))
    ignored = _ignored(content.get("ignore"), values)
    by_default = content.get("ignore") is None
    return MaskCoding(tuple(names), tuple(values), ignored, _colours(names, values), ignored_by_default=by_default)


def _entries(given: list[Any]) -> list[Any]:
    """Names alone are the classes of the values 0, 1 and so on."""
    if not all(isinstance(one, str) for one in given):
        return given
    twice = next((name for name in given if given.count(name) > 1), None)
    if twice is not None:
        raise UsageError(
            f"{twice} is two classes",
            got=_as_yaml(given)[:80],
            expected=f"one name a class, or values: [{{name: {twice}, value: 0}}, {{name: {twice}, value: 255}}]",
        )
    return [{"name": name, "value": value} for value, name in enumerate(given)]


def _entry(number: int, entry: Any) -> tuple[str, int]:
    where = f"class {number}"
    if not isinstance(entry, dict) or not isinstance(entry.get("name"), str) or not entry["name"].strip():
        raise UsageError(
            f"{where} has no name",
            got=_as_yaml(entry)[:80],
            expected="an entry such as {name: cat, value: 1}, the name in letters, in quotes if YAML takes it for more",
        )
    given = sorted(str(key) for key in set(entry) - {"name"})
    if given not in (["colour"], ["value"], ["color"]):
        raise UsageError(
            f"{where} ({entry['name']}) needs either a colour or a value",
            got=", ".join(given) or "neither",
            expected=f'{{name: {entry["name"]}, value: 1}} or {{name: {entry["name"]}, colour: "#ff0000"}}',
        )
    return entry["name"], _value(entry[given[0]], colour=given != ["value"], where=f"{where} ({entry['name']})")


def _value(given: Any, *, colour: bool, where: str) -> int:
    if not colour:
        if isinstance(given, bool) or not isinstance(given, int) or not 0 <= given <= 65535:
            raise UsageError(
                f"{where} has no such value", got=_as_yaml(given)[:60], expected="a whole number from 0 to 65535"
            )
        return given
    try:
        red, green, blue = parse_colour(given)
    except UsageError as error:
        why = ": YAML takes what follows # for a remark where no quotes are" if given is None else ""
        raise UsageError(f"{where} has no colour", got=_as_yaml(given)[:60] + why, expected=_COLOUR_EXAMPLE) from error
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


def _as_list(given: Any) -> str | None:
    """What `0: background` has to be written as; None for anything else."""
    if not isinstance(given, dict) or not given or not all(isinstance(key, int) for key in given):
        return None
    return "classes: " + _as_yaml([{"name": name, "value": value} for value, name in given.items()])[:400]


def _at_the_top(content: Any) -> str:
    if isinstance(content, list):
        return "a list at the top, where `classes:` has to stand before it"
    return "nothing" if content is None else f"{_as_yaml(content)[:60]} alone"


def _as_yaml(value: Any) -> str:
    """As somebody may have written it; no words of Python."""
    if value is None:
        return "nothing"
    shown = yaml.safe_dump(value, default_flow_style=True, allow_unicode=True, width=1 << 20, sort_keys=False)
    return shown.removesuffix("\n").removesuffix("\n...")
