"""From pictures to their tags: any number of classes each, every one answered for itself."""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from separable.data.manifest_rows import join_labels
from separable.errors import UsageError
from separable.models import InputContract, demand_classifier
from separable.runtime.answer_files import Kind, Table, write_answers
from separable.runtime.base import PicturePredictor
from separable.runtime.reading import listed

__all__ = ["TagPrediction", "TagPredictor", "write_tags"]

_THRESHOLD = 0.5


@dataclass(frozen=True)
class TagPrediction:
    """`tags` best first with their `probabilities`, none where no tag is probable enough; or `error`, the cause why
    there are none."""

    source: str
    tags: tuple[str, ...] = ()
    probabilities: tuple[float, ...] = ()
    error: str | None = None

    def to_json(self) -> dict[str, Any]:
        """A line of a manifest, `data.manifest.read_manifest`, that says how probable each label is."""
        rounded = [round(value, 6) for value in self.probabilities]
        return {"path": self.source, "labels": list(self.tags), "probabilities": rounded, "error": self.error}


class TagPredictor(PicturePredictor):
    """Call it with pictures, see `PicturePredictor`.

    Args:
        threshold: the probability from which on a tag is given, where nobody says another; None is 0.5. A run has the
            one at which its answers for the held-out pictures were right most often.
    """

    def __init__(
        self,
        model: nn.Module,
        contract: InputContract,
        *,
        threshold: float | None = None,
        device: str = "cpu",
        batch_size: int = 32,
        accelerate: bool = False,
    ) -> None:
        demand_classifier(model, "Predicting tags")
        super().__init__(model, contract, device=device, batch_size=batch_size, accelerate=accelerate)
        self.threshold = _THRESHOLD if threshold is None else _demand_threshold(threshold)

    def __call__(self, images: Any, *, threshold: float | None = None, top: int | None = None) -> list[TagPrediction]:
        """Tags in the order of `images`, see `PicturePredictor`; the options are those of `stream`."""
        return list(self.stream(listed(images), threshold=threshold, top=top))

    def stream(
        self, images: Iterable[Any], *, threshold: float | None = None, top: int | None = None
    ) -> Iterator[TagPrediction]:
        """Tags as they come, in order, see `answered`.

        Args:
            threshold: only tags of this probability or more. None is the predictor's own; with `top` it is none at all.
            top: at most so many tags a picture, the most probable ones.

        Raises:
            UsageError: a threshold that is no probability, or fewer than one tag.
        """
        if top is not None and top < 1:
            raise UsageError("At least one tag has to be shown", got=f"top {top}", expected="1 or more")
        least = (self.threshold if top is None else 0.0) if threshold is None else _demand_threshold(threshold)
        return self._stream(images, least, top)

    def _stream(self, images: Iterable[Any], least: float, top: int | None) -> Iterator[TagPrediction]:
        for name, row in self.answered(images, self._probabilities):
            yield TagPrediction(name, error=row) if isinstance(row, str) else self._best(name, row, least, top)

    @torch.inference_mode()
    def _probabilities(self, pictures: Tensor) -> Tensor:
        """(N, classes) float32 on the CPU."""
        return torch.sigmoid(self.model(self.network_input(pictures)).float()).cpu()

    def _best(self, name: str, probabilities: Tensor, least: float, top: int | None) -> TagPrediction:
        enough = (probabilities >= least).nonzero().flatten()
        order = probabilities[enough].argsort(descending=True, stable=True)[:top]
        return TagPrediction(
            source=name,
            tags=tuple(self.class_name(index) for index in enough[order].tolist()),
            probabilities=tuple(probabilities[enough[order]].tolist()),
        )


def write_tags(path: Path, predictions: Iterable[TagPrediction]) -> None:
    """See `write_answers`. CSV and Parquet have the columns path, labels, probabilities and error, where the labels
    stand in one cell as a manifest has them, and their probabilities likewise.

    Raises:
        OutputError: the place is not writable or the disk is full.
    """
    columns: dict[str, Kind] = dict.fromkeys(("path", "labels", "probabilities", "error"), "text")
    write_answers(path, predictions, Table(columns, TagPrediction.to_json, _cells))


def _cells(prediction: TagPrediction) -> dict[str, Any]:
    row = prediction.to_json()
    row["labels"] = join_labels(row["labels"])
    row["probabilities"] = "; ".join(f"{value:.6f}" for value in row["probabilities"])
    return row


def _demand_threshold(threshold: float) -> float:
    if not 0 <= threshold <= 1:
        raise UsageError("A threshold is a probability", got=threshold, expected="0 to 1")
    return float(threshold)
