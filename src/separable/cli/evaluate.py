"""`separable evaluate`."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from separable.cli.averaging import Averaging, load_trained
from separable.cli.measuring import Measuring, measuring_for
from separable.cli.options import Debug, Json
from separable.cli.output import Output
from separable.cli.tuning import runtime_of
from separable.errors import DataFolderError, UsageError

if TYPE_CHECKING:
    from separable.blocks.accelerate import AccelerationReport
    from separable.models import ImageModel
    from separable.runtime.locate import Located

EXAMPLES = """
separable evaluate runs/flowers
separable evaluate runs/flowers --part train
separable evaluate runs/flowers more_flowers/ --json
separable evaluate runs/cats --flips all --out flipped/
separable evaluate runs/flowers --crops 144 --ensemble runs/second runs/third
"""
_PARTS = ("val", "train", "all")
_TIMED = 8
"""Pictures that kernels are timed on: more would give the same ratios."""


def evaluate(
    run: Annotated[str, typer.Argument(metavar="RUN", help="A run, or a model folder together with DATA.")],
    data: Annotated[
        Path | None,
        typer.Argument(metavar="[DATA]", help="Another folder with the same classes."),
    ] = None,
    part: Annotated[
        str | None,
        typer.Option(metavar="WHICH", help="val, train or all.", show_default="val; all of a DATA without val folder"),
    ] = None,
    out: Annotated[
        Path | None, typer.Option(metavar="FOLDER", help="For evaluation.json and a table.", show_default=False)
    ] = None,
    flips: Annotated[
        str,
        typer.Option(metavar="WHICH", help="Of masks: mean over mirrored copies: none, horizontal, vertical or all."),
    ] = "none",
    crops: Annotated[
        int,
        typer.Option(metavar="N", help="Of classes: mean over 10, 12 or 144 crops of each picture, as the papers do."),
    ] = 1,
    ensemble: Annotated[
        list[str] | None,
        typer.Option(metavar="RUN...", help="Of classes: mean over RUN and these.", show_default=False),
    ] = None,
    batch: Annotated[int, typer.Option(metavar="N", help="Pictures through the network at once.")] = 32,
    workers: Annotated[int, typer.Option(metavar="N", help="Processes that read pictures; 0: this one.")] = 0,
    accelerate: Annotated[
        bool,
        typer.Option("--accelerate", help="Use the CPU kernels where they are faster; the last digits may change."),
    ] = False,
    json: Json = False,
    debug: Debug = False,
) -> None:
    """Measure a trained model on labelled pictures, or on pictures with masks.

    Accuracy, precision and recall of each class, the confusion matrix, and whether the confidences can be believed; of
    tags the mean average precision of the first 100, plain and weighted by class, and that of frequent classes; of
    masks the overlap (IoU, Dice) of each class and how near its boundaries are.
    The run's own validation pictures renew evaluation.json, its table and the report; anything else, also those
    pictures after some or their labels have changed, and answers averaged over flips, crops or networks, is written to
    RUN/evaluations, or where --out says.
    """
    from separable.machine.runtime import tune_runtime

    settings = tune_runtime()  # before torch is imported
    from separable.cli.reports import write_report
    from separable.cli.tasks import answered_task
    from separable.data.loader import LoaderConfig
    from separable.files import make_directory

    with Output(json) as output:
        averaging = Averaging(crops, tuple(ensemble or ()))
        located, model = load_trained(run)
        task = answered_task(model)
        measuring = measuring_for(task, flips)
        if task != "classify":
            averaging.refuse(task)
        models = [model, *averaging.load(located)]
        pictures, label = _pictures(measuring, located, model, data, part, output)
        own_run = located.path if located.kind == "run" else None
        lacking = None if own_run is None else measuring.lacking(own_run)
        if lacking is not None:
            output.say(lacking)
        if data is None and label == "val" and located.path is not None:
            for doubt in averaging.doubts(pictures):
                output.say(doubt)
            label = _own_label(measuring, averaging, located.path, pictures, lacking, output)
        elif averaging:
            label = f"{label}-{averaging.variant}"
        accelerations = [_accelerate(one, output) for one in models] if accelerate else [None]
        loader = LoaderConfig(batch_size=batch, workers=workers, max_bad=1.0)
        if averaging:
            result: Any = averaging.measure(models, run, pictures, loader, label)
        else:
            result = measuring.measure(model, pictures, loader, label, own_run)
        folder = _folder(located, data, label, out)
        make_directory(folder)
        result.write(folder)
        if folder == located.path:
            write_report(folder)
        document = result.to_json()
        measuring.show(output, document)
        if document["bad"]:
            output.show(
                f"{len(document['bad'])} pictures could not be read; evaluation.json names them with their cause."
            )
        output.show(f"Written to {folder}: evaluation.json, {measuring.table}.")
        runtime = runtime_of(settings, accelerations[0])
        output.document({"run": run, "out": str(folder), **document, "runtime": runtime})


def _own_label(
    measuring: Measuring, averaging: Averaging, run: Path, pictures: Any, lacking: str | None, output: Output
) -> str:
    """ "val" where what is measured may renew the run's own figures."""
    if averaging:
        output.say("The run's own figures are those of one network and one crop a picture, and stay as they are.\n")
        return f"val-{averaging.variant}"
    if measuring.flips != "none":
        output.say("The run's own figures are those without flips, and stay as they are.\n")
        return f"val-flips-{measuring.flips}"
    changed = measuring.changed(run, pictures)
    if changed is None and lacking is None:
        return "val"
    if changed is None:
        output.say("So the run's own figures stay as they are.\n")
        return "val-unweighted"
    output.say(
        f"These are not the pictures that the run was measured on ({changed}), so its own figures stay as they are.\n"
    )
    return "val-changed"


