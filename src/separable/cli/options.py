"""Options that several verbs have, declared once, and how `name=value` is read."""

from typing import Annotated, Any

import typer

from separable.errors import UsageError

__all__ = ["INTERRUPTED", "PAGES", "Debug", "InputShape", "Json", "ModelOptions", "key_values", "picture_size"]

PAGES = (".html", ".htm", ".xhtml")
"""How the name of a page may end."""
INTERRUPTED = 130
"""The exit code of what Ctrl-C ended, as shells have it."""

Json = Annotated[bool, typer.Option("--json", help="Print one JSON document; logs go to standard error.")]
Debug = Annotated[bool, typer.Option("--debug", help="After an error, show where in the code it happened.")]
InputShape = Annotated[
    str | None,
    typer.Option(
        "--input",
        metavar="NxCxHxW",
        help="The whole input shape, in place of a size; for other than 3 channels.",
        show_default=False,
    ),
]
ModelOptions = Annotated[
    list[str] | None,
    typer.Option(
        "--option",
        metavar="NAME=VALUE",
        help="An option of the network, see `separable models NAME`; can be repeated.",
        rich_help_panel="The network",
    ),
]


def key_values(pairs: list[str] | None, option: str) -> dict[str, Any]:
    """["width=0.5", "residual=false"] -> {"width": 0.5, "residual": False}; values are read as YAML.

    Raises:
        UsageError: no `=` in a pair, or a value that is not YAML.
    """
    import yaml

    read: dict[str, Any] = {}
    for pair in pairs or []:
        name, equals, value = pair.partition("=")
        if not name or not equals:
            raise UsageError(f"{option} takes a name and a value", got=pair, expected=f"{option} name=value")
        try:
            read[name.strip()] = yaml.safe_load(value) if value else None
        except yaml.YAMLError as error:
            raise UsageError(f"The value in {option} {pair} cannot be read", got=str(error)) from error
    return read


def picture_size(text: str | None) -> tuple[int, int] | None:
    """ "299" -> (299, 299), "200x333" -> (200, 333) as height x width.

    Raises:
        UsageError: anything else.
    """
    if text is None:
        return None
    sides = text.lower().split("x")
    if len(sides) > 2 or not all(side.isdigit() and int(side) > 0 for side in sides):
        raise UsageError("A picture size is a side or height x width", got=text, expected="such as 299 or 200x333")
    return int(sides[0]), int(sides[-1])
