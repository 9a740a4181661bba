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
separable predict runs/album holiday/ --threshold 0.4 --out tags.jsonl
separable predict runs/cats photos/ --out masks/ --overlay seen/
separable predict runs/cells slide.png --tile 512 --outlines cells.geojson
"""
_PIXELS = "Networks that answer for every pixel"
_OF_PIXELS = ("tile", "overlap", "flips", "overlay", "outlines")
_OTHERS: dict[str, dict[str, tuple[str, ...]]] = {
    "classify": {"answer for every pixel": _OF_PIXELS, "give pictures tags": ("threshold",)},
    "tag": {"answer for every pixel": _OF_PIXELS, "name one class a picture": ("reject",)},
    "segment": {"classify pictures": ("top", "reject"), "give pictures tags": ("threshold",)},
}
"""Of each task, the options that belong to networks of others, by what those do."""


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
    top: Annotated[
        int | None,
        typer.Option(
            metavar="N", help="Classes to give for each picture.", show_default="1; every tag above the threshold"
        ),
    ] = None,
    threshold: Annotated[
        float | None,
        typer.Option(
            metavar="SHARE",
            min=0,
            max=1,
            help="Give the tags of this probability or more.",
            show_default="the run's own, else 0.5",
        ),
    ] = None,
    reject: Annotated[
        bool, typer.Option("--reject", help="Answer 'I do not know' below the run's calibrated confidence.")
    ] = False,
    overlay: Annotated[
        Path | None,
        typer.Option(
            metavar="FOLDER", help="Write each picture under its mask.", show_default=False, rich_help_panel=_PIXELS
        ),
    ] = None,
    outlines: Annotated[
        Path | None,
        typer.Option(
            metavar="FILE",
            help="Write the regions as polygons, in pixels: .geojson, or .json as COCO has it.",
            show_default=False,
            rich_help_panel=_PIXELS,
        ),
    ] = None,
    tile: Annotated[
        str | None,
        typer.Option(
            metavar="SIDE",
            help="Predict at the picture's own resolution, in tiles of this side (or HxW); pictures of any size.",
            show_default=False,
            rich_help_panel=_PIXELS,
        ),
    ] = None,
    overlap: Annotated[
        int | None,
        typer.Option(
            metavar="N",
            help="Pixels that neighbouring tiles share.",
            show_default="a quarter of the tile",
            rich_help_panel=_PIXELS,
        ),
    ] = None,
    flips: Annotated[
        str,
        typer.Option(
            metavar="WHICH",
            help="Mean over mirrored copies: none, horizontal, vertical or all.",
            rich_help_panel=_PIXELS,
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
    network that gives tags, of path, and tag and probability for each of them; of a segmentation, of path, and class
    and share of the picture for each class on it. In its --json, size is height and width, and with --out and --overlay
    each answer names its files. A file of tags is a list that `separable train` takes.
    """
    from separable.machine.runtime import tune_runtime

    settings = tune_runtime()  # before torch is imported
    from separable.runtime.answer_files import check_ending
    from separable.runtime.locate import locate
    from separable.runtime.predictor import load_classifier, load_mask_predictor, load_tag_predictor
    from separable.runtime.sources import expand
    from separable.runtime.task import task_of

    with Output(json) as output:
        task = task_of(locate(model))
        _refuse(context, model, task)
        if task != "segment" and out is not None:
            check_ending(out)
        if task == "segment":
            from separable.cli.predict_masks import predict_masks
            from separable.cli.predict_wishes import MaskWishes, are_many_tiles

            wishes = MaskWishes.of(pictures, out, overlay, outlines, tile, overlap, flips)
            many = _are_many(pictures) if wishes.tile is None else are_many_tiles(pictures, wishes.tile)
            network = load_mask_predictor(model, backend, batch_size=batch, accelerate=many)
            counts = predict_masks(network, pictures, wishes, output, settings, json)
        elif task == "tag":
            from separable.cli.predict_tags import TagWishes, tag_pictures

            tagger = load_tag_predictor(model, backend, batch_size=batch, accelerate=_are_many(pictures))
            asked = TagWishes(out, top, threshold)
            counts = tag_pictures(tagger, expand(pictures, sys.stdin), asked, output, settings, json)
        else:
            from separable.cli.predict_answers import answer_pictures, no_threshold

            predictor = load_classifier(model, backend, batch_size=batch, accelerate=_are_many(pictures))
            if reject and predictor.reject_threshold is None:
                raise no_threshold(model)
            paths, top = expand(pictures, sys.stdin), 1 if top is None else top
            counts = answer_pictures(predictor, paths, output, settings, out=out, top=top, reject=reject, json=json)
    if counts["failed"] == counts.total():
        raise typer.Exit(1)


def _refuse(context: typer.Context, model: str, task: str) -> None:
    """Options of another task.

    Raises:
        UsageError: one was given.
    """
    from separable.cli.tasks import SAID

    for whose, names in _OTHERS[task].items():
        sources = {f"--{name}": context.get_parameter_source(name) for name in names}
        given = [option for option, source in sources.items() if source is not None and source.name != "DEFAULT"]
        if given:
            raise UsageError(
                f"{' and '.join(given)} {'is' if len(given) == 1 else 'are'} for networks that {whose}",
                got=f"{model} {SAID[task]}",
                fix=f"Leave {' and '.join(given)} out",
            )


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
