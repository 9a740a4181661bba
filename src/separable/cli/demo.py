"""`separable demo`."""

from typing import Annotated

import typer

from separable.cli.options import INTERRUPTED, Debug, Json
from separable.cli.output import Output
from separable.errors import UsageError

EXAMPLES = """
separable demo
separable demo --photos
separable demo --task segment
"""
_TASKS = ("classify", "segment")


def demo(
    task: Annotated[
        str, typer.Option(metavar="|".join(_TASKS), help="Name pictures, or find what is where in them.")
    ] = "classify",
    photos: Annotated[
        bool, typer.Option("--photos", help="Flower photos instead of digits: a download of 218 MiB.")
    ] = False,
    seed: Annotated[int, typer.Option(metavar="N", help="Another seed, another training.")] = 0,
    as_json: Json = False,
    debug: Debug = False,
) -> None:
    """Watch a small Xception learn, on pictures that come along.

    Trains from scratch on 1,797 scanned digits (a minute on two cores), measures on digits it has never seen, predicts
    some, and writes a report. With --task segment, a small U-Net of Xception's modules learns to find and to name the
    digits painted onto photographs, and is measured on other digits on other parts of them (some three minutes).
    Everything goes to runs/demo; nothing there is ever overwritten.
    """
    from separable.machine.runtime import tune_runtime

    if task not in _TASKS:
        raise UsageError("Unknown --task", got=task, expected=" or ".join(_TASKS))
    if photos and task == "segment":
        raise UsageError("The flower photos have no masks", got="--photos with --task segment", fix="Leave one out")
    tune_runtime(pin=False, cudnn=False)  # before torch is imported
    with Output(as_json) as out:
        if task == "segment":
            from separable.cli.demo_segment import segmentation_demo

            interrupted = segmentation_demo(seed, out)
        else:
            from separable.cli.demo_classify import classification_demo

            interrupted = classification_demo(photos, seed, out)
    if interrupted:
        raise SystemExit(INTERRUPTED)
