"""`separable profile`."""

import shutil
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from separable.cli.networks import changed_options, input_of, load_network, running, titled
from separable.cli.options import PAGES, Debug, InputShape, Json, ModelOptions
from separable.cli.output import Output, counter, human_count
from separable.errors import UsageError

if TYPE_CHECKING:
    from torch import nn

    from separable.analysis.profile_page import Subject
    from separable.analysis.roofline import MeasuredLayer, MeasuredProfile

EXAMPLES = """
separable profile xception
separable profile mobilenet_v1 --option width=0.5 --size 160
separable profile runs/flowers --batch 16 --html flowers.html
separable profile my_network.py:build --size 200x333 --measure
"""
_ROOMY = 100  # columns


def profile(
    model: Annotated[str, typer.Argument(metavar="MODEL", help="A catalogue name, a run, or file.py:factory.")],
    size: Annotated[
        str | None, typer.Option(metavar="SIDE|HxW", help="Picture size.", show_default="the network's own")
    ] = None,
    batch: Annotated[int, typer.Option(metavar="N", min=1, help="Pictures in the batch.")] = 1,
    shape: InputShape = None,
    option: ModelOptions = None,
    html: Annotated[
        Path | None,
        typer.Option(metavar="FILE", help="Also write one page with plots and a sortable table.", dir_okay=False),
    ] = None,
    measure: Annotated[
        bool | None,
        typer.Option(
            "--measure/--no-measure",
            help="Also run the network, and set each layer's time beside this machine's limit.",
            show_default="with --html",
        ),
    ] = None,
    precision: Annotated[str, typer.Option(metavar="fp32|bf16", help="Of weights and pictures.")] = "fp32",
    device: Annotated[str, typer.Option(metavar="cpu|cuda", help="Where to measure.")] = "cpu",
    json: Json = False,
    debug: Debug = False,
) -> None:
    """Show what each layer of a network costs: shape, parameters, multiply-adds, activations, bytes, and time.

    Without --html or --measure nothing is run and it takes a moment. Places that break the design principles of the
    Inception papers are listed after the layers.
    """
    from separable.runtime.locate import locate

    with Output(json) as out:
        _check(precision, device, html)
        wanted = measure if measure is not None else html is not None
        network = load_network(locate(model), option, values=wanted)
        fed = input_of(network, size, batch, shape)
        subject = _examine(titled(model, network), network, fed, precision, device, wanted)
        _print(out, subject)
        if html is not None:
            _write(html, subject)
            out.say(f"\n{html} is written.")
        out.document(_document(model, network, subject))


def _check(precision: str, device: str, html: Path | None) -> None:
    from separable.files import demand_writable
    from separable.machine.ceilings import PRECISIONS
    from separable.training.device import demand_device

    if precision not in PRECISIONS:
        raise UsageError("Unknown --precision", got=precision, expected=" or ".join(PRECISIONS))
    if device != "cpu" and not device.startswith("cuda"):
        raise UsageError("Unknown --device", got=device, expected="cpu or cuda")
    demand_device(device)
    if html is not None:
        if html.suffix.lower() not in PAGES:
            raise UsageError(
                "--html writes a page",
                got=html.name,
                expected=f"a name that ends with .html, such as {html.with_suffix('.html').name}",
            )
        demand_writable(html)


def _examine(
    name: str, network: "nn.Module", shape: tuple[int, ...], precision: str, device: str, measured: bool
) -> "Subject":
    from separable.analysis.graph import record_graph
    from separable.analysis.measuring import count_only
    from separable.analysis.principles import find_broken_principles
    from separable.analysis.profile_page import Subject
    from separable.errors import SeparableError
    from separable.machine.environment import describe_environment

    missing = ""
    try:
        findings = find_broken_principles(record_graph(network, shape))
    except SeparableError as error:  # a size too small for the network fails again below, and is said there
        findings, missing = (), f"The data flow of this network could not be recorded: {error}"
    with running(shape):
        counted, layers = count_only(network, shape, precision)
        times = _measure(network, shape, precision, device) if measured else None
    if times is not None:
        counted, layers = times.profile, times.layers
    return Subject(name, counted, layers, times, findings, missing, describe_environment())


