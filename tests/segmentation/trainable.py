"""A small real training on pictures with masks: faulty files, pixels without labels, all that draws numbers is on."""

from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

CLASSES = ("ground", "red", "blue")
FAULTS = {
    "train/images/00.png": "not a picture",
    "train/images/01.jpg": "its mask 01.png: not a picture",
    "train/images/02.png": "its mask 02.png: 20x10 pixels, the picture has 44x40",
}
"""Path from the data folder, and cause."""


def write_training_pairs(folder: Path, *, train: int = 16, val: int = 5) -> Path:
    """Noisy reds and blues on green, 40x44, masks of three indices and 255; of training three are faulty, one blank."""
    folder.mkdir(parents=True)
    lines = "".join(f"  - {{name: {name}, value: {value}}}\n" for value, name in enumerate(CLASSES))
    (folder / "classes.yaml").write_text(f"classes:\n{lines}ignore: [255]\n")
    colours = np.array([[60, 150, 60], [190, 60, 60], [60, 60, 190]])
    for part, count in (("train", train), ("val", val)):
        for name in ("images", "masks"):
            (folder / part / name).mkdir(parents=True)
        for number in range(count):
            rng = np.random.default_rng([count, number])
            mask = _regions(rng)
            pixels = np.clip(colours[mask] + rng.normal(scale=30, size=(40, 44, 3)), 0, 255).astype(np.uint8)
            mask[:, :4] = 255
            ending = "jpg" if number % 2 else "png"
            Image.fromarray(pixels).save(folder / part / f"images/{number:02d}.{ending}")
            Image.fromarray(mask).save(folder / part / f"masks/{number:02d}.png")
    images, masks = folder / "train/images", folder / "train/masks"
    (images / "00.png").write_bytes(b"not a picture")
    (masks / "01.png").write_bytes(b"not a picture")
    Image.fromarray(np.zeros((10, 20), np.uint8)).save(masks / "02.png")
    Image.fromarray(np.full((40, 44), 255, np.uint8)).save(masks / "03.png")
    return folder


def _regions(rng: np.random.Generator) -> np.ndarray:
    mask = np.zeros((40, 44), np.uint8)
    for value in (1, 2):
        top, left = rng.integers(0, 24, 2)
        mask[top : top + rng.integers(8, 16), left : left + rng.integers(8, 20)] = value
    return mask


def segment_config(run: Path, root: Path, *, epochs: int = 4, workers: int = 0, **changes: Any) -> Any:
    """A narrow U-Net, 30x36: not a multiple of what its logits come in. Weights of classes, dropout, averaging."""
    from separable.data.augment_config import AugmentConfig
    from separable.training.config import DataConfig, MachineConfig, ModelConfig, TrainConfig
    from separable.training.recipes import RECIPES

    recipe = RECIPES["segment"]
    recipe = replace(
        recipe,
        global_batch=5,
        regularisation=replace(recipe.regularisation, dropout=0.2),
        augment=AugmentConfig(random_resized_crop=(0.5, 1.0), colour=0.3, random_erasing=0.3),
        loss="cross_entropy + 0.5 dice",
        class_weights="balanced",
    )
    config = TrainConfig(
        run=str(run),
        recipe=recipe,
        data=DataConfig(root=str(root), max_bad=0.2),
        model=ModelConfig("unet_xception", {"width": 0.25, "depth": 1}, image_size=(30, 36)),
        machine=MachineConfig(workers=workers, checkpoint_steps=2),
        epochs=epochs,
        batch_size=5,
        threads=1,
        task="segment",
    )
    return replace(config, **changes)
