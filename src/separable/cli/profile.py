"""`separable profile`."""

import shutil
import sys
from typing import TYPE_CHECKING, Annotated

import typer

from separable.cli.options import Debug, Json, ModelOptions, key_values, picture_size
from separable.cli.output import Output, human_count
from separable.errors import UsageError

if TYPE_CHECKING:
    from torch import nn

    from separable.analysis.profile import Profile

EXAMPLES = """
separable profile xception
separable profile mobilenet_v1 --option width=0.5 --size 160
separable profile runs/flowers --batch 16
separable profile my_network.py:build --size 200x333
"""
_ROOMY = 100  # columns


def profile(
    model: Annotated[str, typer.Argument(metavar="MODEL", help="A catalogue name, a run, or file.py:factory.")],
    size: Annotated[
        str | None, typer.Option(metavar="SIDE|HxW", help="Picture size.", show_default="the network's own")
    ] = None,
    batch: Annotated[int, typer.Option(metavar="N", min=1, help="Pictures in the batch.")] = 1,
    option: ModelOptions = None,
    json: Json = False,
    debug: Debug = False,
) -> None:
    """Show what each layer of a network costs: shape, parameters, multiply-adds, activations, bytes."""
    from separable.analysis import profile as measure
    from separable.runtime.load import load_located
    from separable.runtime.locate import locate

    with Output(json) as out:
        network = load_located(locate(model), key_values(option, "--option"), published=False)
        height, width = picture_size(size) or _own_size(network)
        measured = measure(network, (batch, 3, height, width))
        if sys.stdout.isatty():
            _tabulate(out, measured)
        else:
            out.show(measured.to_text())
        out.document({"model": model, "input_shape": [batch, 3, height, width], **measured.to_json()})


def _tabulate(out: Output, measured: "Profile") -> None:
    """A table that fits the terminal: short numbers, and the kinds of layers only where there is room."""
    roomy = shutil.get_terminal_size().columns >= _ROOMY
    rows = [
        [layer.name or "(itself)", *([layer.kind] if roomy else []), "x".join(str(side) for side in layer.output_shape)]
        + [human_count(number) for number in (layer.parameters, layer.macs, layer.activations, layer.bytes)]
        for layer in measured.layers
    ]
    totals = (measured.parameters, measured.macs, measured.activations, measured.bytes)
    rows.append(["total", *([""] if roomy else []), "", *(human_count(number) for number in totals)])
    header = ["layer", *(["kind"] if roomy else []), "output", "params", "MACs", "activ.", "bytes"]
    out.table(header, rows, right=range(len(header) - 4, len(header)))


def _own_size(network: "nn.Module") -> tuple[int, int]:
    contract = getattr(network, "input_contract", None)
    if contract is None:
        raise UsageError("This network does not say what size its pictures have", fix="Give --size, such as --size 224")
    height, width = contract.size
    return height, width
