"""`separable demo`."""

import json
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from separable.cli.options import INTERRUPTED, Debug, Json
from separable.cli.output import Output, counter, human_bytes
from separable.errors import DownloadError

if TYPE_CHECKING:
    from separable.data.folder import FolderData
    from separable.training.config import TrainConfig

EXAMPLES = """
separable demo
separable demo --photos
"""
_HOME = Path("runs") / "demo"
_SHOWN = 8  # pictures in the table of answers


@dataclass(frozen=True)
class _Setup:
    """What is trained on which pictures; the recipe is `small` with these changes."""

    what: str
    side: int
    epochs: int
    options: dict[str, Any]
    augment: dict[str, Any] = field(default_factory=dict)
    crop_fraction: float | None = None


# Chosen by five-fold cross-validation on the training part of the digits; the held-out ones chose nothing.
_SETUPS = {
    "digits": _Setup(
        what="scanned handwritten digits",
        side=32,
        epochs=12,
        options={"width": 0.25, "middle_blocks": 1, "stem_stride": 1},
        augment={"random_resized_crop": None, "flip": False, "shift": 0.1, "rotate": 10.0, "zoom": 0.1},
        crop_fraction=1.0,
    ),
    "photos": _Setup(what="flower photos", side=96, epochs=20, options={"width": 0.25, "middle_blocks": 2}),
}


def demo(
    photos: Annotated[
        bool, typer.Option("--photos", help="Flower photos instead of digits: a download of 218 MiB.")
    ] = False,
    seed: Annotated[int, typer.Option(metavar="N", help="Another seed, another training.")] = 0,
    as_json: Json = False,
    debug: Debug = False,
) -> None:
    """Watch a small Xception learn, on pictures that come along.

    Trains from scratch on 1,797 scanned digits (a minute on two cores), measures on digits it has never seen, predicts
    some, and writes a report. Everything goes to runs/demo; nothing there is ever overwritten.
    """
    from separable.cli.training import run_training
    from separable.machine.runtime import tune_runtime

    tune_runtime(pin=False, cudnn=False)  # before torch is imported
    from separable.data.folder import read_folder

    with Output(as_json) as out:
        root = _photos(out) if photos else None
        kind = "photos" if root else "digits"
        root = root or _digits()
        data = read_folder(root)
        run = _free(_HOME / kind)
        setup = _SETUPS[kind]
        out.say(_opening(setup, data, root, run))
        result = run_training(_configuration(setup, root, data, run, seed), data, out)
        if not result.interrupted:
            _answers(run, data, out)
            out.say(_account(setup, data, run))
            out.say(_CLOSING)
        else:
            out.say("A demo that was stopped is not gone on with: the next one starts anew, in a folder of its own.")
    if result.interrupted:
        raise SystemExit(INTERRUPTED)


def _digits() -> Path:
    from separable.data.digits import write_digits

    return write_digits(_HOME / "data" / "digits")


def _photos(out: Output) -> Path | None:
    """The folder of photos, or None with a sentence where they cannot be had."""
    from separable.data.photos import fetch_photos

    out.say("Fetching the flower photos (218 MiB, once) ...")
    try:
        return fetch_photos(_HOME / "data" / "photos", counter("fetched", human_bytes))
    except DownloadError as error:
        out.say(f"The photos cannot be had ({error.what}): the scanned digits take their place.")
        return None


def _free(run: Path) -> Path:
    """`run`, or with a number behind it: an earlier demo's run stays as it is."""
    number = 1
    while (found := run if number == 1 else run.with_name(f"{run.name}-{number}")).exists():
        number += 1
    return found


def _opening(setup: _Setup, data: "FolderData", root: Path, run: Path) -> str:
    lines = [
        f"{len(data.train) + len(data.val):,} {setup.what} of {len(data.class_names)} classes, as pictures in {root}:",
        f"{len(data.train):,} to learn from, {len(data.val):,} held out. A narrow Xception learns them from scratch.",
    ]
    if run.name != run.name.partition("-")[0]:
        lines.append(f"An earlier demo stays in {run.with_name(run.name.partition('-')[0])}; this one goes to {run}.")
    return "\n".join(lines)


def _account(setup: _Setup, data: "FolderData", run: Path) -> str:
    """What happened, in a paragraph."""
    cost = json.loads((run / "profile.json").read_text(encoding="utf-8"))
    network = f"a narrow Xception ({cost['parameters']:,} parameters; the full one has 22.9 million)"
    return (
        f"\nWhat happened: the pictures were checked; {network} saw {len(data.train):,} of them {setup.epochs} times, "
        f"each time shifted and turned a little, and was measured on the {len(data.val):,} it never saw. "
        f"The model, every figure and the report are in {run}."
    )


def _configuration(setup: _Setup, root: Path, data: "FolderData", run: Path, seed: int) -> "TrainConfig":
    from separable.training.config import DataConfig, MachineConfig, ModelConfig, TrainConfig
    from separable.training.recipes import find_recipe

    small = find_recipe("small")
    augment = replace(small.augment, **setup.augment)
    return TrainConfig(
        run=str(run),
        recipe=replace(small, augment=augment, epochs=setup.epochs),
        data=DataConfig(root=str(root), train_root=str(data.train.root), val_root=str(data.val.root)),
        model=ModelConfig("xception", setup.options, None, (setup.side, setup.side), crop_fraction=setup.crop_fraction),
        machine=MachineConfig(workers=1),
        batch_size=32,
        seed=seed,
        accelerate=False,  # a minute is too short to time kernels in, and every machine of a kind sees the same demo
    )


def _answers(run: Path, data: "FolderData", out: Output) -> None:
    """Some held-out pictures, evenly spread over the classes, through the same predictor that `predict` uses."""
    from separable.runtime.predictor import load_predictor

    step = max(1, len(data.val) // _SHOWN)
    chosen = range(step // 2, len(data.val), step)[:_SHOWN]
    paths = [data.val.root / data.val.paths[index] for index in chosen]
    rows = []
    for index, answer in zip(chosen, load_predictor(run)(paths, top=1), strict=True):
        truth = data.class_names[data.val.labels[index]]
        rows.append((data.val.paths[index], truth, answer.classes[0], f"{100 * answer.probabilities[0]:.1f} %"))
    out.say("\nSome of the held-out pictures, through `separable predict`:\n")
    out.table(("picture", "is", "answer", "confidence"), rows, right=(3,))


_CLOSING = """
Now with pictures of your own: give each class a folder of its own, such as
  flowers/daisy/1.jpg ...   flowers/rose/1.jpg ...
and then
  separable check flowers/                 is the data sound?
  separable train flowers/ --dry-run       what would it take?
  separable train flowers/                 learn it, and leave a report
  separable predict runs/flowers new.jpg   use it"""
