"""`separable doctor`."""

import typer

from separable.cli.options import Debug, Json
from separable.cli.output import Output

EXAMPLES = """
separable doctor
separable doctor --json > doctor.json
"""


def doctor(json: Json = False, debug: Debug = False) -> None:
    """Is this installation whole, and what can this machine do?

    Looks at versions (and pairs of versions known to fail), the processor and its features, memory, GPUs, disk space,
    and which optional parts are installed. Exits with 1 only if something is really wrong.
    """
    from separable.machine.doctor import diagnose

    with Output(json) as out:
        diagnosis = diagnose()
        out.show(diagnosis.to_text())
        out.document(diagnosis.to_json())
    if not diagnosis.healthy:
        raise typer.Exit(1)
