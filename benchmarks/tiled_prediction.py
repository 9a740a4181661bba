"""Memory and seams of prediction by tiles: what a large picture takes, and what it differs by from one predicted whole.

    python benchmarks/tiled_prediction.py                       # unet_xception with calibrated random weights
    python benchmarks/tiled_prediction.py --model runs/cats --picture slide.png
    python benchmarks/tiled_prediction.py --huge                # 20,000x20,000 too, which takes long

Memory: the peak of a process of its own that runs `separable predict --tile`, as a user does: on nothing to speak of (a
picture of one small tile), on one batch of tiles, and on a picture of 4000x3000. "Above the start" is what remains when
the first is taken off, which is mostly torch itself.

Seams: blended logits of a picture of 1024x1024 in tiles against the same picture as one tile, at several overlaps: the
largest and the mean difference over the standard deviation of the logits, and the share of pixels whose class changes.
Differences within `reach` pixels of where tiles go over into each other are also given alone.

Nothing here is a time, so it may run on a busy machine. Writes results/<date>-tiled-prediction.json.
"""

import argparse
import datetime
import json
import os
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import nn

from separable.data.decode import decode_picture
from separable.files import write_text_atomically
from separable.machine.environment import describe_environment
from separable.models import build_model
from separable.runtime.masks import MaskPredictor
from separable.runtime.predictor import load_mask_predictor
from separable.runtime.tiles import grid_of
from separable.segmentation.png_writer import write_rgb_png
from separable.segmentation.tiling import predict_whole
from separable.segmentation.windows import Tiling, starts
from separable.weights import save_model

RESULTS = Path(__file__).parent / "results"
TILE, OVERLAP, TILES_AT_ONCE = 512, 128, 3
WIDE, HIGH = 4000, 3000
SEAM_SIDE = 1024
OVERLAPS = (0, 64, 128, 256)
NEAR = 8
"""Pixels on either side of where one tile begins to count and another ends."""

Pixels = NDArray[np.uint8]


def scene(height: int, width: int, top: int = 0, seed: int = 0) -> Pixels:
    """Discs, stripes and shades, (height, width, 3); any strip of the same picture by `top`."""
    rng = np.random.default_rng(seed)
    y, x = np.mgrid[top : top + height, 0:width].astype(np.float32)
    picture = np.zeros((height, width, 3), np.float32)
    for channel in range(3):
        a, b = rng.uniform(0.01, 0.05, 2)
        picture[..., channel] = 120 + 50 * np.sin(a * x) * np.cos(b * y) + 30 * np.sin(0.002 * (x + channel * y))
    for _ in range(40):
        pitch, radius, shade = rng.uniform(300, 900), rng.uniform(15, 90), rng.uniform(-110, 110, 3)
        cx, cy = rng.uniform(0, pitch, 2)
        inside = ((x - cx) % pitch - pitch / 2) ** 2 + ((y - cy) % pitch - pitch / 2) ** 2 < radius**2
        picture[inside] += shade.astype(np.float32)
    return np.clip(picture + rng.normal(0, 4, picture.shape), 0, 255).astype(np.uint8)


def write_scene(path: Path, height: int, width: int) -> Path:
    strips = (scene(min(256, height - top), width, top) for top in range(0, height, 256))
    write_rgb_png(path, strips, (height, width))
    return path


def calibrated() -> nn.Module:
    """unet_xception whose batch norms have the statistics of scenes: else every pixel gets one answer."""
    torch.manual_seed(0)
    model = build_model("unet_xception", 3)
    norms = [module for module in model.modules() if isinstance(module, nn.BatchNorm2d)]
    kept = [norm.momentum for norm in norms]
    for norm in norms:
        norm.momentum = 1.0
    pictures = np.stack([scene(160, 160, seed=seed) for seed in range(4)])
    with torch.no_grad():
        model.train()(torch.from_numpy(pictures).permute(0, 3, 1, 2).float())
    for norm, momentum in zip(norms, kept, strict=True):
        norm.momentum = momentum
    return model.eval()


def peak_of(model: Path, picture: Path, batch: int, folder: Path) -> int:
    """Bytes that `separable predict --tile` held at most."""
    arguments = ["predict", str(model), str(picture), "--tile", str(TILE), "--overlap", str(OVERLAP)]
    command = [sys.executable, "-m", "separable", *arguments, "--batch", str(batch), "--out", str(folder / "masks")]
    with subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL) as process:
        _, status, usage = os.wait4(process.pid, 0)
        process.returncode = os.waitstatus_to_exitcode(status)
    if process.returncode:
        raise SystemExit(f"{' '.join(command)} ended with {process.returncode}")
    return usage.ru_maxrss * (1 if sys.platform == "darwin" else 1024)


