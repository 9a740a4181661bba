"""What a network scored on a set of pictures with masks, and the files that a report is made of."""

import csv
import json
import math
import re
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import Any, final

from separable.analysis.metrics import number_or_none
from separable.data.quarantine import BadPicture
from separable.files import make_directory, write_atomically, write_text_atomically
from separable.segmentation.kept_masks import MaskPair
from separable.segmentation.png_writer import write_index_png
from separable.segmentation.scores import PixelCounts, PixelScores

__all__ = ["MaskEvaluation", "PictureScores"]

_FOLDER = "predictions"
_COLUMNS = ("path", "mask", "pixel_accuracy", "miou", "loss", "predicted", "truth")
_OURS = re.compile(r"\d{4,}(_truth)?\.png")


@dataclass(frozen=True)
class PictureScores:
    """Of the picture number `sample` of the set by itself; NaN where no pixel of it is labelled."""

    sample: int
    path: str
    mask: str
    pixel_accuracy: float
    miou: float
    """Over the classes that its truth or its prediction shows."""
    loss: float
    right: tuple[int, ...] = ()
    """Labelled pixels by class that were called so; `labelled`: all that are of the class, `called`: all called so."""
    labelled: tuple[int, ...] = ()
    called: tuple[int, ...] = ()


@final
@dataclass(frozen=True)
class MaskEvaluation:
    """Counts over all pixels of a set, at `size` (height, width), the network's input; `n` pictures could be read.

    `loss` is the mean over the pictures that have a labelled pixel, NaN where none has. `pictures` and the masks of
    some of them are there only where they were asked for.
    """

    set_name: str
    class_names: tuple[str, ...]
    colours: tuple[tuple[int, int, int], ...]
    size: tuple[int, int]
    n: int
    loss: float
    counts: PixelCounts
    boundary_tolerance: float | None
    """In pixels; None where boundaries were left out."""
    bad: tuple[BadPicture, ...] = ()
    pictures: tuple[PictureScores, ...] | None = None
    masks: dict[int, MaskPair] = field(default_factory=dict, repr=False)
    """Truth and prediction by sample."""

    @cached_property
    def scores(self) -> PixelScores:
        """Exact, over all pictures together."""
        return self.counts.scores()

    def to_json(self) -> dict[str, Any]:
        """The content of `evaluation.json`."""
        scores = self.scores
        return {
            "task": "segment",
            "set": self.set_name,
            "n": self.n,
            "loss": number_or_none(self.loss),
            "miou": number_or_none(scores.mean_iou),
            "mean_dice": number_or_none(scores.mean_dice),
            "pixel_accuracy": number_or_none(scores.pixel_accuracy),
            "boundary_f1": number_or_none(scores.mean_boundary_f1),
            "boundary_tolerance": self.boundary_tolerance,
            "input": list(self.size),
            "class_names": list(self.class_names),
            "colours": [list(colour) for colour in self.colours],
            "per_class": scores.rows(self.class_names),
            "confusion": self.counts.confusion.tolist(),
            "bad": [{"path": bad.path, "cause": bad.cause} for bad in self.bad],
        }

    def write(self, folder: Path) -> None:
        """Write `evaluation.json` into the folder of a run, and where pictures were scored `pictures.csv` and the masks
        below `predictions/`; those of an earlier evaluation are removed.
        """
        if self.pictures is not None:
            self._write_masks(folder)
            write_atomically(folder / "pictures.csv", self._write_pictures)
            for path in (folder / _FOLDER).glob("*.png"):
                if _OURS.fullmatch(path.name) and int(path.name[:-4].removesuffix("_truth")) not in self.masks:
                    path.unlink(missing_ok=True)
        write_text_atomically(folder / "evaluation.json", json.dumps(self.to_json(), indent=1))

    def _write_masks(self, folder: Path) -> None:
        if self.masks:
            make_directory(folder / _FOLDER)
        for sample, pair in self.masks.items():
            for name, mask in zip(_names(sample), (pair.predicted(), pair.truth()), strict=True):
                write_index_png(folder / name, [mask], self.size, self.colours)

    def _write_pictures(self, path: Path) -> None:
        with path.open("w", newline="", encoding="utf-8", errors="surrogateescape") as handle:
            rows = csv.writer(handle)
            rows.writerow(_COLUMNS)
            for one in self.pictures or ():
                scores = (_text(value) for value in (one.pixel_accuracy, one.miou, one.loss))
                files = _names(one.sample) if one.sample in self.masks else ("", "")
                rows.writerow((one.path, one.mask, *scores, *files))


def _names(sample: int) -> tuple[str, str]:
    """The files of prediction and truth, below the folder."""
    return f"{_FOLDER}/{sample:04d}.png", f"{_FOLDER}/{sample:04d}_truth.png"


def _text(value: float) -> str:
    return f"{value:.6f}" if math.isfinite(value) else ""