def _measure(network: "nn.Module", shape: tuple[int, ...], precision: str, device: str) -> "MeasuredProfile":
    from separable.analysis.demands import demand_values
    from separable.analysis.measuring import measure_here
    from separable.machine.allocator import keep_freed_memory

    demand_values(network)
    keep_freed_memory()  # as every training of ours does; without it the time between layers is the kernel's
    return measure_here(network.to(device), shape, precision, device, progress=counter("runs measured"))


def _print(out: Output, subject: "Subject") -> None:
    measured = subject.measured
    if sys.stdout.isatty():
        _tabulate(out, subject)
    else:
        out.show(subject.profile.to_text() if measured is None else measured.to_text())
    if measured is not None:
        out.show(
            f"\n{1000 * measured.whole:.4g} ms without a stopwatch at every layer; {1000 * measured.limit:.4g} ms if "
            f"each layer reached its limit. {measured.ceilings.processor}, {measured.ceilings.threads} threads, "
            f"{measured.precision}, batch {subject.pictures}."
        )
    for finding in subject.findings:
        where = finding.place if finding.level == "warning" else f"{finding.place}, in the stem"
        out.show(f"\nPrinciple {finding.principle} at {where}: {finding.text}")
    if subject.findings_missing:
        out.show(f"\nDesign principles: {subject.findings_missing}")


def _tabulate(out: Output, subject: "Subject") -> None:
    """A table that fits the terminal: short numbers, and the kinds of layers only where there is room."""
    roomy = shutil.get_terminal_size().columns >= _ROOMY
    timed = subject.measured is not None
    rows = [_row(layer, roomy, timed) for layer in subject.layers]
    totals = subject.profile
    counts = (totals.parameters, totals.macs, totals.activations, totals.bytes)
    rows.append(["total", *([""] if roomy else []), "", *(human_count(number) for number in counts)])
    header = ["layer", *(["kind"] if roomy else []), "output", "params", "MACs", "activ.", "bytes"]
    if subject.measured is not None:
        whole, limit = subject.measured.watched, subject.measured.limit
        gap = [""] * (len(header) - 1)
        rows.insert(-1, ["outside of layers", *gap, f"{1000 * subject.measured.outside:.3g}", ""])
        rows[-1] += [f"{1000 * whole:.4g}", f"{100 * limit / whole:.0f}%"]
        header += ["ms", "of limit"]
    out.table(header, rows, right=range(2 + roomy, len(header)))


def _row(layer: "MeasuredLayer", roomy: bool, timed: bool) -> list[str]:
    counts = (layer.parameters, layer.macs, layer.activations, layer.bytes)
    cells = [layer.name or "(itself)", *([layer.kind] if roomy else []), "x".join(map(str, layer.output_shape))]
    cells += [human_count(number) for number in counts]
    if timed:
        ran = layer.seconds == layer.seconds
        cells += [f"{1000 * layer.seconds:.3g}" if ran else "", f"{100 * layer.share:.0f}%" if layer.limit else ""]
    return cells


def _write(path: Path, subject: "Subject") -> None:
    from separable.analysis.profile_page import profile_page
    from separable.files import write_text_atomically

    write_text_atomically(path, profile_page(subject))


def _document(model: str, network: "nn.Module", subject: "Subject") -> dict[str, Any]:
    counted = subject.profile.to_json()
    layers = [
        {**row, **(layer.to_json() if subject.measured else {"what": layer.kind}), "stage": stage}
        for row, layer, stage in zip(counted["layers"], subject.layers, subject.stages, strict=True)
    ]
    return {
        "model": model,
        "title": subject.name,
        "options": changed_options(network),
        **counted,
        "layers": layers,
        "measured": subject.measured.to_json() if subject.measured else None,
        "principles": [finding.to_json() for finding in subject.findings],
        "principles_missing": subject.findings_missing or None,
        "environment": subject.environment,
    }
