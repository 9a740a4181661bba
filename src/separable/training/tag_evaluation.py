"""Measuring a network on pictures with any number of labels each.

Of each picture its first 100 classes are kept, of the set the scores of its 100 most frequent classes: memory does not
grow with the number of classes.
"""

from collections.abc import Callable, Iterator
from typing import final

import numpy as np
import numpy.typing as npt
import torch

from separable.analysis.average_precision import MeanAveragePrecision
from separable.data.loader import Batch, LoaderConfig
from separable.data.manifest_loader import eval_tag_batches
from separable.data.manifest_set import TagSet
from separable.data.preprocess import normalise
from separable.data.quarantine import BadPicture
from separable.models.base import ImageModel
from separable.models.contract import InputContract
from separable.models.segmentation import demand_classifier
from separable.training.evaluate import EvaluationStopped
from separable.training.held_out import HeldOut
from separable.training.losses import sigmoid_cross_entropy, tag_targets
from separable.training.tag_scores import TagEvaluation

__all__ = ["TagEvaluation", "TagEvaluationSet", "evaluate_tags"]

_PLACES = 100
_SCORED_CLASSES = 100


@final
class TagEvaluationSet(HeldOut):
    """Pictures with any number of labels each, as `HeldOut` keeps them.

    `weights` are of the classes in the weighted metric, None: how many pictures of the set show each.
    """

    def __init__(
        self,
        pictures: TagSet,
        contract: InputContract,
        loader: LoaderConfig,
        weights: npt.NDArray[np.float64] | None = None,
    ) -> None:
        height, width = contract.size
        super().__init__(len(pictures) * 3 * height * width + pictures.indices.nbytes)
        self.pictures, self.weights, self._contract, self._loader = pictures, weights, contract, loader

    def read(self) -> Iterator[Batch]:
        """See `HeldOut`."""
        return eval_tag_batches(self.pictures, self._contract, self._loader)


@torch.no_grad()
def evaluate_tags(
    model: ImageModel,
    pictures: TagSet | TagEvaluationSet,
    loader: LoaderConfig | None = None,
    *,
    weights: npt.NDArray[np.float64] | None = None,
    set_name: str = "val",
    precision: str = "fp32",
    should_stop: Callable[[], bool] = lambda: False,
) -> TagEvaluation:
    """Run `model` in evaluation mode over a set; its mode is restored. The batch size matters to rounding alone.

    Args:
        model: a classifier with a logit for each class.
        pictures: a set, or a `TagEvaluationSet` that remembers its decoded pictures.
        loader: batch size and workers; needed with a `TagSet`.
        weights: those of `TagEvaluationSet`, for a `TagSet`.
        set_name: goes to `evaluation.json`.
        precision: "fp32" or "bf16" (autocast).
        should_stop: asked before every batch.

    Raises:
        EvaluationStopped: `should_stop` said yes.
        UsageError: the network segments.
    """
    demand_classifier(model, "Evaluation on pictures with labels")
    if isinstance(pictures, TagSet):
        assert loader is not None, "a TagSet comes with a LoaderConfig"
        pictures = TagEvaluationSet(pictures, model.input_contract, loader, weights)
    tally = _Tally(pictures.pictures)
    was_training = model.training
    model.eval()
    try:
        for batch in pictures.batches():
            if should_stop():
                raise EvaluationStopped
            tally.bad += batch.bad
            if len(batch.labels):
                tally.add(batch, _logits(model, batch, precision))
    finally:
        model.train(was_training)
    return tally.result(set_name, pictures.weights)


class _Tally:
    """Batch by batch, in the order of the set."""

    def __init__(self, pictures: TagSet) -> None:
        self.bad: list[BadPicture] = []
        self._pictures = pictures
        counts = pictures.counts()
        commonest = np.argsort(-counts, kind="stable")[:_SCORED_CLASSES]
        self._frequent = commonest[counts[commonest] > 0]
        self._ranking: MeanAveragePrecision | None = MeanAveragePrecision(len(counts), most=_PLACES)
        self._samples, self._losses = list[int](), [np.zeros(0)]
        places = min(_PLACES, len(counts))
        self._ids, self._probabilities = [np.zeros((0, places), np.int32)], [np.zeros((0, places), np.float32)]
        self._scores = [np.zeros((0, len(self._frequent)), np.float32)]

    def add(self, batch: Batch, logits: torch.Tensor) -> None:
        targets = tag_targets(batch.labels.to(logits.device), logits.shape[1])
        self._losses.append(sigmoid_cross_entropy(logits, targets).double().cpu().numpy())
        samples = batch.samples.tolist()
        self._samples += samples
        scores = logits.cpu()
        self._scores.append(scores[:, self._frequent].numpy())
        if self._ranking is None or bool(torch.isnan(scores).any()):
            self._ranking = None  # the network is out of bounds; a training may come back from there
            return
        shown = self._pictures.chosen(samples)
        ids = self._ranking.add(scores, shown.indices, shown.offsets)
        self._ids.append(ids)
        self._probabilities.append(torch.sigmoid(scores.gather(1, torch.from_numpy(ids).long())).numpy())

    def result(self, set_name: str, weights: npt.NDArray[np.float64] | None) -> TagEvaluation:
        ids, probabilities = np.concatenate(self._ids), np.concatenate(self._probabilities)
        return TagEvaluation(
            set_name=set_name,
            pictures=self._pictures.chosen(self._samples),
            losses=np.concatenate(self._losses),
            ranking=None if self._ranking is None else self._ranking.result(weights),
            ids=ids if self._ranking is not None else np.zeros((len(self._samples), 0), np.int32),
            probabilities=probabilities if self._ranking is not None else np.zeros((len(self._samples), 0), np.float32),
            frequent=self._frequent,
            class_scores=np.concatenate(self._scores),
            bad=tuple(self.bad),
        )


def _logits(model: ImageModel, batch: Batch, precision: str) -> torch.Tensor:
    """(pictures, classes) in fp32, where the network is."""
    device = next(model.parameters()).device
    images = normalise(batch.images.to(device), model.input_contract).contiguous(memory_format=torch.channels_last)
    with torch.autocast(device.type, torch.bfloat16, enabled=precision == "bf16"):
        logits: torch.Tensor = model(images)
    return logits.float()
