"""The parts together: a folder of pairs is learned, predicted by tiles, scored, written and read again."""

import json
from pathlib import Path

import numpy as np
import torch
from PIL import Image

from separable.data.augment_config import AugmentConfig
from separable.data.loader import LoaderConfig
from separable.data.preprocess import normalise
from separable.models.contract import InputContract
from separable.segmentation.coco import read_coco
from separable.segmentation.loader import train_pair_batches
from separable.segmentation.losses import LossTerms, segmentation_loss
from separable.segmentation.mask_file import MaskFile
from separable.segmentation.pairs import read_pairs
from separable.segmentation.png_writer import write_index_png
from separable.segmentation.scores import PixelCounts
from separable.segmentation.strips import open_rows
from separable.segmentation.tiling import predict_strips
from separable.segmentation.vector import coco_document
from separable.segmentation.windows import Tiling
from tests.data.made import encode
from tests.segmentation.made import blobs

CONTRACT = InputContract((24, 24), (0.5,) * 3, (0.5,) * 3)


def write_coloured(folder: Path, count: int) -> Path:
    """Pictures of noisy reds and blues, masks 0/255 where it is red."""
    rng = np.random.default_rng(0)
    for name in ("images", "masks"):
        (folder / name).mkdir()
    for number in range(count):
        mask = blobs(50, 70, 2, seed=number)
        colours = np.array([[60, 90, 170], [170, 90, 60]])[mask] + rng.normal(scale=25, size=(50, 70, 3))
        pixels = np.clip(colours, 0, 255).astype(np.uint8)
        (folder / f"images/{number}.png").write_bytes(encode(pixels, "PNG"))
        (folder / f"masks/{number}.png").write_bytes(encode((mask * 255).astype(np.uint8), "PNG"))
    return folder


def test_learned_predicted_scored_and_written(tmp_path: Path) -> None:
    data = read_pairs(write_coloured(tmp_path, 12))
    network = torch.nn.Sequential(torch.nn.Conv2d(3, 8, 3, padding=1), torch.nn.ReLU(), torch.nn.Conv2d(8, 2, 1))
    optimiser = torch.optim.Adam(network.parameters(), 0.02)
    batches = train_pair_batches(data.train, CONTRACT, AugmentConfig(rotate=10), LoaderConfig(4))
    for _ in range(25):
        batch = next(batches)
        logits = network(normalise(batch.images, CONTRACT))
        loss = segmentation_loss(logits, batch.labels, LossTerms(1, 1)).mean()
        optimiser.zero_grad()
        loss.backward()
        optimiser.step()
    counts, written = PixelCounts(2), []
    for sample, path in enumerate(data.val.paths):
        target = tmp_path / f"predicted{sample}.png"
        with open_rows(data.val.root / path) as rows:
            strips = predict_strips(rows, lambda tiles: network(normalise(tiles, CONTRACT)), Tiling((32, 32), 16, 8))
            write_index_png(target, (strip for _, strip in strips), rows.size, data.val.colours)
        predicted = MaskFile(target).values()
        counts.add(data.val.read(sample)[1], predicted)
        written.append((path, predicted.astype(np.int16)))
    scores = counts.scores()
    assert scores.mean_iou > 0.9
    assert scores.mean_boundary_f1 > 0.9
    with Image.open(target) as image:
        assert image.mode == "P"
    (tmp_path / "instances.json").write_text(json.dumps(coco_document(written, data.class_names)))
    again, _ = read_coco(tmp_path / "instances.json", data.val.root)
    for sample, (_, mask) in enumerate(sorted(written)):
        assert np.array_equal(again.read(sample)[1], mask)
