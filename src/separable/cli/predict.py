"""`separable predict`."""

import sys
from contextlib import suppress
from itertools import islice
from pathlib import Path
from typing import Annotated

import typer

from separable.cli.options import Debug, Json
from separable.cli.output import Output
from separable.cli.tuning import MANY, kernels_are_built
from separable.errors import SeparableError, UsageError

EXAMPLES = """
separable predict runs/flowers rose.jpg holiday/
separable predict runs/flowers 'photos/**/*.jpg' --out answers.csv
find . -name '*.png' | separable predict runs/flowers - --out answers.jsonl
separable predict xception cat.jpg --top 3
separable predict runs/cats photos/ --out masks/ --overlay seen/
separable predict runs/cells slide.png --tile 512 --outlines cells.geojson
"""
_CLASSIFY = {"top": "--top", "reject": "--reject"}
_SEGMENT = {name: f"--{name}" for name in ("tile", "overlap", "flips", "overlay", "outlines")}
_PANEL = "Networks that answer for every pixel"


def predict(
    context: typer.Context,
    model: Annotated[str, typer.Argument(metavar="MODEL", help="A run, a model folder or a catalogue name.")],
    pictures: Annotated[
        list[str],
        typer.Argument(metavar="PICTURES...", help="Files, folders, globs; - reads names from standard input."),
    ],
    out: Annotated[
        Path | None,
        typer.Option(
            metavar="FILE",
            help="Write to .csv, .jsonl or .parquet instead; of a segmentation, a folder for its masks, called as the "
            "pictures are: with the ending, where two differ in nothing else.",
            show_default=False,
        ),
    ] = None,
    top: Annotated[int, typer.Option(metavar="N", help="Classes to give for each picture.")] = 1,
    reject: Annotated[
        bool, typer.Option("--reject", help="Answer 'I do not know' below the run's calibrated confidence.")
    ] = False,
    overlay: Annotated[
        Path | None,
        typer.Option(
            metavar="FOLDER", help="Write each picture under its mask.", show_default=False, rich_help_panel=_PANEL
        ),
    ] = None,
    outlines: Annotated[
        Path | None,
        typer.Option(
            metavar="FILE",
            help="Write the regions as polygons, in pixels: .geojson, or .json as COCO has it.",
            show_default=False,
            rich_help_panel=_PANEL,
        ),
    ] = None,
    tile: Annotated[
        str | None,
        typer.Option(
            metavar="SIDE",
            help="Predict at the picture's own resolution, in tiles of this side (or HxW); pictures of any size.",
            show_default=False,
            rich_help_panel=_PANEL,
        ),
    ] = None,
    overlap: Annotated[
        int | None,
        typer.Option(
            metavar="N",
            help="Pixels that neighbouring tiles share.",
            show_default="a quarter of the tile",
            rich_help_panel=_PANEL,
        ),
    ] = None,
    flips: Annotated[
        str,
        typer.Option(
            metavar="WHICH",
            help="Mean over mirrored copies: none, horizontal, vertical or all.",
            rich_help_panel=_PANEL,
        ),
    ] = "none",
    batch: Annotated[int, typer.Option(metavar="N", help="Pictures through the network at once.")] = 32,
    backend: Annotated[str, typer.Option(metavar="WHICH", help="What runs the network: auto or torch.")] = "auto",
    json: Json = False,
    debug: Debug = False,
) -> None:
    """Name what is on pictures, or what each of their pixels shows.

    A picture that cannot be read is an answer too, with the cause; the exit code is 1 only when every one failed.
    On a terminal the answers are a table, elsewhere lines of path, answer and confidence, separated by tabs; of a
    segmentation, of path, and class and share of the picture for each class on it. In its --json, size is height and
    width, and with --out and --overlay each answer names its files.
    """
    from separable.machine.runtime import tune_runtime

    settings = tune_runtime()  # before torch is imported
    from separable.runtime.locate import locate
    from separable.runtime.predictor import load_classifier, load_mask_predictor
    from separable.runtime.sources import expand
    from separable.runtime.task import task_of

    with Output(json) as output:
        if task_of(locate(model)) == "segment":
            from separable.cli.predict_masks import predict_masks
            from separable.cli.predict_wishes import MaskWishes, are_many_tiles

            _refuse(context, _CLASSIFY, f"{model} answers for every pixel", "for networks that classify pictures")
            wishes = MaskWishes.of(pictures, out, overlay, outlines, tile, overlap, flips)
            many = _are_many(pictures) if wishes.tile is None else are_many_tiles(pictures, wishes.tile)
            network = load_mask_predictor(model, backend, batch_size=batch, accelerate=many)
            counts = predict_masks(network, pictures, wishes, output, settings, json)
        else:
            from separable.cli.predict_answers import answer_pictures, no_threshold
            from separable.runtime.prediction import check_ending

            _refuse(context, _SEGMENT, f"{model} classifies pictures", "for networks that answer for every pixel")
            if out is not None:
                check_ending(out)
            predictor = load_classifier(model, backend, batch_size=batch, accelerate=_are_many(pictures))
            if reject and predictor.reject_threshold is None:
                raise no_threshold(model)
            paths = expand(pictures, sys.stdin)
            counts = answer_pictures(predictor, paths, output, settings, out=out, top=top, reject=reject, json=json)
    if counts["failed"] == counts.total():
        raise typer.Exit(1)


def _refuse(context: typer.Context, options: dict[str, str], what: str, whose: str) -> None:
    """Options of the other task."""
    sources = {option: context.get_parameter_source(name) for name, option in options.items()}
    given = [option for option, source in sources.items() if source is not None and source.name != "DEFAULT"]
    if given:
        verb = "is" if len(given) == 1 else "are"
        raise UsageError(f"{' and '.join(given)} {verb} {whose}", got=what, fix=f"Leave {' and '.join(given)} out")


def _are_many(pictures: list[str]) -> bool:
    """Whether they are so many that timing the CPU kernels pays, and the kernels are there: nothing is built for it.

    A folder or a pattern may be long: no more names are looked at than are needed.
    """
    from separable.runtime.sources import expand

    if "-" in pictures:  # names come when they come, and are answered as they do
        return False
    with suppress(SeparableError):  # said when the pictures' turn comes
        return sum(1 for _ in islice(expand(pictures, ()), MANY)) == MANY and kernels_are_built()
    return False
