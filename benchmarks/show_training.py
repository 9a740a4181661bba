"""What training and inference gain here: ours against tuned torch and against other people's tools, in one go.

    python benchmarks/show_training.py                      # the table; --make-keras makes TensorFlow's environment
    python benchmarks/show_training.py --thorough           # with what takes long to open, about twice the time
    python benchmarks/show_training.py --only steps fp32    # some of: steps fp32 accelerate-train accelerate-infer
    python benchmarks/show_training.py --quick              # small pictures, two rounds: does it all run?

    steps             Xception's training step, ours in bf16 against everybody as they come, in fp32; Inception V3's too
    fp32              the same step in fp32, ours against tuned torch
    accelerate-train  `accelerate` on timm's networks in bf16: against their defaults in fp32, and against tuned torch
    accelerate-infer  the same for inference

--thorough adds stock peers in bf16, torch.compile with our settings and of Inception V3, the larger of timm's networks,
and `accelerate` in fp32. Contestants are processes of their own that take turns, behind a gate against fp64 (`separable
bench` is the same harness). Writes results/<date>-show-training.json, with the names of the parts in its own where not
all were run: every row with what it should reach, who of those it is against was missing, and the contests.
"""

import argparse
import datetime
from collections.abc import Iterator
from dataclasses import replace

from show_rows import Row, Wanted, add_options, contest, measure

from separable.benchmarking.contest import Task, Verb
from separable.benchmarking.outcome import ContestResult

SIDES = {
    "timm:mobilenetv1_100": 224,
    "timm:efficientnet_b0": 224,
    "timm:convnext_tiny": 224,
    "timm:legacy_xception": 299,
}
LARGE = ("timm:convnext_tiny", "timm:legacy_xception")
QUICK_SIDE = 139
"""On less Inception V3 ends in maps of one pixel, whose gradients bf16 loses."""
PARTS = ("steps", "fp32", "accelerate-train", "accelerate-infer")

OURS, TUNED, EAGER = ((peer, "xception", "bf16") for peer in ("ours", "torch-tuned", "torch-channels-last"))
STOCK = tuple((peer, "xception", "fp32") for peer in ("timm", "torch-compile", "keras-tf"))
STOCK_BF16 = tuple((peer, "xception", "bf16") for peer in ("timm-channels-last", "torch-compile", "keras-tf"))
COMPILED = ("torch-compile-tuned", "xception", "bf16")
INCEPTION = tuple((peer, "inception_v3", "fp32") for peer in ("timm", "torch-compile", "keras-tf"))
OUR_INCEPTION, TUNED_INCEPTION = ((peer, "inception_v3", "bf16") for peer in ("ours", "torch-tuned"))
STEPS = [OURS, TUNED, EAGER, *STOCK, *INCEPTION, OUR_INCEPTION, TUNED_INCEPTION, *STOCK_BF16, COMPILED]
SLOW_TO_OPEN = {*STOCK_BF16, COMPILED, ("torch-compile", "inception_v3", "fp32")}
FP32 = [("ours", "xception", "fp32"), ("torch-tuned", "xception", "fp32")]
ROWS = {
    "steps": [
        Row("training step, bf16, against tuned torch in bf16", ">= 1.22", OURS, (TUNED,)),
        Row("peak memory of it, of torch eager's in bf16", "<= 0.6", OURS, (EAGER,), memory=True),
        Row("ours in bf16 against the best stock peer in fp32", ">= 2.6", OURS, STOCK),
        Row("ours in bf16 against the best stock peer in bf16", "no aim", OURS, STOCK_BF16),
        Row("ours against torch.compile with our settings, both bf16", "no aim", OURS, (COMPILED,)),
        Row("ours in bf16 against the best stock Inception V3 in fp32", ">= 1.4", OURS, INCEPTION),
        Row("ours against our Inception V3, both bf16", ">= 0.75", OURS, (OUR_INCEPTION,)),
        Row("our Inception V3 against tuned torch's, both bf16", ">= 1.0", OUR_INCEPTION, (TUNED_INCEPTION,)),
    ],
    "fp32": [Row("training step, fp32, against tuned torch in fp32", ">= 1.15", FP32[0], (FP32[1],))],
}


