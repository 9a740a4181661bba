"""bf16_proof.py for networks that segment: `unet_xception` on the scenes that the demo draws, five seeds each.

    python benchmarks/bf16_masks.py                    # needs scikit-learn, whose digits and photographs are drawn with
    python benchmarks/bf16_masks.py --steps 20 --seeds 2 --width 0.25

320 scenes to learn from, 64 held out, 64 px, by the recipe `segment` ("cross_entropy + dice"), the CPU kernels in every
module that they can serve. Proven is what is proven there: in the losses that the trainings end with, and in those on
the held-out scenes and their mean IoU, each precision's mean over the seeds lies within the range of the other's seeds.
Each finished training is kept below --runs. Writes results/<date>-bf16-masks.json.
"""

import argparse
import datetime
import json
import statistics
from pathlib import Path
from typing import Any

from bf16_proof import LAST, RESULTS, SETTINGS, compared, kernels_everywhere  # tunes the runtime before torch

from separable.machine.environment import describe_environment
from separable.segmentation.digit_scenes import write_digit_scenes
from separable.segmentation.pair_set import PairsData
from separable.segmentation.pairs import read_pairs
from separable.segmentation.task import SegmentTask
from separable.training import session, train
from separable.training.config import DataConfig, MachineConfig, ModelConfig, TrainConfig
from separable.training.display import PlainDisplay
from separable.training.journal import read_journal
from separable.training.recipes import find_recipe

SCENES = {"train": 320, "val": 64}
BATCH = 16
IN_AN_EPOCH = SCENES["train"] // BATCH


def losses_of(root: Path, data: PairsData, run: Path, chosen: argparse.Namespace, precision: str, seed: int) -> Any:
    """Train, or go on, or read what a finished training has left."""
    kept = run / "losses.json"
    if kept.exists():
        return json.loads(kept.read_text())
    config = TrainConfig(
        run=str(run),
        task="segment",
        recipe=find_recipe("segment"),
        data=DataConfig(root=str(root), train_root=str(data.train.root), val_root=str(data.val.root)),
        model=ModelConfig("unet_xception", {"width": chosen.width}, None, (chosen.side, chosen.side)),
        machine=MachineConfig(workers=0),
        epochs=chosen.steps // IN_AN_EPOCH,
        batch_size=BATCH,
        seed=seed,
        precision=precision,  # type: ignore[arg-type]
    )
    train(config, data, task=SegmentTask(), resume=True, display=PlainDisplay(interval=60))
    rows = list(read_journal(run / "metrics.jsonl"))
    steps, epochs = ([row for row in rows if row["kind"] == kind] for kind in ("step", "epoch"))
    taken = json.loads((run / "environment.json").read_text())["chosen"]["acceleration"]
    found = {
        "precision": precision,
        "seed": seed,
        "train_loss": statistics.fmean(row["loss"] for row in steps[-LAST:]),
        **{name: epochs[-1][name] for name in ("val_loss", "val_miou", "val_pixel_accuracy")},
        "steps": len(steps),
        "train_losses": [round(row["loss"], 5) for row in steps],
        "acceleration": taken["why"],
        "library": taken["library"],
    }
    kept.write_text(json.dumps(found))
    return found


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--steps", type=int, default=400)
    parser.add_argument("--seeds", type=int, default=5)
    parser.add_argument("--width", type=float, default=0.5)
    parser.add_argument("--side", type=int, default=64)
    parser.add_argument("--runs", type=Path, default=Path("runs") / "bf16-masks")
    parser.add_argument("--out", type=Path, default=RESULTS)
    chosen = parser.parse_args()
    if chosen.steps % IN_AN_EPOCH or chosen.steps < IN_AN_EPOCH or chosen.seeds < 2:
        raise SystemExit(
            f"--steps has to be a multiple of {IN_AN_EPOCH}, the steps of an epoch, and --seeds at least 2"
        )
    root = write_digit_scenes(chosen.runs / "scenes", **SCENES)
    data = read_pairs(root)
    session.choose_acceleration = kernels_everywhere  # type: ignore[attr-defined]
    rows = []
    for seed in range(chosen.seeds):
        for precision in ("fp32", "bf16"):
            run = chosen.runs / f"{precision}-{chosen.steps}-{chosen.side}-{chosen.width:g}-{seed}"
            row = losses_of(root, data, run, chosen, precision, seed)
            print(f"{precision} seed {seed}: {row['train_loss']:.4f}, held out {row['val_loss']:.4f}", flush=True)
            rows.append(row)
    verdicts = [compared(rows, name) for name in ("train_loss", "val_loss", "val_miou")]
    document = {
        "command": f"benchmarks/bf16_masks.py --steps {chosen.steps} --seeds {chosen.seeds} --width {chosen.width:g}",
        "date": datetime.date.today().isoformat(),
        "what": f"unet_xception, width {chosen.width:g}, {chosen.side} px, batch {BATCH}, {chosen.steps} steps",
        "environment": describe_environment(runtime=SETTINGS.to_json()),
        "proven": all(verdict["within"] for verdict in verdicts),
        "compared": verdicts,
        "runs": rows,
    }
    path = chosen.out / f"{document['date']}-bf16-masks.json"
    path.write_text(json.dumps(document, indent=1) + "\n")
    for one in verdicts:
        print(f"{one['loss']}: fp32 {one['fp32']}, bf16 {one['bf16']}, within: {one['within']}")
    print(f"proven: {document['proven']}; written: {path}")


if __name__ == "__main__":
    main()
