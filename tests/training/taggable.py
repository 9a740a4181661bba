"""A small real training on pictures with several tags each: blank ones, a faulty file, all that draws numbers is on."""

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

COLOURS = {"red": (220, 40, 40), "green": (40, 200, 40), "blue; dark": (40, 40, 200), "white": (240, 240, 240)}
NAMES = (*COLOURS, "never")


def write_tagged_pictures(folder: Path, *, train: int = 18, val: int = 7) -> Path:
    """40x44 noise with squares of some colours on it, each a tag: `train.csv`, `val.jsonl` and `classes.txt`, in which
    one more name stands. Pictures of number 4 modulo 6 have no tag; the first one to train on is no picture at all."""
    (folder / "images").mkdir(parents=True)
    listed: dict[str, list[tuple[str, list[str]]]] = {"train": [], "val": []}
    for part, count in (("train", train), ("val", val)):
        for number in range(count):
            rng = np.random.default_rng([count, number])
            pixels = rng.integers(60, 120, (40, 44, 3))
            tags = [name for name in COLOURS if rng.random() < 0.45] if number % 6 != 4 else []
            for name in tags:
                top, left = rng.integers(0, 28, 2)
                pixels[top : top + 12, left : left + 14] = COLOURS[name]
            path = f"images/{part}{number}.{'jpg' if number % 2 else 'png'}"
            Image.fromarray(pixels.astype(np.uint8)).save(folder / path)
            listed[part].append((path, tags))
    (folder / "images/train0.png").write_bytes(b"not a picture")
    rows = (f"{path},{'|'.join(name.replace(';', chr(92) + ';') for name in tags)}\n" for path, tags in listed["train"])
    (folder / "train.csv").write_text("path,labels\n" + "".join(rows))
    lines = (json.dumps({"path": path, "labels": tags}) + "\n" for path, tags in listed["val"])
    (folder / "val.jsonl").write_text("".join(lines))
    (folder / "classes.txt").write_text("\n".join(NAMES) + "\n")
    return folder


def tag_config(run: Path, root: Path, *, epochs: int = 4, workers: int = 0, **changes: Any) -> Any:
    """A narrow Xception with dropout, mixup or CutMix, augmentation and averaging."""
    from separable.data.augment_config import AugmentConfig
    from separable.training.config import DataConfig, MachineConfig, ModelConfig, TrainConfig
    from separable.training.recipes import RECIPES

    recipe = RECIPES["tags"]
    recipe = replace(
        recipe,
        global_batch=6,
        regularisation=replace(recipe.regularisation, dropout=0.3),
        augment=AugmentConfig(random_resized_crop=(0.5, 1.0), colour=0.3, random_erasing=0.3, mixup=0.2, cutmix=1.0),
    )
    config = TrainConfig(
        run=str(run),
        recipe=recipe,
        data=DataConfig(root=str(root), max_bad=0.2),
        model=ModelConfig(
            "xception",
            options={"width": 0.125, "stem_stride": 1, "middle_blocks": 1},
            image_size=(32, 36),
            crop_fraction=1.0,
        ),
        machine=MachineConfig(workers=workers, checkpoint_steps=2),
        epochs=epochs,
        batch_size=6,
        threads=1,
        task="tag",
    )
    return replace(config, **changes)
