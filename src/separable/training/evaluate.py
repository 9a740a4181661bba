"""Measuring a model on a set of pictures: probabilities, every metric, and the files a report is made of."""

import csv
import json
import math
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, final

import numpy as np
import numpy.typing as npt
import torch

from separable.analysis.calibration import Calibration, calibrate
from separable.analysis.metrics import confusion_matrix, per_class, top_k_accuracy
from separable.data.folder import PictureSet
from separable.data.loader import Batch, LoaderConfig, eval_batches
from separable.data.preprocess import normalise
from separable.data.quarantine import BadPicture
from separable.files import write_atomically, write_text_atomically
from separable.models.base import ImageModel
from separable.models.contract import InputContract
from separable.models.segmentation import demand_classifier
from separable.training.held_out import HeldOut

__all__ = ["Evaluation", "EvaluationSet", "EvaluationStopped", "evaluate", "network_answers"]

Floats = npt.NDArray[np.float32]


@final
class EvaluationSet(HeldOut):
    """Pictures with a class each, as `HeldOut` keeps them."""

    def __init__(self, pictures: PictureSet, contract: InputContract, loader: LoaderConfig) -> None:
        height, width = contract.size
        super().__init__(len(pictures.paths) * 3 * height * width)
        self.pictures, self._contract, self._loader = pictures, contract, loader

    def read(self) -> Iterator[Batch]:
        """See `HeldOut`."""
        return eval_batches(self.pictures, self._contract, self._loader)


class EvaluationStopped(Exception):
    """Somebody asked to stop; what had been measured is thrown away."""


@dataclass(frozen=True)
class Evaluation:
    """What a model answered: probabilities (N, C), labels (N,), mean cross entropy `loss`, and what could not be read.

    `features` (N, F), the pooled vector before the classifier, are there only where they were asked for. Probabilities
    may be means over `crops` of every picture and over several networks, whose names `ensemble` then has.
    """

    set_name: str
    class_names: tuple[str, ...]
    probabilities: Floats
    labels: npt.NDArray[np.int64]
    paths: tuple[str, ...]
    loss: float
    bad: tuple[BadPicture, ...] = ()
    features: Floats | None = field(default=None, repr=False)
    crops: int = 1
    ensemble: tuple[str, ...] = ()

    @property
    def top1(self) -> float:
        """Share of pictures whose most probable class is right."""
        return top_k_accuracy(self.probabilities, self.labels, 1)

    @property
    def top5(self) -> float:
        """Share of pictures whose class is among the five most probable (all of them where there are no more)."""
        return top_k_accuracy(self.probabilities, self.labels, min(5, len(self.class_names)))

    def calibration(self) -> Calibration:
        """Calibration error, temperature and the threshold of `predict --reject`."""
        return calibrate(self.probabilities, self.labels)

    def to_json(self) -> dict[str, Any]:
        """The content of `evaluation.json`; `crops` and `ensemble` are there where something was averaged."""
        predicted = self.probabilities.argmax(1)
        classes = len(self.class_names)
        averaged = {"crops": self.crops, "ensemble": list(self.ensemble)}
        return {
            "set": self.set_name,
            **(averaged if self.crops > 1 or self.ensemble else {}),
            "n": len(self.labels),
            "loss": _finite(self.loss),
            "top1": _finite(self.top1),
            "top5": _finite(self.top5),
            "class_names": list(self.class_names),
            "per_class": per_class(self.labels, predicted, classes).rows(self.class_names),
            "confusion": confusion_matrix(self.labels, predicted, classes).tolist(),
            "calibration": self.calibration().to_json(),
            "bad": [{"path": bad.path, "cause": bad.cause} for bad in self.bad],
        }

    def write(self, run: Path) -> None:
        """Write `evaluation.json` and `predictions.csv` into the run folder."""
        text = json.dumps(self.to_json(), indent=1)
        write_text_atomically(run / "evaluation.json", text)
        write_atomically(run / "predictions.csv", self._write_predictions)

    def _write_predictions(self, path: Path) -> None:
        order = np.argsort(-self.probabilities, axis=1, kind="stable")[:, :2]
        with path.open("w", newline="", encoding="utf-8", errors="surrogateescape") as handle:
            rows = csv.writer(handle)
            rows.writerow(("path", "label", "predicted", "confidence", "correct", "second", "second_confidence"))
            for i, name in enumerate(self.paths):
                first, second = int(order[i, 0]), int(order[i, -1])
                rows.writerow(
                    (
                        name,
                        self.class_names[self.labels[i]],
                        self.class_names[first],
                        f"{self.probabilities[i, first]:.6f}",
                        int(first == self.labels[i]),
                        self.class_names[second],
                        f"{self.probabilities[i, second]:.6f}",
                    )
                )


