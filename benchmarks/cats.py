"""`unet_xception` as `separable train` trains it, beside Keras' example: same pictures, same network, same epochs.

    python benchmarks/keras_unet_example.py DATA --out KERAS      # in an environment with TensorFlow: three seeds
    python benchmarks/cats.py DATA --keras KERAS --runs RUNS      # ours, then both side by side

DATA holds train/{images,masks} and valid/{images,masks}. Ours is `separable train DATA --task segment --epochs 50
--seed N`, all else by default (recipe `segment`); a run that is finished is read, not trained again. IoU is over all
pixels of the held-out set at 160x160, the network's input. Of Keras both are given: the checkpoint with the lowest
validation loss, which the example keeps, and the last epoch; ours, the last epoch, is held against the better mean.
Writes results/<date>-cats.json.
"""

import argparse
import datetime
import json
import statistics
import subprocess
import sys
from pathlib import Path
from typing import Any

from separable.machine.environment import describe_environment

RESULTS = Path(__file__).parent / "results"
EPOCHS = 50
SCORES = ("mean_iou", "iou_cat", "iou_background", "pixel_accuracy")


def ours(data: Path, run: Path, seed: int) -> dict[str, Any]:
    """The scores of a finished run; it is trained, or gone on with, where it is not."""
    if not (run / "evaluation.json").exists():
        command = ["train", str(data), "--task", "segment", "--epochs", str(EPOCHS), "--seed", str(seed)]
        more = ["--run", str(run.resolve()), *(["--resume"] if (run / "config.yaml").exists() else [])]
        subprocess.run([sys.executable, "-m", "separable", *command, *more], check=True)
    found = json.loads((run / "evaluation.json").read_text())
    background, cat = (one["iou"] for one in found["per_class"])
    lines = [json.loads(line) for line in (run / "metrics.jsonl").read_text().splitlines()]
    epochs = [line for line in lines if line["kind"] == "epoch"]
    assert len(epochs) == EPOCHS, f"{run} has {len(epochs)} epochs"
    return {
        "seed": seed,
        "mean_iou": found["miou"],
        "iou_cat": cat,
        "iou_background": background,
        "pixel_accuracy": found["pixel_accuracy"],
        "boundary_f1": found["boundary_f1"],
        "seconds": sum(line["seconds"] for line in epochs),
        "val_miou": [round(line["val_miou"], 5) for line in epochs],
        "val_loss": [round(line["val_loss"], 5) for line in epochs],
    }


def means(rows: list[dict[str, Any]]) -> dict[str, Any]:
    return {
        name: {"mean": statistics.fmean(values), "range": [min(values), max(values)]}
        for name in SCORES
        for values in [[row[name] for row in rows]]
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("data", type=Path)
    parser.add_argument("--keras", type=Path, required=True)
    parser.add_argument("--runs", type=Path, default=Path("runs") / "cats")
    parser.add_argument("--seeds", type=int, nargs="+", default=[0, 1, 2])
    parser.add_argument("--out", type=Path, default=RESULTS)
    chosen = parser.parse_args()
    theirs = [json.loads((chosen.keras / f"seed-{seed}.json").read_text()) for seed in chosen.seeds]
    assert all(one["epochs"] == EPOCHS for one in theirs), "Keras was trained for another number of epochs"
    rows = [ours(chosen.data, chosen.runs / f"s{seed}", seed) for seed in chosen.seeds]
    both = {"kept": means([one["kept"] for one in theirs]), "last": means([one["last"] for one in theirs])}
    best = max(both, key=lambda name: both[name]["mean_iou"]["mean"])
    mine = means(rows)
    gained = {name: 100 * (mine[name]["mean"] - both[best][name]["mean"]) for name in SCORES}
    document = {
        "command": "benchmarks/cats.py DATA --keras KERAS",
        "date": datetime.date.today().isoformat(),
        "epochs": EPOCHS,
        "environment": describe_environment(),
        "points_above_keras": {"of": best, **gained},
        "ours": mine,
        "keras": both,
        "runs": rows,
        "keras_runs": theirs,
    }
    path = chosen.out / f"{document['date']}-cats.json"
    path.write_text(json.dumps(document, indent=1) + "\n")
    for name in SCORES:
        said = ", ".join(f"Keras {which} {100 * both[which][name]['mean']:.1f}" for which in both)
        print(f"{name}: ours {100 * mine[name]['mean']:.1f}, {said}; {gained[name]:+.1f} points over its {best}")
    print(f"written: {path}")


if __name__ == "__main__":
    main()
