"""Keras' segmentation example as it is published, on a folder of pictures and masks: the run that ours is held against.

    python benchmarks/keras_unet_example.py DATA --out FOLDER --seeds 0 1 2

Needs TensorFlow and Keras 3 alone, nothing of this project, so that an environment of its own can run it. From
keras.io/examples/vision/oxford_pets_image_segmentation (F. Chollet, the Keras 3 version): pictures of 160x160 with
values from 0 to 255, squeezed to the square whatever their sides; batches of 32, shuffled anew each epoch; no
augmentation; Adam at 1e-4; sparse categorical cross entropy on a softmax; 50 epochs; the checkpoint with the lowest
validation loss is kept. Two classes in place of three, as DATA's masks have 0 and 255, brought to the size by the
nearest pixel. DATA holds train/{images,masks} and valid/{images,masks}. Each seed writes FOLDER/seed-N.json: every
epoch, and the scores on the held-out pictures, of the kept checkpoint and of the last epoch. A seed that is there is
not run again; one that was stopped starts anew.
"""

import argparse
import json
import os
import time
from pathlib import Path
from typing import Any

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "2")
os.environ.setdefault("KERAS_BACKEND", "tensorflow")

import numpy as np

SIDE, BATCH, EPOCHS, RATE = 160, 32, 50, 1e-4


def main() -> None:
    """Run every seed."""
    options = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    options.add_argument("data", type=Path)
    options.add_argument("--out", type=Path, required=True)
    options.add_argument("--seeds", type=int, nargs="+", default=[0, 1, 2])
    options.add_argument("--epochs", type=int, default=EPOCHS)
    chosen = options.parse_args()
    chosen.out.mkdir(parents=True, exist_ok=True)
    train, valid = (read(chosen.data / part) for part in ("train", "valid"))
    for seed in chosen.seeds:
        target = chosen.out / f"seed-{seed}.json"
        if target.exists():
            continue
        result = run(train, valid, seed, chosen.epochs, chosen.out)
        target.write_text(json.dumps(result, indent=1))
        print(f"seed {seed}: {result['kept']}", flush=True)


def read(folder: Path) -> tuple[Any, Any]:
    """(N, 160, 160, 3) uint8 pictures and (N, 160, 160) classes, in the order of their names."""
    from PIL import Image

    pictures, masks = [], []
    by_stem = {path.stem: path for path in (folder / "masks").iterdir()}
    for path in sorted((folder / "images").iterdir()):
        with Image.open(path) as picture, Image.open(by_stem[path.stem]) as mask:
            size = (SIDE, SIDE)
            pictures.append(np.asarray(picture.convert("RGB").resize(size, Image.Resampling.BILINEAR)))
            masks.append(np.asarray(mask.convert("L").resize(size, Image.Resampling.NEAREST)) > 127)
    return np.stack(pictures), np.stack(masks).astype(np.uint8)


def network(classes: int = 2) -> Any:
    """The example's network, with its softmax."""
    import keras
    from keras import layers

    inputs = keras.Input((SIDE, SIDE, 3))
    x = layers.Conv2D(32, 3, strides=2, padding="same")(inputs)
    x = layers.BatchNormalization()(x)
    x = layers.Activation("relu")(x)
    previous = x
    for filters in (64, 128, 256):
        for _ in range(2):
            x = layers.Activation("relu")(x)
            x = layers.SeparableConv2D(filters, 3, padding="same")(x)
            x = layers.BatchNormalization()(x)
        x = layers.MaxPooling2D(3, strides=2, padding="same")(x)
        previous = x = layers.add([x, layers.Conv2D(filters, 1, strides=2, padding="same")(previous)])
    for filters in (256, 128, 64, 32):
        for _ in range(2):
            x = layers.Activation("relu")(x)
            x = layers.Conv2DTranspose(filters, 3, padding="same")(x)
            x = layers.BatchNormalization()(x)
        x = layers.UpSampling2D(2)(x)
        residual = layers.Conv2D(filters, 1, padding="same")(layers.UpSampling2D(2)(previous))
        previous = x = layers.add([x, residual])
    return keras.Model(inputs, layers.Conv2D(classes, 3, activation="softmax", padding="same")(x))


def run(train: tuple[Any, Any], valid: tuple[Any, Any], seed: int, epochs: int, out: Path) -> dict[str, Any]:
    """One training, as the example runs it."""
    import keras
    import tensorflow

    keras.utils.set_random_seed(seed)
    model = network()
    model.compile(optimizer=keras.optimizers.Adam(RATE), loss="sparse_categorical_crossentropy")
    kept = out / f"seed-{seed}.keras"
    data = tensorflow.data.Dataset.from_tensor_slices(train).shuffle(len(train[0]), reshuffle_each_iteration=True)
    callbacks = [keras.callbacks.ModelCheckpoint(str(kept), save_best_only=True)]
    held_out = tensorflow.data.Dataset.from_tensor_slices(valid).batch(BATCH)
    began = time.monotonic()
    history = model.fit(data.batch(BATCH), epochs=epochs, validation_data=held_out, callbacks=callbacks, verbose=2)
    seconds = time.monotonic() - began
    last = scores(model, valid)
    best = scores(keras.saving.load_model(kept), valid)
    kept.unlink()
    losses = {name: [float(value) for value in values] for name, values in history.history.items()}
    versions = {"keras": keras.__version__, "tensorflow": tensorflow.__version__}
    about = {"seed": seed, "epochs": epochs, "seconds": seconds, "parameters": model.count_params()}
    return about | {"versions": versions, "losses": losses, "kept": best, "last": last}


def scores(model: Any, valid: tuple[Any, Any]) -> dict[str, float]:
    """Over all pixels of all held-out pictures together: IoU of each class, their mean, pixel accuracy."""
    pictures, masks = valid
    counts = np.zeros((2, 2), np.int64)
    for first in range(0, len(pictures), BATCH):
        answer = np.asarray(model(pictures[first : first + BATCH], training=False)).argmax(-1)
        truth = masks[first : first + BATCH]
        counts += np.bincount(2 * truth.ravel().astype(np.int64) + answer.ravel(), minlength=4).reshape(2, 2)
    right = np.diagonal(counts)
    iou = right / (counts.sum(0) + counts.sum(1) - right)
    named = {"iou_background": float(iou[0]), "iou_cat": float(iou[1]), "mean_iou": float(iou.mean())}
    return named | {"pixel_accuracy": float(right.sum() / counts.sum())}


if __name__ == "__main__":
    main()
