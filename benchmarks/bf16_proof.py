"""Does a training in bf16 end where one in fp32 does? 300 steps on the flower photos at 128 px, five seeds in each.

    python benchmarks/bf16_proof.py FLOWERS                 # a folder with train/ and val/, 600 + 200 photos
    python benchmarks/bf16_proof.py FLOWERS --steps 30 --seeds 2 --width 0.25

The whole training path: decoding, augmentation, dropout, weight averaging, from scratch by the recipe `small`, and the
CPU kernels in every module that they can serve, faster or not. A seed decides the starting weights, the order and the
augmentation in both precisions. The loss that a training ends with is the mean of its last twenty steps; the loss on
the held-out photos is that of its last epoch. bf16 is proven where, in both losses, its mean over the seeds lies within
the range of fp32's seeds, and fp32's mean within that of bf16's.

Each finished training is kept below --runs: the same command goes on where it stopped. Without
FLOWERS the folder is tf_flowers_256 in the one that SEPARABLE_TEST_DATA names. Writes results/<date>-bf16-proof.json.
"""

import argparse
import datetime
import json
import math
import os
import statistics
from pathlib import Path
from typing import Any

import separable

SETTINGS = separable.tune_runtime(threads=int(os.environ.get("OMP_NUM_THREADS", "0")) or None)

from separable.blocks.accelerate import accelerate  # noqa: E402 - the runtime is tuned before torch is imported
from separable.data.folder import read_folder  # noqa: E402
from separable.machine.environment import describe_environment  # noqa: E402
from separable.models.base import ImageModel  # noqa: E402
from separable.ops.cpu import load_kernels  # noqa: E402
from separable.training import session, train  # noqa: E402
from separable.training.config import DataConfig, MachineConfig, ModelConfig, TrainConfig  # noqa: E402
from separable.training.display import PlainDisplay  # noqa: E402
from separable.training.journal import read_journal  # noqa: E402
from separable.training.recipes import find_recipe  # noqa: E402

RESULTS = Path(__file__).parent / "results"
BATCH = 20
LAST = 20
MODES = ("train backward", "eval forward")


def configuration(root: Path, run: Path, chosen: argparse.Namespace, precision: str, seed: int) -> TrainConfig:
    return TrainConfig(
        run=str(run),
        recipe=find_recipe("small"),
        data=DataConfig(root=str(root), train_root=str(root / "train"), val_root=str(root / "val")),
        model=ModelConfig("xception", {"width": chosen.width}, None, (chosen.side, chosen.side)),
        machine=MachineConfig(workers=0, label_check=False),
        epochs=chosen.steps // steps_in_an_epoch(root),
        batch_size=BATCH,
        seed=seed,
        precision=precision,  # type: ignore[arg-type]
    )


def kernels_everywhere(model: ImageModel, config: TrainConfig, *_: object, **__: object) -> dict[str, Any]:
    """In place of the choice by timing: the proof is to hold for whatever that may choose on another machine."""
    modes = [f"{mode} {'bfloat16' if config.precision == 'bf16' else 'float32'}" for mode in MODES]
    names = [change.name for change in accelerate(model, inplace=True).report.changed]
    choices = {name: dict.fromkeys(modes, "cpu") for name in names}
    accelerate(model, inplace=True, choices=choices)
    library = load_kernels(automatic=False).library
    if library is None or not names:
        raise SystemExit("the CPU kernels cannot be used here: see `separable doctor`")
    return {"choices": choices, "library": library.name, "why": f"all {len(names)} modules, untimed"}


def steps_in_an_epoch(root: Path) -> int:
    return len(read_folder(root).train) // BATCH


def losses_of(config: TrainConfig, root: Path) -> dict[str, Any]:
    """Train, or go on, or read what a finished training has left."""
    run = Path(config.run)
    kept = run / "losses.json"
    if kept.exists():
        found: dict[str, Any] = json.loads(kept.read_text())
        return found
    train(config, read_folder(root), resume=True, display=PlainDisplay(interval=60))
    rows = list(read_journal(run / "metrics.jsonl"))
    steps, epochs = ([row for row in rows if row["kind"] == kind] for kind in ("step", "epoch"))
    taken = json.loads((run / "environment.json").read_text())["chosen"]["acceleration"]
    found = {
        "precision": config.precision,
        "seed": config.seed,
        "train_loss": statistics.fmean(row["loss"] for row in steps[-LAST:]),
        "val_loss": epochs[-1]["val_loss"],
        "val_top1": epochs[-1]["val_top1"],
        "steps": len(steps),
        "train_losses": [round(row["loss"], 5) for row in steps],
        "seconds_per_step": statistics.median(BATCH / row["timing"]["images_per_second"] for row in steps),
        "acceleration": taken["why"],
        "library": taken["library"],
    }
    kept.write_text(json.dumps(found))
    return found