def _accelerate(model: "ImageModel", output: Output) -> "AccelerationReport":
    """The CPU kernels for the modules that they make faster, timed once, on noise.

    Only where asked for: what is faster is decided by a clock, so two evaluations could differ in the last bits.
    """
    import torch

    from separable.blocks.accelerate.settle import settle
    from separable.ops.cpu import kernel_status

    status = kernel_status()
    if not status.available and status.library is not None:
        output.say("Building the CPU kernels for this machine, which is done once: a minute or two ...")
    output.say("Timing the CPU kernels against plain torch, module by module ...")
    noise = torch.randn((_TIMED, 3, *model.input_contract.size), generator=torch.Generator().manual_seed(0))
    model.eval().to(memory_format=torch.channels_last)  # type: ignore[call-overload]
    report = settle(model, noise.contiguous(memory_format=torch.channels_last))
    if report.note:
        output.say(report.note)
    return report


def _pictures(
    measuring: Measuring,
    located: "Located",
    model: "ImageModel",
    data: Path | None,
    part: str | None,
    output: Output,
) -> tuple[Any, str]:
    """The pictures to measure on, and what to call them; `output` is told what was left out."""
    from separable.cli.tasks import SAID, answered_task, demand_layout
    from separable.training.config import TrainConfig

    class_names = model.input_contract.class_names
    if part is not None and part not in _PARTS:
        raise UsageError(f"Unknown part {part!r}", expected=" or ".join(_PARTS))
    if data is not None:
        task = answered_task(model)
        asked = f"{located.path} {SAID[task]}"
        demand_layout(data, task, asked, "Name a folder laid out as the one that it was trained on")
        folder = measuring.read(data, class_names, None)
        part = part or ("all" if measuring.is_whole(folder) else "val")
        label = _called(data.resolve())
    else:
        if located.kind != "run" or located.path is None:
            raise UsageError("A model folder does not say what it was trained on", fix="Name a DATA folder too")
        stored = TrainConfig.from_yaml(located.path / "config.yaml").data
        if not Path(stored.root).exists():
            raise DataFolderError(
                f"The pictures of {located.path} are not where they were",
                got=f"no folder {stored.root} here",
                fix="Change to the folder where the training was started, or name a DATA folder too",
            )
        folder = measuring.read(Path(stored.root), class_names, stored)
        label = part = part or "val"
    for note in folder.notes if data is not None else ():  # of its own pictures the training has said it
        output.say(note)
    parts = {"train": folder.train, "val": folder.val}
    chosen = parts[part] if part in parts else measuring.joined(folder.train, folder.val)
    if not len(chosen):
        raise DataFolderError(f"{folder.train.root} holds no pictures to train on", got=f"--part {part}")
    return chosen, label


def _called(data: Path) -> str:
    return data.name if data.is_dir() else data.parent.name


def _folder(located: "Located", data: Path | None, label: str, out: Path | None) -> Path:
    if out is not None:
        return out
    if located.kind != "run" or located.path is None:
        raise UsageError("A model folder is no place for results", fix="Say where with --out")
    return located.path if data is None and label == "val" else located.path / "evaluations" / label