def wanted_by(part: str, network: str, thorough: bool = True) -> list[Wanted]:
    """Who takes part; the first is the baseline. Of the accelerate parts in bf16 alone, unless `thorough`."""
    if part == "steps":
        return [one for one in STEPS if thorough or one not in SLOW_TO_OPEN]
    if part == "fp32":
        return FP32
    precisions = ("bf16", "fp32") if thorough else ("bf16",)
    rivals = [(peer, network, precision) for precision in precisions for peer in ("ours", "torch-tuned")]
    return [*rivals, ("timm", network, "fp32")]


def rows_of(part: str, network: str, thorough: bool = True) -> list[Row]:
    """What is read off the contest: every row that somebody in it can be held against."""
    if part in ROWS:
        rows = ROWS[part]
    else:
        ours, tuned, ours_fp32, tuned_fp32, stock = wanted_by(part, network)
        what = f"{part} {network}"
        rows = [
            Row(f"{what}, bf16 against its defaults in fp32", ">= 1.5 on three of four", ours, (stock,)),
            Row(f"{what}, fp32 against its defaults in fp32", ">= 1.0", ours_fp32, (stock,)),
            Row(f"{what}, against tuned torch, both bf16", ">= 1.0; >= 1.1 on two of four", ours, (tuned,)),
            Row(f"{what}, against tuned torch, both fp32", ">= 1.0; >= 1.1 on two of four", ours_fp32, (tuned_fp32,)),
        ]
    there = wanted_by(part, network, thorough)
    return [row for row in rows if row.ours in there and set(row.against) & set(there)]


def networks_of(part: str, chosen: argparse.Namespace) -> list[str]:
    """Whose contests a part is; "" where it is one."""
    if not part.startswith("accelerate"):
        return [""]
    if chosen.networks:
        return [name for name in SIDES if name.removeprefix("timm:") in chosen.networks]
    return [name for name in SIDES if chosen.thorough or name not in LARGE]


def contests(part: str, chosen: argparse.Namespace) -> Iterator[tuple[list[Row], ContestResult]]:
    """Run a part of the table."""
    verb: Verb = "infer" if part == "accelerate-infer" else "train"
    for network in networks_of(part, chosen):
        side = QUICK_SIDE if chosen.quick else SIDES.get(network, 299)
        task = Task(verb, 4 if chosen.quick else chosen.batch, side)
        result = contest(wanted_by(part, network, chosen.thorough), task, chosen)
        yield rows_of(part, network, chosen.thorough), replace(result, title=f"{part} {network}".strip())
        if result.interrupted:
            return


def file_name(chosen: argparse.Namespace, day: datetime.date) -> str:
    """Parts of one day do not overwrite each other."""
    parts = [] if set(chosen.only) == set(PARTS) else [part for part in PARTS if part in chosen.only]
    words = [*parts, *(chosen.networks or []), *(name for name in ("thorough", "quick") if getattr(chosen, name))]
    return "-".join([day.isoformat(), "show-training", *words]) + ".json"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--only", nargs="+", choices=PARTS, default=PARTS)
    names = [name.removeprefix("timm:") for name in SIDES]
    parser.add_argument(
        "--networks",
        nargs="+",
        choices=names,
        type=lambda name: name.removeprefix("timm:"),
        help="of the accelerate parts; default the small ones",
    )
    parser.add_argument("--thorough", action="store_true", help="with everybody who takes long to open")
    add_options(parser, rounds=3)
    chosen = parser.parse_args()
    pairs = (pair for part in chosen.only for pair in contests(part, chosen))
    measure(__file__, pairs, chosen, file_name(chosen, datetime.date.today()))


if __name__ == "__main__":
    main()
