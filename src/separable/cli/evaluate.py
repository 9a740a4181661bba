"""`separable evaluate`."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from separable.cli.options import Debug, Json
from separable.cli.output import Output
from separable.cli.tuning import runtime_of
from separable.errors import DataFolderError, UsageError

if TYPE_CHECKING:
    from separable.blocks.accelerate import AccelerationReport
    from separable.data.folder import PictureSet
    from separable.models import ImageModel
    from separable.runtime.locate import Located

EXAMPLES = """
separable evaluate runs/flowers
separable evaluate runs/flowers --part train
separable evaluate runs/flowers more_flowers/ --json
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
        Path | None, typer.Option(metavar="FOLDER", help="For evaluation.json and predictions.csv.", show_default=False)
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
    """Measure a trained model on labelled pictures.

    Accuracy, precision and recall of each class, the confusion matrix, and whether the confidences can be believed.
    The run's own validation pictures renew evaluation.json, predictions.csv and the report; anything else, also those
    pictures after some or their labels have changed, is written to RUN/evaluations, or where --out says.
    """
    from separable.machine.runtime import tune_runtime

    settings = tune_runtime()  # before torch is imported
    from separable.data.loader import LoaderConfig
    from separable.files import make_directory
    from separable.models import ImageModel, demand_classifier
    from separable.runtime.load import load_located
    from separable.runtime.locate import locate
    from separable.training.evaluate import evaluate as measure
    from separable.training.own_set import changed_since
    from separable.training.report import write_report

    with Output(json) as output:
        located = locate(run)
        if located.kind not in ("run", "model"):
            raise UsageError(f"{run} is not something that was trained", expected="a run or a model folder")
        model = load_located(located)
        assert isinstance(model, ImageModel), "a run or a model folder holds one of ours"
        demand_classifier(model, "`separable evaluate`")
        pictures, label = _pictures(located, model.input_contract.class_names, data, part)
        if data is None and label == "val" and located.path is not None:
            changed = changed_since(located.path, pictures)
            if changed is not None:
                label = "val-changed"
                output.say(
                    f"These are not the pictures that the run was measured on ({changed}), so its own figures stay as"
                    " they are.\n"
                )
        acceleration = _accelerate(model, output) if accelerate else None
        result = measure(model, pictures, LoaderConfig(batch_size=batch, workers=workers, max_bad=1.0), set_name=label)
        folder = _folder(located, data, label, out)
        make_directory(folder)
        result.write(folder)
        if folder == located.path:
            write_report(folder)
        document = result.to_json()
        _print(output, document, folder)
        runtime = runtime_of(settings, acceleration)
        output.document({"run": run, "out": str(folder), **document, "runtime": runtime})


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
    located: "Located", class_names: tuple[str, ...], data: Path | None, part: str | None
) -> "tuple[PictureSet, str]":
    """The pictures to measure on, and what to call them."""
    from separable.data.folder import read_folder
    from separable.training.config import TrainConfig

    if part is not None and part not in _PARTS:
        raise UsageError(f"Unknown part {part!r}", expected=" or ".join(_PARTS))
    if data is not None:
        folder = read_folder(data, class_names=class_names)
        whole = folder.train.root == folder.val.root
        part = part or ("all" if whole else "val")
        label = data.resolve().name
    else:
        if located.kind != "run" or located.path is None:
            raise UsageError("A model folder does not say what it was trained on", fix="Name a DATA folder too")
        stored = TrainConfig.from_yaml(located.path / "config.yaml").data
        if not Path(stored.root).is_dir():
            raise DataFolderError(
                f"The pictures of {located.path} are not where they were",
                got=f"no folder {stored.root} here",
                fix="Change to the folder where the training was started, or name a DATA folder too",
            )
        folder = read_folder(
            stored.root,
            val_fraction=stored.val_fraction,
            seed=stored.split_seed,
            class_names=class_names,
            labels_csv=stored.labels_csv,
        )
        label = part = part or "val"
    return {"train": folder.train, "val": folder.val}.get(part) or _joined(folder.train, folder.val), label


def _joined(train: "PictureSet", val: "PictureSet") -> "PictureSet":
    """Both sets as one, with paths from the folder that holds both."""
    import os

    import numpy as np

    from separable.data.folder import PictureSet

    root = Path(os.path.commonpath([train.root, val.root]))
    paths = [
        (pictures.root.relative_to(root) / path).as_posix() for pictures in (train, val) for path in pictures.paths
    ]
    return PictureSet(root, tuple(paths), np.concatenate([train.labels, val.labels]), train.class_names)


def _folder(located: "Located", data: Path | None, label: str, out: Path | None) -> Path:
    if out is not None:
        return out
    if located.kind != "run" or located.path is None:
        raise UsageError("A model folder is no place for results", fix="Say where with --out")
    return located.path if data is None and label == "val" else located.path / "evaluations" / label


def _print(output: Output, document: dict[str, Any], folder: Path) -> None:
    top5 = f", top-5 {_percent(document['top5'])}" if len(document["class_names"]) > 5 else ""
    output.show(f"{document['n']:,} pictures: {_percent(document['top1'])} right{top5}, loss {document['loss']:.4f}.")
    rows = [
        (row["name"], str(row["support"]), _percent(row["precision"]), _percent(row["recall"]), _percent(row["f1"]))
        for row in document["per_class"]
    ]
    output.show()
    output.table(("class", "pictures", "precision", "recall", "f1"), rows, right=(1, 2, 3, 4))
    output.show()
    output.show(_confidence(document["calibration"]))
    if document["bad"]:
        output.show(f"{len(document['bad'])} pictures could not be read; evaluation.json names them with their cause.")
    output.show(f"Written to {folder}: evaluation.json, predictions.csv.")


def _confidence(found: dict[str, Any]) -> str:
    if found["ece"] is None:
        return "Too few pictures to say whether the confidences can be believed."
    said = f"Confidences are off by {100 * found['ece']:.1f} points on average"
    before, after = found.get("ece_before_temperature"), found.get("ece_after_temperature")
    if found.get("temperature_reason"):
        said += f"; predict leaves them as they are. {found['temperature_reason'].removesuffix('.')}"
    elif before is not None and after is not None:
        said += (
            f"; on the {found['held_out']:,} pictures that did not choose the correction, by {100 * before:.1f} before"
            f" and {100 * after:.1f} after it"
        )
    target = _percent(found["reject_target"])
    if found["reject_threshold"] is None:
        return f"{said}. {found.get('reject_reason') or ''} So --reject has no threshold to go by.".replace("  ", " ")
    if found["reject_threshold"] == 0:
        return f"{said}. With every picture answered, more than {target} are right, so --reject refuses none."
    return f"{said}. Of the answers from {found['reject_threshold']:.2f} on, more than {target} are right."


def _percent(value: float | None) -> str:
    return "-" if value is None else f"{100 * value:.1f} %"
