"""A run folder as a segmentation leaves it, made by hand: shapes for pictures, shifted masks for predictions."""

import json
import math
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageDraw

from separable.analysis.drawing_lots import draw_by_name
from separable.segmentation.palette import class_colours
from separable.training.config import DataConfig, ModelConfig, TrainConfig
from separable.training.recipes import RECIPES
from tests.training.synthetic_run import write_check, write_json, write_surroundings, write_table

__all__ = ["Made", "make_run"]

Indices = NDArray[np.uint8]
IGNORED = 255


@dataclass(frozen=True)
class Made:
    """The run, and what its pages are held against: truth and prediction of every picture at the input size."""

    run: Path
    paths: list[str]
    truth: list[Indices]
    predicted: list[Indices]

    def counts(self, index: int, class_index: int) -> tuple[int, int]:
        """(intersection, union) of a class in one picture, counted pixel by pixel."""
        return _overlap(self.truth[index], self.predicted[index], class_index)

    def iou(self, index: int, classes: int) -> float:
        """Mean IoU of one picture."""
        found = [self.counts(index, k) for k in range(classes)]
        return float(np.mean([i / u for i, u in found if u]))


def make_run(
    base: Path,
    *,
    count: int = 40,
    class_names: Sequence[str] = ("background", "shape"),
    side: int = 48,
    epochs: int = 6,
    planned: int | None = None,
    names: Sequence[str] | None = None,
    draw: bool = True,
) -> Made:
    """Write `base`/data/val/images and every file of a finished run in `base`/run."""
    run, images = base / "run", base / "data" / "val" / "images"
    paths = list(names) if names is not None else [f"{index:03d}.jpg" for index in range(count)]
    truth, predicted = [], []
    for index, path in enumerate(paths):
        mask = _shapes(side, len(class_names), index)
        truth.append(mask)
        predicted.append(_wrong(mask, index))
        if draw:
            (images / path).parent.mkdir(parents=True, exist_ok=True)
            _picture(mask, index).resize((2 * side + side // 2, 2 * side)).save(images / path)
    made = Made(run, paths, truth, predicted)
    run.mkdir(parents=True)
    _write_config(run, base / "data", planned or epochs)
    _write_contract(run, side, class_names)
    _write_metrics(run, epochs)
    _write_pictures(made, class_names)
    _write_evaluation(made, class_names)
    write_check(run, base / "data", paths, class_names)
    write_surroundings(run)
    return made


def _shapes(side: int, classes: int, seed: int) -> Indices:
    """An ellipse and a box of the classes other than the first, and a strip without a label."""
    rng = np.random.default_rng(seed)
    image = Image.new("L", (side, side))
    pen = ImageDraw.Draw(image)
    for place in range(2):
        left, top = rng.integers(2, side // 2, 2)
        width, height = rng.integers(side // 4, side // 2, 2)
        box = [int(left), int(top), int(left + width), int(top + height)]
        (pen.ellipse if place else pen.rectangle)(box, fill=int(1 + (seed + place) % max(1, classes - 1)))
    mask = np.array(image, np.uint8)
    mask[-2:] = IGNORED
    return mask


def _wrong(mask: Indices, seed: int) -> Indices:
    """Shifted, further from picture to picture; nothing is predicted to be without a label."""
    moved = np.roll(np.where(mask == IGNORED, 0, mask), (seed % 11, seed % 7), (0, 1))
    return moved.astype(np.uint8)


def _picture(mask: Indices, seed: int) -> Image.Image:
    rng = np.random.default_rng(seed)
    pixels = 60 + 90 * (mask[..., None] % 3 == 1) + rng.normal(0, 12, (*mask.shape, 3)) + 40 * (mask[..., None] > 0)
    return Image.fromarray(pixels.clip(0, 255).astype(np.uint8))


def _overlap(truth: Indices, predicted: Indices, class_index: int) -> tuple[int, int]:
    known = truth != IGNORED
    one, other = (truth == class_index) & known, (predicted == class_index) & known
    return int((one & other).sum()), int((one | other).sum())


def _write_config(run: Path, data: Path, epochs: int) -> None:
    config = TrainConfig(
        run=str(run),
        recipe=RECIPES["segment"],
        data=DataConfig(root=str(data), train_root=str(data / "train/images"), val_root=str(data / "val/images")),
        model=ModelConfig("unet_xception", {"width": 0.5}, None, (48, 48)),
        epochs=epochs,
        task="segment",
    )
    config.to_yaml(run / "config.yaml")


def _write_contract(run: Path, side: int, class_names: Sequence[str]) -> None:
    (run / "model").mkdir()
    contract = {"size": [side, side], "mean": [0.5] * 3, "std": [0.5] * 3, "resize": "squash", "crop_fraction": 1.0}
    write_json(run / "model" / "config.json", {
        "format_version": 1, "name": "unet_xception", "num_classes": len(class_names), "options": {},
        "input": {**contract, "class_names": list(class_names)},
    })  # fmt: skip


def _write_metrics(run: Path, epochs: int, per_epoch: int = 5) -> None:
    lines: list[dict[str, Any]] = []
    for step in range(1, epochs * per_epoch + 1):
        done = step / (epochs * per_epoch)
        lines.append({"kind": "step", "step": step, "epoch": (step - 1) // per_epoch, "loss": 0.7 * math.exp(-3 * done),
                      "learning_rate": 1e-3 * (1 - done), "pixel_accuracy": 0.6 + 0.3 * done,
                      "timing": {"images_per_second": 12.5}})  # fmt: skip
        if step % per_epoch == 0:
            lines.append({"kind": "epoch", "epoch": step // per_epoch - 1, "step": step,
                          "train_loss": 0.7 * math.exp(-3 * done), "train_pixel_accuracy": 0.6 + 0.35 * done,
                          "val_loss": 0.7 * math.exp(-2 * done) + 0.05,
                          "val_miou": 0.3 + (0.45 - 0.1 * (done == 1)) * done,
                          "val_dice": 0.4 + 0.4 * done, "val_pixel_accuracy": 0.6 + 0.3 * done,
                          "seconds": 21.0})  # fmt: skip
    (run / "metrics.jsonl").write_text("".join(json.dumps(line) + "\n" for line in lines))


def _write_pictures(made: Made, class_names: Sequence[str]) -> None:
    """pictures.csv with the masks of the 24 worst and of 12 drawn by lot."""
    (made.run / "predictions").mkdir()
    scores = [made.iou(index, len(class_names)) for index in range(len(made.paths))]
    right = [float((t == p)[t != IGNORED].mean()) for t, p in zip(made.truth, made.predicted, strict=True)]
    worst = sorted(range(len(scores)), key=lambda k: (scores[k], right[k]))[:24]
    kept = {*worst, *draw_by_name(made.paths, 12)}
    rows = []
    for index, path in enumerate(made.paths):
        files = ("", "")
        if index in kept:
            files = (f"predictions/{index:04d}.png", f"predictions/{index:04d}_truth.png")
            for name, mask in zip(files, (made.predicted[index], made.truth[index]), strict=True):
                image = Image.fromarray(mask, "L")
                image.save(made.run / name)
        rows.append((path, f"{path}.png", f"{right[index]:.6f}", f"{scores[index]:.6f}", "0.3", *files))
    head = ("path", "mask", "pixel_accuracy", "miou", "loss", "predicted", "truth")
    write_table(made.run / "pictures.csv", head, rows)


def _write_evaluation(made: Made, class_names: Sequence[str]) -> None:
    classes = len(class_names)
    confusion = np.zeros((classes, classes), np.int64)
    for truth, predicted in zip(made.truth, made.predicted, strict=True):
        known = truth != IGNORED
        np.add.at(confusion, (truth[known], predicted[known]), 1)
    rows = []
    for index, name in enumerate(class_names):
        both, true, said = (
            int(v) for v in (confusion[index, index], confusion[index].sum(), confusion[:, index].sum())
        )
        rows.append({
            "name": name, "iou": both / (true + said - both) if true + said else None,
            "dice": 2 * both / (true + said) if true + said else None, "precision": both / said if said else None,
            "recall": both / true if true else None, "boundary_f1": 0.625 if true else None, "pixels": true,
        })  # fmt: skip
    known_iou = [row["iou"] for row in rows if row["iou"] is not None]
    write_json(made.run / "evaluation.json", {
        "task": "segment", "set": "val", "n": len(made.paths), "loss": 0.31,
        "miou": sum(known_iou) / len(known_iou) if known_iou else None, "mean_dice": 0.81,
        "pixel_accuracy": int(np.trace(confusion)) / max(1, int(confusion.sum())), "boundary_f1": 0.625,
        "boundary_tolerance": 2.0, "input": [48, 48], "class_names": list(class_names),
        "colours": [list(colour) for colour in class_colours(classes)], "per_class": rows,
        "confusion": confusion.tolist(), "bad": [{"path": "broken.jpg", "cause": "its mask broken.png: truncated"}],
    })  # fmt: skip