def compared(rows: list[dict[str, Any]], loss: str) -> dict[str, Any]:
    """Both precisions' seeds side by side, and whether each one's mean lies within the other's range."""
    by = {kind: [row[loss] for row in rows if row["precision"] == kind] for kind in ("fp32", "bf16")}
    means = {kind: statistics.fmean(values) for kind, values in by.items()}
    spreads = {kind: statistics.stdev(values) for kind, values in by.items()}
    error = math.sqrt(sum(spreads[kind] ** 2 / len(values) for kind, values in by.items()))
    pairs = [low - high for low, high in zip(by["bf16"], by["fp32"], strict=True)]
    other = {"fp32": "bf16", "bf16": "fp32"}
    return {
        "loss": loss,
        **{kind: {"mean": means[kind], "stdev": spreads[kind], "range": [min(v), max(v)]} for kind, v in by.items()},
        "difference": means["bf16"] - means["fp32"],
        "difference_by_standard_error": (means["bf16"] - means["fp32"]) / error if error else 0.0,
        "difference_seed_by_seed": pairs,
        "within": all(min(by[other[kind]]) <= means[kind] <= max(by[other[kind]]) for kind in by),
    }


def demand(chosen: argparse.Namespace) -> Path:
    root = chosen.flowers or Path(os.environ.get("SEPARABLE_TEST_DATA", "")) / "tf_flowers_256"
    if not (root / "train").is_dir():
        raise SystemExit(f"no photos in {root}: name a folder with train/ and val/, or set SEPARABLE_TEST_DATA")
    each = steps_in_an_epoch(root)
    if chosen.steps % each or chosen.steps < each or chosen.seeds < 2:
        raise SystemExit(f"--steps has to be a multiple of {each}, the steps of an epoch, and --seeds at least 2")
    return Path(root)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("flowers", nargs="?", type=Path, metavar="FLOWERS")
    parser.add_argument("--steps", type=int, default=300)
    parser.add_argument("--seeds", type=int, default=5)
    parser.add_argument("--width", type=float, default=1.0)
    parser.add_argument("--side", type=int, default=128)
    parser.add_argument("--runs", type=Path, default=Path("runs") / "bf16-proof")
    parser.add_argument("--out", type=Path, default=RESULTS)
    chosen = parser.parse_args()
    root = demand(chosen)
    session.choose_acceleration = kernels_everywhere  # type: ignore[attr-defined]
    rows = []
    for seed in range(chosen.seeds):
        for precision in ("fp32", "bf16"):
            name = f"{precision}-{chosen.steps}-{chosen.side}-{chosen.width:g}-{seed}"
            row = losses_of(configuration(root, chosen.runs / name, chosen, precision, seed), root)
            print(f"{precision} seed {seed}: {row['train_loss']:.4f}, held out {row['val_loss']:.4f}", flush=True)
            rows.append(row)
    verdicts = [compared(rows, loss) for loss in ("train_loss", "val_loss")]
    document = {
        "command": f"benchmarks/bf16_proof.py --steps {chosen.steps} --seeds {chosen.seeds} --width {chosen.width:g}",
        "date": datetime.date.today().isoformat(),
        "what": f"Xception, width {chosen.width:g}, {chosen.side} px, batch {BATCH}, {chosen.steps} steps from scratch",
        "environment": describe_environment(runtime=SETTINGS.to_json()),
        "proven": all(verdict["within"] for verdict in verdicts),
        "compared": verdicts,
        "runs": rows,
    }
    path = chosen.out / f"{document['date']}-bf16-proof.json"
    path.write_text(json.dumps(document, indent=1) + "\n")
    for one in verdicts:
        print(f"{one['loss']}: fp32 {one['fp32']}, bf16 {one['bf16']}, within: {one['within']}")
    print(f"proven: {document['proven']}; written: {path}")


if __name__ == "__main__":
    main()
