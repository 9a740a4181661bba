"""What a training step of the segmentation network gains here: ours against tuned torch and Keras' own example.

    python benchmarks/show_segmentation.py              # the table; --make-keras makes TensorFlow's environment
    python benchmarks/show_segmentation.py --infer      # a forward pass instead
    python benchmarks/show_segmentation.py --quick      # small pictures, two rounds: does it all run?

The U-Net of Keras' segmentation example (keras.io/examples/vision/oxford_pets_image_segmentation) at its own 160 px,
three classes: forward, mean cross-entropy of the pixels, backward, SGD. Keras' network is built by Keras from its
published description and gets our weights; without its softmax, which the loss contains. Contestants are processes of
their own that take turns, behind a gate against fp64. Writes results/<date>-show-segmentation.json: every row with
what it should reach, who of those it is against was missing, the parameters that each has, and the contest.
"""

import argparse
import datetime
from collections.abc import Iterator
from dataclasses import replace

from show_rows import Row, Wanted, add_options, contest, measure

from separable.benchmarking.outcome import ContestResult
from separable.benchmarking.peers.networks import task_for

NETWORK = "unet_xception"
QUICK_SIDE = 64


def wanted(peer: str, precision: str) -> Wanted:
    """Of the one network there is."""
    return peer, NETWORK, precision


OURS, TUNED, EAGER = (wanted(peer, "bf16") for peer in ("ours", "torch-tuned", "torch-channels-last"))
OURS_FP32, TUNED_FP32 = (wanted(peer, "fp32") for peer in ("ours", "torch-tuned"))
STOCK = tuple(wanted(peer, "fp32") for peer in ("keras-tf", "keras-torch", "torch-eager"))
COMPILED = (wanted("torch-compile", "bf16"), wanted("torch-compile", "fp32"))
EVERYBODY = [TUNED, OURS, EAGER, TUNED_FP32, OURS_FP32, *STOCK, *COMPILED]
"""The first is the baseline."""


def rows_of(what: str) -> list[Row]:
    """The table. Aims are of a training step; prediction has none."""
    same, most = (">= 1.2", ">= 2") if what == "training step" else ("no aim", "no aim")
    rows = [
        Row(f"{what}, bf16 against tuned torch in bf16", same, OURS, (TUNED,)),
        Row(f"{what}, fp32 against tuned torch in fp32", same, OURS_FP32, (TUNED_FP32,)),
        Row(f"{what}, bf16 against the fastest stock peer in fp32", most, OURS, STOCK),
        Row(f"{what}, fp32 against the fastest stock peer in fp32", "no aim", OURS_FP32, STOCK),
        Row(f"{what}, bf16 against Keras on TensorFlow in fp32", most, OURS, STOCK[:1]),
        Row(f"{what}, bf16 against torch.compile in bf16", "no aim", OURS, COMPILED[:1]),
        Row(f"{what}, fp32 against torch.compile in fp32", "no aim", OURS_FP32, COMPILED[1:]),
    ]
    memory = Row(f"peak memory of the {what} in bf16, of torch eager's in bf16", "no aim", OURS, (EAGER,), memory=True)
    return [*rows, memory]


def contests(chosen: argparse.Namespace) -> Iterator[tuple[list[Row], ContestResult]]:
    """The one there is."""
    side = QUICK_SIDE if chosen.quick else None
    task = task_for(NETWORK, "infer" if chosen.infer else "train", 4 if chosen.quick else chosen.batch, side)
    there = [one for one in EVERYBODY if not (chosen.quick and one in COMPILED)]
    result = contest(there, task, chosen)
    what = "forward pass" if chosen.infer else "training step"
    rows = [row for row in rows_of(what) if set(row.against) & set(there)]
    yield (
        rows,
        replace(result, title=f"{what} of {NETWORK}, batch {task.batch}, {task.side} px, {task.classes} classes"),
    )


def file_name(chosen: argparse.Namespace, day: datetime.date) -> str:
    """Runs of one day with other options do not overwrite each other."""
    words = [name for name in ("infer", "quick") if getattr(chosen, name)]
    return "-".join([day.isoformat(), "show-segmentation", *words]) + ".json"


def main() -> None:
    """Measure and write."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--infer", action="store_true", help="time prediction")
    add_options(parser, rounds=5)
    chosen = parser.parse_args()
    measure(__file__, contests(chosen), chosen, file_name(chosen, datetime.date.today()))


if __name__ == "__main__":
    main()