@torch.no_grad()
def evaluate(
    model: ImageModel,
    pictures: PictureSet | EvaluationSet,
    loader: LoaderConfig | None = None,
    *,
    set_name: str = "val",
    precision: str = "fp32",
    with_features: bool = False,
    should_stop: Callable[[], bool] = lambda: False,
) -> Evaluation:
    """Run `model` in evaluation mode over a set; its mode is restored. The batch size matters to rounding alone.

    Args:
        model: with `input_contract`, as every model built here has.
        pictures: a set, or an `EvaluationSet` that remembers its decoded pictures.
        loader: batch size and workers; needed with a `PictureSet`.
        set_name: goes to `evaluation.json`.
        precision: "fp32" or "bf16" (autocast).
        with_features: keep the pooled vectors too.
        should_stop: asked before every batch.

    Raises:
        EvaluationStopped: `should_stop` said yes.
    """
    demand_classifier(model, "Evaluation on folders of classes")
    contract: InputContract = model.input_contract
    if isinstance(pictures, PictureSet):
        assert loader is not None, "a PictureSet comes with a LoaderConfig"
        pictures = EvaluationSet(pictures, contract, loader)
    was_training = model.training
    model.eval()
    logits, features, labels, samples, bad = [], [], [], [], []
    try:
        for batch in pictures.batches():
            if should_stop():
                raise EvaluationStopped
            bad += batch.bad
            if len(batch.labels):
                answer, pooled = network_answers(model, batch.images, precision, with_features=with_features)
                logits.append(answer)
                features += pooled
                labels.append(batch.labels.numpy())
                samples.append(batch.samples.numpy())
    finally:
        model.train(was_training)
    classes = pictures.pictures.class_names
    scores = np.concatenate(logits) if logits else np.zeros((0, len(classes)))
    truth = np.concatenate(labels) if labels else np.zeros(0, np.int64)
    logs = scores - np.logaddexp.reduce(scores, axis=1, keepdims=True)
    loss = float(-logs[np.arange(len(truth)), truth].mean()) if len(truth) else math.nan
    names = tuple(pictures.pictures.paths[i] for rows in samples for i in rows)
    return Evaluation(
        set_name=set_name,
        class_names=tuple(classes),
        probabilities=np.exp(logs).astype(np.float32),
        labels=truth,
        paths=names,
        loss=loss,
        bad=tuple(bad),
        features=np.concatenate(features) if features else None,
    )


def network_answers(
    model: ImageModel, images: torch.Tensor, precision: str = "fp32", *, with_features: bool = False
) -> tuple[npt.NDArray[np.float64], list[Floats]]:
    """What `model`, in the mode it is in, makes of uint8 pixels (N, 3, height, width): its logits, pooled vectors.

    Returns:
        (N, classes) float64, and where they are asked for one array (N, F).
    """
    pixels = images.to(next(model.parameters()).device)
    seen = normalise(pixels, model.input_contract).contiguous(memory_format=torch.channels_last)
    pooled: list[Floats] = []
    with torch.autocast(seen.device.type, torch.bfloat16, enabled=precision == "bf16"):
        if with_features:
            maps = model.forward_features(seen)
            pooled.append(model.forward_head(maps, pre_logits=True).float().cpu().numpy())
            logits = model.forward_head(maps)
        else:
            logits = model(seen)
    return logits.double().cpu().numpy(), pooled


def _finite(value: float) -> float | None:
    return value if math.isfinite(value) else None
