"""Which class somebody means by a name."""

import difflib
from collections.abc import Sequence

from separable.errors import UsageError

__all__ = ["class_number"]


def class_number(given: str, names: Sequence[str], count: int) -> int:
    """The number of the class called `given`: as it is written, in another case, one of its comma-separated names, or
    the number itself.

    Raises:
        UsageError: no class or several are called so.
    """
    for same in (_exactly, _in_any_case, _as_one_of_its_names):
        found = [index for index, name in enumerate(names) if same(given, name)]
        if len(found) == 1:
            return found[0]
        if found:
            raise UsageError(
                f"Several classes are called {given!r}",
                got=", ".join(f"{index} ({names[index]})" for index in found[:5]),
                fix="Give the number of the one you mean",
            )
    if given.isdigit():
        if int(given) < count:
            return int(given)
        raise UsageError(f"There is no class {given}", expected=f"0 to {count - 1}")
    close = difflib.get_close_matches(given, names, n=3, cutoff=0.5)
    close = close or [name for name in names if given.lower() in name.lower()][:3]
    raise UsageError(
        f"There is no class {given!r}",
        expected=_classes(names, count),
        fix=f"Perhaps you meant {' or '.join(repr(name) for name in close)}" if close else None,
    )


def _exactly(given: str, name: str) -> bool:
    return given == name


def _in_any_case(given: str, name: str) -> bool:
    return given.casefold() == name.casefold()


def _as_one_of_its_names(given: str, name: str) -> bool:
    return given.casefold() in (part.strip().casefold() for part in name.split(","))


def _classes(names: Sequence[str], count: int) -> str:
    if not names:
        return f"a number from 0 to {count - 1}, since this network does not name its classes"
    return f"one of {', '.join(names)}" if len(names) <= 20 else f"one of its {count:,} classes, by name or number"
