"""`separable explain`."""

import shlex
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from separable.cli.options import PAGES, Debug, Json, picture_size
from separable.cli.output import Output, counter, write_lines
from separable.errors import BadPictureError

if TYPE_CHECKING:
    from separable.cli.explaining import Explainer, Wishes

EXAMPLES = """
separable explain runs/flowers rose.jpg
separable explain runs/flowers rose.jpg --class tulip --out why.html
separable explain runs/cats cat.jpg --class cat --out why.html
separable explain xception cat.jpg --layer block4 --method gradcam
separable explain my_network.py:build cat.jpg --size 224 --pixels imagenet
"""


def explain(
    run: Annotated[
        str, typer.Argument(metavar="RUN", help="A run, a model folder, a catalogue name, or file.py:factory.")
    ],
    image: Annotated[
        list[str], typer.Argument(metavar="IMAGE...", help="Files, folders, globs; - reads names from standard input.")
    ],
    out: Annotated[
        Path,
        typer.Option(metavar="PATH", help="A page (.html) for one picture, or a folder that gets a page for each."),
    ] = Path("explained"),
    classes: Annotated[
        list[str] | None,
        typer.Option(
            "--class",
            metavar="NAME",
            help="A class to explain beside the answer and the runner-up (of masks: the two largest); can be repeated.",
        ),
    ] = None,
    layer: Annotated[
        str | None, typer.Option(metavar="NAME", help="Layer of Grad-CAM.", show_default="the last feature map")
    ] = None,
    method: Annotated[str, typer.Option(metavar="WHICH", help="gradcam, integrated or both.")] = "both",
    steps: Annotated[
        int | None,
        typer.Option(
            metavar="N",
            help="Steps of integrated gradients.",
            show_default="as many as completeness needs, at most 432",
        ),
    ] = None,
    png: Annotated[
        bool, typer.Option("--png", help="Also write every picture of a page as a file, in a folder beside it.")
    ] = False,
    size: Annotated[
        str | None, typer.Option(metavar="SIDE|HxW", help="Picture size.", show_default="the network's own")
    ] = None,
    pixels: Annotated[
        str | None,
        typer.Option(
            metavar="RANGE",
            help="What a network that does not say so takes pixels as: 0..1, -1..1, 0..255 or imagenet.",
            show_default=False,
        ),
    ] = None,
    json: Json = False,
    debug: Debug = False,
) -> None:
    """Show what in a picture made a network answer as it did: a page with heat maps, attributions and feature maps.

    Of a network that gives tags: what speaks for the most probable ones. Of a network that answers for every pixel:
    what made it take the pixels of a class for that class. Shares are of the pixels that the network sees; those of
    `predict` are of the picture's own.
    A picture that cannot be read gets a message and no page; the others get theirs, and the exit code is 1.
    """
    from separable.cli.explaining import Explainer, Wishes, page_paths
    from separable.files import demand_writable
    from separable.runtime.sources import expand

    with Output(json) as output:
        demand_writable(out if out.suffix.lower() in PAGES else out / "page.html", makes_folders=True)
        wishes = Wishes(tuple(classes or ()), layer, method, steps, picture_size(size), pixels)
        explainer = Explainer(run, wishes, counter("steps of the path"))
        sources = list(expand(image, sys.stdin))
        rows = []
        for source, path in zip(sources, page_paths(sources, out), strict=True):
            rows.append(_one(explainer, source, path, png, output, _command(run, source, path, wishes, png)))
        output.document(rows)
    if any(row["error"] for row in rows):
        raise typer.Exit(1)


def _one(explainer: "Explainer", source: str, path: Path, png: bool, output: Output, command: str) -> dict[str, Any]:
    """Write the page of one picture, and say where; or say why there is none."""
    from separable.analysis.plots.markup import plain

    try:
        row = explainer.write(source, path, png, command)
    except BadPictureError as error:
        cause = str(error).rstrip(".")
        write_lines(sys.stderr, f"separable: {plain(source)} cannot be explained\n  got       {cause}")
        return {"path": source, "page": None, "error": cause}
    of_one_class = "share" not in row["top"][0] and explainer.contract.answer == "softmax"
    share = "share" if "share" in row["top"][0] else "probability"
    shown = row["top"][: 1 if of_one_class else 3]
    whole = "of the {}x{} pixels that the network sees, ".format(*row["input"]) if share == "share" else ""
    output.show(f"{path}: {whole}" + ", ".join(f"{one['class']} {100 * one[share]:.1f} %" for one in shown))
    for alert in row["alerts"]:
        write_lines(sys.stderr, f"separable: {plain(source)}: {alert}")
    return row


def _command(run: str, source: str, path: Path, wishes: "Wishes", png: bool) -> str:
    parts = ["separable", "explain", run, source, "--out", str(path), *wishes.arguments(), *(["--png"] if png else [])]
    return shlex.join(parts)
