"""A run folder as a training leaves it, made up from a seed: every file in the agreed format, consistent numbers."""

import csv
import json
import math
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

from separable.training.config import DataConfig, ModelConfig, TrainConfig
from separable.training.recipes import RECIPES

__all__ = ["draw_pictures", "write_check", "write_json", "write_run", "write_surroundings", "write_table"]

FLOWERS = ("daisy", "dandelion", "roses", "sunflowers", "tulips")


def draw_pictures(root: Path, class_names: Sequence[str], per_class: int, side: int = 48) -> list[tuple[str, int]]:
    """Write `root`/<class>/<n>.jpg, a colour a class, and return (relative path, class) of each."""
    drawn = []
    for label, name in enumerate(class_names):
        (root / name).mkdir(parents=True, exist_ok=True)
        for index in range(per_class):
            rng = np.random.default_rng([label, index])
            pixels = rng.normal((70 * label % 255, 128, 200 - 40 * label % 200), 30, (side, side + 8, 3))
            Image.fromarray(pixels.clip(0, 255).astype(np.uint8)).save(root / name / f"{index}.jpg")
            drawn.append((f"{name}/{index}.jpg", label))
    return drawn


def write_run(
    run: Path,
    pictures: Sequence[tuple[str, int]],
    *,
    val_root: Path,
    class_names: Sequence[str] = FLOWERS,
    epochs: int = 20,
    planned: int | None = None,
    steps_per_epoch: int = 18,
    accuracy: float = 0.88,
    val: bool = True,
    suspects: int = 9,
) -> Path:
    """Write every file of a finished run whose held-out set is `pictures` (path relative to `val_root`, class)."""
    run.mkdir(parents=True, exist_ok=True)
    rng = np.random.default_rng(0)
    classes = len(class_names)
    _write_config(run, val_root, planned or epochs)
    write_check(run, val_root, [path for path, _ in pictures], class_names)
    _write_metrics(run, rng, epochs, steps_per_epoch, accuracy, val, math.log(max(2, classes)))
    rows = _answers(rng, pictures if val else [], classes, accuracy)
    _write_evaluation(run, rows, class_names)
    write_table(
        run / "predictions.csv",
        ("path", "label", "predicted", "confidence", "correct", "second", "second_confidence"),
        [
            (path, class_names[y], class_names[p], f"{c:.6f}", int(y == p), class_names[y], f"{(1 - c) / 2:.6f}")
            for path, y, p, c in rows
        ],
    )
    write_table(
        run / "suspects.csv",
        ("path", "label", "suggested", "score"),
        [(path, class_names[y], class_names[(y + 1) % classes], f"{0.99 - 0.02 * i:.6f}")
         for i, (path, y) in enumerate(pictures[:: max(1, len(pictures) // max(1, suspects))][:suspects])],
    )  # fmt: skip
    write_surroundings(run)
    return run


def write_surroundings(run: Path) -> None:
    """What is there whatever is learnt: quarantine.csv, profile.json, environment.json."""
    write_table(
        run / "quarantine.csv",
        ("path", "cause", "first_seen"),
        [("daisy/broken.jpg", "truncated: 1,204 of 30,118 bytes", "2025-11-22T06:40:12+00:00")],
    )
    write_json(run / "profile.json", {
        "parameters": 832_101, "macs": 151_300_000, "activations": 3_120_000,
        "images_per_second_train": 71.3, "latency_ms_batch1": 9.42, "input": [160, 160],
    })  # fmt: skip
    write_json(run / "environment.json", {
        "python": "3.11.9", "system": "Linux-6.1-x86_64", "packages": {"torch": "2.13.0", "numpy": "2.3.5"},
        "processor": {"model": "AMD EPYC 9V74 80-Core Processor", "physical_cores": 2, "usable_cores": 2,
                      "features": ["avx2", "avx512f"]},
        "cuda": None, "seeds": {"training": 0, "split": 0},
    })  # fmt: skip


def _write_config(run: Path, val_root: Path, epochs: int) -> None:
    config = TrainConfig(
        run=str(run),
        recipe=replace(RECIPES["finetune"], epochs=epochs),
        data=DataConfig(root=str(val_root.parent), train_root=str(val_root), val_root=str(val_root)),
        model=ModelConfig("mobilenet_v1", {"width": 0.5}, "mobilenet_v1_0.5_160.npz", (160, 160)),
    )
    config.to_yaml(run / "config.yaml")


def write_check(run: Path, root: Path, paths: Sequence[str], names: Sequence[str]) -> None:
    """check.json."""
    pair = {"path": paths[0], "other": paths[-1], "detail": "alike to 0.97"} if paths else {"path": "", "other": ""}
    groups = [
        {"kind": "leak", "severity": "error", "what": "9 held-out pictures are in training too (4.5 %).",
         "fix": "Remove them from one of the two.", "count": 9, "examples": [pair] * 6},
        {"kind": "few", "severity": "warning", "what": "2 classes have fewer than 10 pictures to train on.",
         "fix": "Add pictures, or leave the class out.", "count": 2,
         "examples": [{"path": names[0], "other": "", "detail": "7 pictures"}]},
        {"kind": "format", "severity": "note", "what": "3 pictures are palettes.", "fix": "Nothing to do.", "count": 3,
         "examples": []},
    ]  # fmt: skip
    write_json(run / "check.json", {
        "format_version": 1, "root": str(root), "misleading": True, "groups": groups,
        "problems": [f"{g['what']} {g['fix']}" for g in groups[:2]], "notes": ["3 pictures are palettes."],
        "pictures": {"train": 600, "val": len(paths)}, "unreadable": 1,
        "classes": [{"name": name, "train": 120 - index % 100, "val": 40} for index, name in enumerate(names)],
        "sides": {"shorter_least": 256, "shorter_median": 256, "shorter_greatest": 320, "sizes": 9,
                  "commonest": "341x256", "commonest_count": 311, "bytes": 12_345_678},
        "formats": {"JPEG": 797, "PNG": 3}, "traits": {}, "limits": {},
    })  # fmt: skip


def _write_metrics(
    run: Path, rng: np.random.Generator, epochs: int, per_epoch: int, accuracy: float, val: bool, start: float
) -> None:
    lines: list[dict[str, Any]] = []
    total = max(1, epochs * per_epoch)
    for step in range(1, epochs * per_epoch + 1):
        done = step / total
        loss = start * math.exp(-4 * done) + 0.25 * (1 - accuracy) + 0.08 * abs(float(rng.normal()))
        rate = 0.01 * min(1.0, step / per_epoch) * (1 + math.cos(math.pi * done)) / 2
        lines.append({"kind": "step", "step": step, "epoch": (step - 1) // per_epoch, "loss": loss,
                      "learning_rate": rate, "top1": min(1.0, accuracy * (1 - math.exp(-5 * done)) + 0.1),
                      "timing": {"images_per_second": 70 + 3 * float(rng.normal())}})  # fmt: skip
        if step % per_epoch == 0:
            entry = {"kind": "epoch", "epoch": step // per_epoch - 1, "step": step}
            entry |= {"train_loss": start * math.exp(-4 * done), "train_top1": 0.99 * (1 - math.exp(-6 * done))}
            if val:
                entry |= {"val_loss": start * math.exp(-3 * done) + 0.3 + 0.02 * float(rng.normal()),
                          "val_top1": accuracy * (1 - math.exp(-5 * done)) + 0.008 * float(rng.normal()),
                          "val_top5": 1.0}  # fmt: skip
            lines.append({**entry, "seconds": 7.9})
    (run / "metrics.jsonl").write_text("".join(json.dumps(line) + "\n" for line in lines))


def _answers(
    rng: np.random.Generator, pictures: Sequence[tuple[str, int]], classes: int, accuracy: float
) -> list[tuple[str, int, int, float]]:
    rows = []
    for path, label in pictures:
        right = rng.random() < accuracy
        predicted = label if right else int((label + rng.choice([1, 1, 1, 2])) % classes)
        confidence = float(np.clip(1 - rng.exponential(0.08 if right else 0.3), 1.02 / classes, 0.9999))
        rows.append((path, label, predicted, confidence))
    return rows


def _write_evaluation(run: Path, rows: list[tuple[str, int, int, float]], names: Sequence[str]) -> None:
    confusion = np.zeros((len(names), len(names)), np.int64)
    for _, label, predicted, _ in rows:
        confusion[label, predicted] += 1
    per_class = []
    for index, name in enumerate(names):
        right, support, called = (
            int(v) for v in (confusion[index, index], confusion[index].sum(), confusion[:, index].sum())
        )
        per_class.append({
            "name": name, "support": support, "precision": right / called if called else None,
            "recall": right / support if support else None,
            "f1": 2 * right / (support + called) if support + called else None,
        })  # fmt: skip
    correct = [(c, y == p) for _, y, p, c in rows]
    bins = []
    for index in range(15):
        inside = [(c, r) for c, r in correct if index / 15 < c <= (index + 1) / 15]
        bins.append({
            "low": index / 15, "high": (index + 1) / 15, "count": len(inside),
            "confidence": sum(c for c, _ in inside) / len(inside) if inside else None,
            "accuracy": sum(r for _, r in inside) / len(inside) if inside else None,
        })  # fmt: skip
    ece = sum(b["count"] * abs(b["accuracy"] - b["confidence"]) for b in bins if b["count"]) / max(1, len(rows))
    top1 = sum(r for _, r in correct) / len(correct) if correct else None
    write_json(run / "evaluation.json", {
        "set": "val", "n": len(rows), "loss": 0.41, "top1": top1, "top5": 1.0 if correct else None,
        "class_names": list(names), "per_class": per_class, "confusion": confusion.tolist(),
        "calibration": {
            "n": len(rows), "left_out": 0, "held_out": len(rows) // 2, "ece": ece if rows else None,
            "temperature": 1.21,
            "ece_after_temperature": 0.021, "reject_threshold": 0.71, "reject_target": 0.95, "reject_certainty": 0.95,
            "reject_bound": 0.951, "reject_coverage": 0.83, "reject_accuracy": 0.964, "reject_reason": None,
            "bins": bins,
        },
        "bad": [],
    })  # fmt: skip


def write_table(path: Path, head: Sequence[str], rows: Sequence[Sequence[object]]) -> None:
    with path.open("w", newline="", encoding="utf-8", errors="surrogateescape") as handle:
        writer = csv.writer(handle)
        writer.writerow(head)
        writer.writerows(rows)


def write_json(path: Path, content: dict[str, Any]) -> None:
    path.write_text(json.dumps(content, indent=1))
