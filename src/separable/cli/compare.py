"""`separable compare`."""

import shlex
import shutil
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from separable.cli.options import INTERRUPTED, Debug, Json
from separable.cli.output import Output
from separable.errors import UsageError

if TYPE_CHECKING:
    from separable.experiments.results import Result
    from separable.experiments.schema import Setup, Task

__all__ = ["EXAMPLES", "compare"]

EXAMPLES = """
separable compare xception mobilenet_v1 --data flowers/ --image-size 96
separable compare xception:width=0.5,middle_blocks=4 xception:width=0.5 --data flowers/
separable compare mobilenet_v1 my.py:network --data flowers/ --image-size 64 --seeds 5
"""
_TRAINING, _RUN = "How to train", "The comparison"
_RECIPES = {"classify": "small", "tag": "tags", "segment": "segment"}


def compare(
    networks: Annotated[
        list[str],
        typer.Argument(
            metavar="NETWORK...",
            help="Two or more: catalogue names with options, xception:width=0.5,residual=false, or file.py:function.",
        ),
    ],
    data: Annotated[
        Path,
        typer.Option(metavar="DATA", help="A folder for each class, a list of labels, or images/ with masks/."),
    ],
    recipe: Annotated[
        str | None, typer.Option(metavar="NAME", rich_help_panel=_TRAINING, show_default="small, tags or segment",
                                 help="The same for all.")
    ] = None,
    epochs: Annotated[
        int | None, typer.Option(metavar="N", min=1, rich_help_panel=_TRAINING, show_default="the recipe's",
                                 help="Times each picture is seen.")
    ] = None,
    image_size: Annotated[
        int | None, typer.Option(metavar="SIDE", min=1, rich_help_panel=_TRAINING, show_default="each network's own",
                                 help="Of the pictures, for all.")
    ] = None,
    batch: Annotated[
        int, typer.Option(metavar="N", min=1, rich_help_panel=_TRAINING, help="Pictures in a step.")
    ] = 32,
    pixels: Annotated[
        str | None, typer.Option(metavar="RANGE", rich_help_panel=_TRAINING, show_default="-1..1",
                                 help="What a file.py:function takes pixels as: 0..1, -1..1, 0..255 or imagenet.")
    ] = None,
    device: Annotated[
        str, typer.Option(metavar="WHICH", rich_help_panel=_TRAINING, help="cpu or cuda.")
    ] = "cpu",
    seeds: Annotated[
        int, typer.Option(metavar="N", min=1, rich_help_panel=_RUN, help="Trainings of each network.")
    ] = 3,
    tune: Annotated[
        bool, typer.Option("--tune", rich_help_panel=_RUN,
                           help="Try three learning rates for each network first, on a part of the training pictures.")
    ] = False,
    processes: Annotated[
        int | None,
        typer.Option(
            metavar="N", min=1, rich_help_panel=_RUN, help="Trainings at once.", show_default="the cores; one on a GPU"
        ),
    ] = None,
    home: Annotated[
        Path, typer.Option(metavar="FOLDER", rich_help_panel=_RUN, help="Where trainings and results lie.")
    ] = Path("reproductions"),
    json: Json = False,
    debug: Debug = False,
) -> None:  # fmt: skip
    """Train networks alike on your pictures, several times each, and say which is better and how sure that is.

    Accuracy of every pair, paired by seed and held-out picture; parameters, multiply-adds, milliseconds and memory
    measured here. What difference could be seen is said before anything is trained. Ctrl-C saves; the same command goes
    on. A file.py:function returns a torch module that gives logits; it gets num_classes where it takes that. Weights
    start from scratch, but for what such a function loads itself.
    """
    from separable.machine.runtime import tune_runtime

    tune_runtime(pin=False, cudnn=False)  # before torch is imported
    from separable.cli.reproduce import cores_for
    from separable.cli.tasks import tell_task

    with Output(json) as output:
        if len(networks) < 2:
            raise UsageError("A comparison needs two networks and more", got=", ".join(networks))
        if pixels is not None and not any(".py:" in one for one in networks):
            raise UsageError("--pixels is for networks of a file.py:function", fix="Leave it out: the others say it")
        task: Any = tell_task(data)
        setup = _setup(task, recipe, epochs, batch, image_size, seeds, device, tune)
        result, interrupted = _run(networks, pixels, task, setup, data, home, processes or cores_for(device))
        folder = _write(result, home)
        width = shutil.get_terminal_size((120, 40)).columns if sys.stdout.isatty() else 120
        from separable.experiments.render import to_text

        output.show(to_text(result, width))
        output.show(f"\nWritten to {folder}: report.html, result.md, comparison.json.")
        output.document({"out": str(folder), "interrupted": interrupted, **result.to_json()})
        if interrupted:
            raise typer.Exit(INTERRUPTED)


def _setup(
    task: str, recipe: str | None, epochs: int | None, batch: int, side: int | None, seeds: int, device: str, tune: bool
) -> "Setup":
    from separable.experiments.schema import Setup
    from separable.training.recipes import find_recipe

    found = find_recipe(recipe or _RECIPES[task])
    return Setup(
        data="own",
        recipe=found.name,
        epochs=found.epochs if epochs is None else epochs,
        batch_size=batch,
        image_size=side if side is not None or found.image_size is None else found.image_size[0],
        seeds=tuple(range(seeds)),
        learning_rates=(1.0, 0.3, 3.0) if tune else (1.0,),
        device=device,
    )


def _run(
    networks: list[str], pixels: str | None, task: "Task", setup: "Setup", data: Path, home: Path, processes: int
) -> "tuple[Result, bool]":
    from separable.experiments.compare import classes_of, comparison, corrected, read_contender
    from separable.experiments.runner import reproduce
    from separable.training.display import make_display
    from separable.training.signals import stop_on_signals

    contenders = [read_contender(one, pixels) for one in networks]
    experiment = comparison(contenders, task, setup, data=data.resolve().name, classes=classes_of(task, data))
    display = make_display()
    with stop_on_signals(display.note) as stop:
        result = reproduce(experiment, "own", data=data, home=home, processes=processes, display=display, stop=stop)
    return corrected(result, _command(networks, pixels, setup, data, home)), bool(stop.requested)


def _command(networks: list[str], pixels: str | None, setup: "Setup", data: Path, home: Path) -> str:
    """What to type to have this again, whatever the defaults are by then."""
    given = {
        "--data": data,
        "--recipe": setup.recipe,
        "--epochs": setup.epochs,
        "--image-size": setup.image_size,
        "--batch": setup.batch_size,
        "--pixels": pixels,
        "--device": setup.device,
        "--seeds": len(setup.seeds),
        "--home": home,
    }
    words = [str(word) for pair in given.items() if pair[1] is not None for word in pair]
    tune = ["--tune"] if len(setup.learning_rates) > 1 else []
    return shlex.join(["separable", "compare", *networks, *words, *tune])


def _write(result: "Result", home: Path) -> Path:
    from separable.experiments.render import write_pages

    folder = home / result.experiment / result.scale
    write_pages(result, folder)
    result.write(folder / "comparison.json")
    return folder
