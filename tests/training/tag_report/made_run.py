"""A run on pictures with several labels each as a training leaves it, its figures computed here by the definition."""

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

from separable.training.config import DataConfig, ModelConfig, TrainConfig
from separable.training.recipes import RECIPES
from tests.training.synthetic_run import write_check, write_json, write_surroundings, write_table

NAMES = ("sky", "tree; oak", "dog", "<b>cat</b>", "never")
HOSTILE = "images/7 <img src=x onerror=alert(1)>.png"


@dataclass(frozen=True)
class Made:
    """The run's folder, that of its pictures, and what is in predictions.csv and in evaluation.json."""

    run: Path
    pictures: Path
    rows: list[dict[str, Any]]
    evaluation: dict[str, Any]


def make_run(root: Path, *, count: int = 40, epochs: int = 5) -> Made:
    """Labels and probabilities drawn from a seed; pictures of number 4 modulo 6 have no label."""
    rng = np.random.default_rng(3)
    data, run = root / "album", root / "run"
    rows = [_row(rng, data, number) for number in range(count)]
    scores = [row["score"] for row in rows if row["score"] is not None]
    evaluation = {
        "task": "tag", "set": "val", "n": count, "tags": sum(len(row["labels"]) for row in rows), "loss": 1.25,
        "map100": sum(scores) / len(scores), "weighted_map100": 0.75, "precision1": 0.8, "class_names": list(NAMES),
        "decision": {"threshold": 0.4, "precision": 0.7, "recall": 0.6, "f1": 0.646},
        "per_class": [
            {"name": name, "support": 20 - 4 * k, "average_precision": (0.9, 0.3, 0.6, None)[k]}
            for k, name in enumerate(NAMES[:4])
        ],
        "bad": [{"path": "images/torn.png", "cause": "truncated PNG"}],
    }  # fmt: skip
    run.mkdir(parents=True)
    write_json(run / "evaluation.json", evaluation)
    write_table(
        run / "predictions.csv",
        ("path", "labels", "predicted", "confidence", "average_precision"),
        [
            (
                row["path"],
                "; ".join(name.replace(";", "\\;") for name in row["labels"]),
                "; ".join(name.replace(";", "\\;") for name, _ in row["predicted"]),
                "; ".join(f"{p:.6f}" for _, p in row["predicted"]),
                "" if row["score"] is None else f"{row['score']:.6f}",
            )
            for row in rows
        ],
    )
    _write_training(run, data, epochs)
    return Made(run, data, rows, evaluation)


def _row(rng: np.random.Generator, data: Path, number: int) -> dict[str, Any]:
    path = HOSTILE if number == 7 else f"images/{number:02d}.png"
    (data / path).parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray(rng.integers(0, 255, (40, 50, 3), dtype=np.uint8)).save(data / path)
    labels = [] if number % 6 == 4 else [name for name in NAMES[:4] if rng.random() < 0.4] or ["sky"]
    values = {name: 0.35 * (name in labels) + 0.6 * float(rng.random()) for name in NAMES}
    predicted = sorted(values.items(), key=lambda one: -one[1])
    ranks = sorted(place for place, (name, _) in enumerate(predicted, start=1) if name in labels)
    score = sum(found / place for found, place in enumerate(ranks, start=1)) / len(labels) if labels else None
    return {"path": path, "labels": labels, "predicted": predicted, "score": score}


def _write_training(run: Path, data: Path, epochs: int) -> None:
    TrainConfig(
        run=str(run),
        recipe=RECIPES["tags"],
        data=DataConfig(root=str(data), train_root=str(data), val_root=str(data)),
        model=ModelConfig("xception", {"width": 0.5}, None, (160, 160)),
        epochs=epochs,
        task="tag",
    ).to_yaml(run / "config.yaml")
    lines: list[dict[str, Any]] = []
    for epoch in range(epochs):
        for step in range(4 * epoch + 1, 4 * epoch + 5):
            lines.append({"kind": "step", "step": step, "epoch": epoch, "loss": 4 / step, "learning_rate": 0.01})
        found = {"train_loss": 3.0 / (epoch + 1), "train_precision1": 0.9, "val_loss": 2.0, "seconds": 2.0}
        found |= {"val_map100": 0.5 + 0.05 * epoch, "val_weighted_map100": 0.4, "val_precision1": 0.7}
        lines.append({"kind": "epoch", "epoch": epoch, "step": 4 * epoch + 4, **found})
    (run / "metrics.jsonl").write_text("".join(json.dumps(line) + "\n" for line in lines))
    write_check(run, data, ["images/00.png", "images/01.png"], NAMES)
    write_surroundings(run)
