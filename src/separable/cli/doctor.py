"""`separable doctor`."""

import sys
from collections.abc import Iterator
from typing import TYPE_CHECKING, Annotated

import typer

from separable.cli.networks import changed_options, input_of, load_network, running, titled
from separable.cli.options import Debug, InputShape, Json, ModelOptions
from separable.cli.output import Output, counter, write_lines
from separable.errors import UsageError

if TYPE_CHECKING:
    from separable.machine.doctor import Finding

EXAMPLES = """
separable doctor
separable doctor my_network.py:build
separable doctor mobilenet_v1 --size 160 --batch 4
separable doctor my_network.py:build --input 2x4x320x512 --json > doctor.json
"""
_DEFAULT = (224, 224)
_MOST = 10


def doctor(
    model: Annotated[
        str | None,
        typer.Argument(
            metavar="[MODEL]",
            help="A catalogue name, a run, or file.py:factory: why is it slow here?",
            show_default=False,
        ),
    ] = None,
    size: Annotated[
        str | None, typer.Option(metavar="SIDE|HxW", help="Picture size.", show_default="the network's own, or 224")
    ] = None,
    batch: Annotated[int, typer.Option(metavar="N", min=1, help="Pictures in the batch.")] = 1,
    shape: InputShape = None,
    option: ModelOptions = None,
    json: Json = False,
    debug: Debug = False,
) -> None:
    """Is this installation whole, and what can this machine do? With a MODEL: which of its layers are slow, and why?

    Without MODEL it looks at versions (and pairs of versions known to fail), the processor and its features, memory,
    GPUs, disk space, and which optional parts are installed, and exits with 1 only if something is really wrong.

    With MODEL it runs the network on random pictures, sets each layer beside what this machine can do, tries the other
    layout, bf16 and a larger batch, and lists what could be gained at most. Nothing of the network is changed.
    """
    if model is not None:
        _examine(model, size, batch, shape, option, json)
        return
    if size or shape or option or batch != 1:
        raise UsageError(
            "--size, --batch, --input and --option are for a network", fix="Name one: separable doctor MODEL"
        )
    from separable.machine.doctor import Diagnosis, diagnose

    with Output(json) as out:
        diagnosis = diagnose()
        diagnosis = Diagnosis((*diagnosis.findings, *_speed()))
        out.show(diagnosis.to_text())
        out.document(diagnosis.to_json())
    if not diagnosis.healthy:
        raise typer.Exit(1)


def _speed() -> Iterator["Finding"]:
    """What `train` and `predict` set for speed on this machine. It is set here too for a moment, and undone."""
    from separable.machine.doctor import Finding
    from separable.machine.runtime import tune_runtime
    from separable.ops.cpu import kernel_status

    section = "Set by train, evaluate and predict"
    with tune_runtime(allocator=False) as found:  # of the allocator the machine's part tells
        for one in found.settings:
            yield Finding(section, one.name, "ok", one.text.partition(": ")[2])
    status = kernel_status()
    if status.available and status.library is not None:
        yield Finding(section, "CPU kernels", "ok", f"built for this machine ({status.library.name})")
    elif status.library is not None:
        text = "not built yet; the first training that is long enough builds them, in a minute or two"
        yield Finding(section, "CPU kernels", "absent", text)
    else:
        fix = "Install g++ or clang++" if "compiler was found" in status.reason else None
        yield Finding(section, "CPU kernels", "absent", f"plain torch in their place: {status.reason}", fix)


def _examine(name: str, size: str | None, batch: int, given: str | None, option: list[str] | None, json: bool) -> None:
    from separable.analysis.demands import demand_openness, demand_precision, demand_values
    from separable.analysis.diagnosing import diagnose_network
    from separable.analysis.diagnosis_text import diagnosis_text
    from separable.analysis.measuring import try_out
    from separable.machine.environment import package_versions
    from separable.runtime.locate import locate

    with Output(json) as out:
        network = load_network(locate(name), option, values=True)
        for demand in (demand_openness, demand_values, demand_precision):
            demand(network)
        shape = input_of(network, size, batch, given, _DEFAULT)
        write_lines(sys.stderr, "Running the network once, before it is measured ...")
        with running(shape):
            try_out(network, shape)
        versions = {package: version for package, version in package_versions().items() if version}
        found = diagnose_network(network, shape, versions, progress=counter("steps"))
        out.show(diagnosis_text(titled(name, network), found, _MOST))
        out.document({"model": name, "options": changed_options(network), **found.to_json()})
