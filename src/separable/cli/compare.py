"""`separable compare`."""

import hashlib
import shlex
import shutil
import sys
from dataclasses import replace
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
separable compare runs/flowers runs/flowers-narrow --data more_flowers/
"""
_TRAINING, _RUN = "How to train", "The comparison"
_RECIPES = {"classify": "small", "tag": "tags", "segment": "segment"}


def compare(
    networks: Annotated[
        list[str],
        typer.Argument(
            metavar="NETWORK...",
            help="Two or more: catalogue names with options, xception:width=0.5,residual=false, or file.py:function; "
            "or runs alone.",
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
    start from scratch, but for what such a function loads itself. Of runs, nothing is trained: they are compared as
    they are, on pictures of DATA that none has learnt from: those that all of them held out, where DATA is what they
    were trained from, else the held-out pictures, or all where none are held out.
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
        if _are_trained(networks):
            _show_trained(networks, task, data, batch, home, output)
            return
        setup = _setup(task, recipe, epochs, batch, image_size, seeds, device, tune)
        result, interrupted = _run(networks, pixels, task, setup, data, home, processes or cores_for(device))
        _show(result, home / result.experiment / result.scale, interrupted, output)
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
    from separable.experiments.compare import comparison, corrected, read_contender
    from separable.experiments.runner import reproduce
    from separable.experiments.sources import own_source
    from separable.training.display import make_display
    from separable.training.signals import stop_on_signals

    contenders = [read_contender(one, pixels) for one in networks]
    source = own_source(task, data)
    classes = len(source.class_names)
    experiment = comparison(contenders, task, setup, data=source.what, pictures=source.fingerprint, classes=classes)
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


def _are_trained(networks: list[str]) -> bool:
    """Whether what is to be compared are runs or model folders.

    Raises:
        UsageError: some are, and others are not. UnknownModelError: one is nothing at all.
    """
    from separable.models import list_models
    from separable.runtime.locate import locate

    known = set(list_models())
    trained = []
    for one in networks:
        new = ".py:" in one or (one.partition(":")[0] in known and not Path(one).exists())
        if not new and locate(one).kind in ("run", "model"):
            trained.append(one)
    if trained and len(trained) < len(networks):
        raise UsageError(
            "What has been trained is compared with its like alone",
            got=f"also {', '.join(one for one in networks if one not in trained)}",
            fix="Name runs only, or networks only, which are then trained alike",
        )
    return bool(trained)


def _show_trained(networks: list[str], task: str, data: Path, batch: int, home: Path, output: Output) -> None:
    """Compare runs as they are."""
    from separable.cli.measuring import measuring_for
    from separable.cli.output import counter
    from separable.cli.unseen import unseen_pictures
    from separable.data.loader import LoaderConfig
    from separable.experiments.compare import corrected
    from separable.experiments.trained import compare_trained
    from separable.files import make_directory

    if task != "classify":
        raise UsageError("Runs are compared here by the class of a picture", fix="Use `separable evaluate` for each")
    models = {one: _loaded(one) for one in networks}
    if len(models) < len(networks):
        raise UsageError("The same network stands there twice", got=", ".join(networks), fix="Leave one out")
    names = [model.input_contract.class_names for model in models.values()]
    measuring = measuring_for("classify", "none")
    if len(set(names)) > 1:
        for one in dict.fromkeys(names):
            measuring.read(data, one, None)  # what of these the pictures have not is said first
        raise UsageError("The runs were trained on other classes each", expected="the same classes in the same order")
    pictures, notes = unseen_pictures(networks, data, names[0], measuring)
    for note in notes:
        output.say(note)
    loader = LoaderConfig(batch_size=batch, max_bad=1.0)
    what = data.resolve().name
    result = compare_trained(models, pictures, loader, what=what, progress=counter("networks measured"))
    command = shlex.join(["separable", "compare", *networks, "--data", str(data), "--home", str(home)])
    folder = home / "compare" / _trained_name(networks, data, pictures)
    make_directory(folder)
    _show(replace(corrected(result, command), problems=notes), folder, False, output)


def _trained_name(networks: list[str], data: Path, pictures: Any) -> str:
    """Of the folder of a comparison: others of runs or pictures that are merely called the same have another one."""
    from separable.runtime.locate import locate

    where = [str((locate(one).path or Path(one)).resolve()) for one in networks]
    told = "\n".join([*where, str(data.resolve()), pictures.fingerprint()])
    digest = hashlib.sha256(told.encode(errors="surrogateescape")).hexdigest()[:8]
    return "-".join(["trained", *(Path(one).name[:24] for one in networks[:4]), digest])


def _loaded(text: str) -> Any:
    from separable.models import ImageModel
    from separable.runtime.load import load_located
    from separable.runtime.locate import locate

    model = load_located(locate(text))
    assert isinstance(model, ImageModel), "a run or a model folder holds one of ours"
    if model.task != "classify" or model.input_contract.answer != "softmax":
        raise UsageError(f"{text} does not name a class of a picture", fix="Use `separable evaluate` for each")
    return model.eval()


def _show(result: "Result", folder: Path, interrupted: bool, output: Output) -> None:
    from separable.experiments.render import to_text, write_pages

    write_pages(result, folder)
    result.write(folder / "comparison.json")
    width = shutil.get_terminal_size((120, 40)).columns if sys.stdout.isatty() else 120
    output.show(to_text(result, width))
    output.show(f"\nWritten to {folder}: report.html, result.md, comparison.json.")
    output.document({"out": str(folder), "interrupted": interrupted, **result.to_json()})
