"""The demo that names pictures: scanned digits, or flower photos."""

import json
from pathlib import Path
from typing import TYPE_CHECKING

from separable.cli.demo_shared import HOME, STOPPED, Setup, configuration, earlier_demo, evenly_spread, free_run
from separable.cli.output import Output, counter, human_bytes
from separable.errors import DownloadError

if TYPE_CHECKING:
    from separable.data.folder import FolderData

__all__ = ["SETUPS", "classification_demo"]

_SHOWN = 8  # pictures in the table of answers

# Chosen by five-fold cross-validation on the training part of the digits; the held-out ones chose nothing.
SETUPS = {
    "digits": Setup(
        what="scanned handwritten digits",
        side=32,
        epochs=12,
        options={"width": 0.25, "middle_blocks": 1, "stem_stride": 1},
        augment={"random_resized_crop": None, "flip": False, "shift": 0.1, "rotate": 10.0, "zoom": 0.1},
        crop_fraction=1.0,
    ),
    "photos": Setup(what="flower photos", side=96, epochs=20, options={"width": 0.25, "middle_blocks": 2}),
}


def classification_demo(photos: bool, seed: int, out: Output) -> bool:
    """Train, measure, predict, say what happened; True if somebody interrupted it."""
    from separable.cli.training import run_training
    from separable.data.folder import read_folder

    root = _photos(out) if photos else None
    kind = "photos" if root else "digits"
    root = root or _digits()
    data = read_folder(root)
    run = free_run(HOME / kind)
    setup = SETUPS[kind]
    out.say(_opening(setup, data, root, run))
    result = run_training(configuration(setup, root, data, run, seed), data, out)
    if result.interrupted:
        out.say(STOPPED)
        return True
    _answers(run, data, out)
    out.say(_account(setup, data, run))
    out.say(_CLOSING)
    return False


def _digits() -> Path:
    from separable.data.digits import write_digits

    return write_digits(HOME / "data" / "digits")


def _photos(out: Output) -> Path | None:
    """The folder of photos, or None with a sentence where they cannot be had."""
    from separable.data.photos import fetch_photos

    out.say("Fetching the flower photos (218 MiB, once) ...")
    try:
        return fetch_photos(HOME / "data" / "photos", counter("fetched", human_bytes))
    except DownloadError as error:
        out.say(f"The photos cannot be had ({error.what}): the scanned digits take their place.")
        return None


def _opening(setup: Setup, data: "FolderData", root: Path, run: Path) -> str:
    lines = [
        f"{len(data.train) + len(data.val):,} {setup.what} of {len(data.class_names)} classes, as pictures in {root}:",
        f"{len(data.train):,} to learn from, {len(data.val):,} held out. A narrow Xception learns them from scratch.",
    ]
    return "\n".join(lines + earlier_demo(run))


def _account(setup: Setup, data: "FolderData", run: Path) -> str:
    """What happened, in a paragraph."""
    cost = json.loads((run / "profile.json").read_text(encoding="utf-8"))
    network = f"a narrow Xception ({cost['parameters']:,} parameters; the full one has 22.9 million)"
    return (
        f"\nWhat happened: the pictures were checked; {network} saw {len(data.train):,} of them {setup.epochs} times, "
        f"each time shifted and turned a little, and was measured on the {len(data.val):,} it never saw. "
        f"The model, every figure and the report are in {run}."
    )


def _answers(run: Path, data: "FolderData", out: Output) -> None:
    """Some held-out pictures, evenly spread over the classes, through the same predictor that `predict` uses."""
    from separable.runtime.predictor import load_classifier

    chosen = evenly_spread(len(data.val), _SHOWN)
    paths = [data.val.root / data.val.paths[index] for index in chosen]
    rows = []
    for index, answer in zip(chosen, load_classifier(run)(paths, top=1), strict=True):
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