def memory(predictor: MaskPredictor, model: Path, folder: Path, huge: bool) -> dict[str, Any]:
    height, width = predictor.contract.size
    batch = -(-TILES_AT_ONCE * TILE * TILE // (height * width))  # in pictures of the network's own size
    row = TILE + (TILES_AT_ONCE - 1) * (TILE - OVERLAP)
    sizes = {"start": (8, 8), "one batch of tiles": (TILE, row), f"{WIDE}x{HIGH}": (HIGH, WIDE)}
    if huge:
        sizes["20000x20000"] = (20_000, 20_000)
    peaks = {}
    for name, size in sizes.items():
        picture = write_scene(folder / "picture.png", *size)
        peaks[name] = peak_of(model, picture, batch, folder)
        print(f"memory  {name:<20} {peaks[name] / 2**20:7.0f} MiB", flush=True)
    start, one = peaks["start"], peaks["one batch of tiles"]
    return {
        "tile": TILE,
        "overlap": OVERLAP,
        "tiles_at_once": TILES_AT_ONCE,
        "peak_bytes": peaks,
        "of_one_batch": {name: round(peak / one, 3) for name, peak in peaks.items()},
        "of_one_batch_above_the_start": {
            name: round((peak - start) / (one - start), 3) for name, peak in peaks.items()
        },
    }


def seams(predictor: MaskPredictor, picture: Pixels) -> Iterator[dict[str, Any]]:
    grid = grid_of(predictor.model)
    height, width = (side // grid * grid for side in picture.shape[:2])
    picture = picture[:height, :width]

    def logits(tiling: Tiling) -> NDArray[np.float32]:
        whole = predict_whole(
            picture, predictor.logits_of_tiles, tiling, batch_size=1, finish=lambda one: one.transpose(1, 2, 0).copy()
        )
        return np.asarray(whole, np.float32)

    expected = logits(Tiling((height, width), 0, grid))
    spread = float(expected.std())
    for overlap in OVERLAPS:
        found = logits(Tiling((TILE, TILE), overlap, grid))
        apart = np.abs(found - expected).max(axis=2)
        changed = found.argmax(2) != expected.argmax(2)
        near = _near(height, overlap, grid)[:, None] | _near(width, overlap, grid)
        row = {
            "overlap": overlap,
            "largest_difference": round(float(apart.max()) / spread, 5),
            "mean_difference": round(float(apart.mean()) / spread, 6),
            "mean_difference_near": round(float(apart[near].mean()) / spread, 6) if near.any() else None,
            "changed_classes": round(float(changed.mean()), 6),
            "changed_classes_near": round(float(changed[near].mean()), 6) if near.any() else None,
        }
        print(f"seams   {json.dumps(row)}", flush=True)
        yield row


def _near(length: int, overlap: int, grid: int) -> NDArray[np.bool_]:
    """Which of `length` pixels lie where a tile begins or ends to count."""
    near = np.zeros(length, bool)
    for start in starts(length, TILE, overlap, grid):
        for edge in (start + overlap // 4, start + TILE - overlap // 4):
            if NEAR < edge < length - NEAR:
                near[edge - NEAR : edge + NEAR] = True
    return near


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--model", help="a run or a model folder; else calibrated random weights")
    parser.add_argument("--picture", type=Path, help="for the seams; else one that is drawn")
    parser.add_argument("--huge", action="store_true", help="20,000x20,000 too")
    parser.add_argument("--out", type=Path, help="the result, else results/<date>-tiled-prediction.json")
    chosen = parser.parse_args()
    with tempfile.TemporaryDirectory() as place:
        folder = Path(place)
        model = Path(chosen.model) if chosen.model else folder / "model"
        if not chosen.model:
            save_model(calibrated(), model)  # type: ignore[arg-type]
        predictor = load_mask_predictor(model)
        picture = decode_picture(chosen.picture) if chosen.picture else scene(SEAM_SIDE, SEAM_SIDE, seed=7)
        result = {
            **describe_environment(command="benchmarks/tiled_prediction.py", date=datetime.date.today().isoformat()),
            "model": chosen.model or "unet_xception, calibrated random weights",
            "memory": memory(predictor, model, folder, chosen.huge),
            "seams": {
                "picture": str(chosen.picture or "drawn"),
                "size": [*picture.shape[:2]],
                "tile": TILE,
                "rows": list(seams(predictor, picture)),
            },
        }
    today = datetime.date.today().isoformat()
    out = chosen.out or RESULTS / f"{today}-tiled-prediction.json"
    write_text_atomically(out, json.dumps(result, indent=2) + "\n")
    print(out)


if __name__ == "__main__":
    main()
