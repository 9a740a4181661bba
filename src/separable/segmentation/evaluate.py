"""Measuring a network on a set of pictures with masks: scores over all pixels of the set together."""

import math
from collections.abc import Callable, Iterator, Sequence
from functools import partial
from typing import final

import numpy as np
import torch

from separable.data.loader import Batch, LoaderConfig
from separable.data.preprocess import normalise
from separable.data.quarantine import BadPicture
from separable.models.base import ImageModel
from separable.models.contract import InputContract
from separable.models.segmentation import SegmentationModel, demand_segmenter, pixel_logits
from separable.segmentation.kept_masks import KeptMasks
from separable.segmentation.labels import Mask
from separable.segmentation.loader import eval_pair_batches
from separable.segmentation.losses import LossTerms, segmentation_loss
from separable.segmentation.mask_evaluation import MaskEvaluation, PictureScores
from separable.segmentation.pairs import PairSet
from separable.segmentation.scores import PixelCounts
from separable.segmentation.tiling import Predict, with_flips
from separable.training.evaluate import EvaluationStopped
from separable.training.held_out import HeldOut

__all__ = ["MaskEvaluation", "PairEvaluationSet", "evaluate_masks"]


@final
class PairEvaluationSet(HeldOut):
    """Pictures with masks, at the contract's size, as `HeldOut` keeps them."""

    def __init__(self, pairs: PairSet, contract: InputContract, loader: LoaderConfig) -> None:
        height, width = contract.size
        super().__init__(len(pairs) * (3 + 2) * height * width)
        self.pairs, self._contract, self._loader = pairs, contract, loader

    def read(self) -> Iterator[Batch]:
        """See `HeldOut`."""
        return eval_pair_batches(self.pairs, self._contract, self._loader)


@torch.no_grad()
def evaluate_masks(
    model: ImageModel,
    pairs: PairSet | PairEvaluationSet,
    loader: LoaderConfig | None = None,
    *,
    set_name: str = "val",
    precision: str = "fp32",
    loss: LossTerms | None = None,
    should_stop: Callable[[], bool] = lambda: False,
    pictures: bool = False,
    boundary_tolerance: float | None = 2.0,
    flips: Sequence[str] = ("none",),
) -> MaskEvaluation:
    """Run `model` in evaluation mode over a set; its mode is restored. The batch size matters to rounding alone.

    Nothing of a batch is kept but its counts, and with `pictures` a few masks: memory does not grow with the set.

    Args:
        model: a network that segments.
        pairs: a set, or a `PairEvaluationSet` that remembers its decoded pictures.
        loader: batch size and workers; needed with a `PairSet`.
        set_name: goes to `evaluation.json`.
        precision: "fp32" or "bf16" (autocast).
        loss: what is called the loss; None for cross entropy.
        should_stop: asked before every batch.
        pictures: score every picture too, and keep the masks of some.
        boundary_tolerance: in pixels of the network's input, for the boundary F1; None leaves it out.
        flips: over which copies the logits are averaged, see `tiling.with_flips`.

    Raises:
        EvaluationStopped: `should_stop` said yes.
        UsageError: the network classifies pictures.
    """
    demand_segmenter(model, "Evaluation on masks")
    assert isinstance(model, SegmentationModel)
    if isinstance(pairs, PairSet):
        assert loader is not None, "a PairSet comes with a LoaderConfig"
        pairs = PairEvaluationSet(pairs, model.input_contract, loader)
    tally = _Tally(pairs.pairs, boundary_tolerance, keep=pictures)
    predict = with_flips(partial(pixel_logits, model), *flips)
    was_training = model.training
    model.eval()
    try:
        for batch in pairs.batches():
            if should_stop():
                raise EvaluationStopped
            tally.bad += batch.bad
            if len(batch.labels):
                predicted, losses = _forward(model, predict, batch, precision, loss or LossTerms())
                for row in zip(batch.samples.tolist(), batch.labels.numpy(), predicted, losses, strict=True):
                    tally.add(*row)
    finally:
        model.train(was_training)
    return tally.result(set_name, model.input_contract.size)


class _Tally:
    """Counts picture by picture, in the order of the set."""

    def __init__(self, pairs: PairSet, tolerance: float | None, *, keep: bool) -> None:
        self.bad: list[BadPicture] = []
        self._pairs, self._tolerance, self._keep = pairs, tolerance, keep
        self._counts = PixelCounts(len(pairs.class_names), tolerance)
        self._pictures: list[PictureScores] = []
        self._masks = KeptMasks()
        self._count, self._losses = 0, list[float]()

    def add(self, sample: int, truth: Mask, predicted: Mask, loss: float) -> None:
        one = PixelCounts(len(self._pairs.class_names), self._tolerance)
        one.add(truth, predicted)
        self._counts.merge(one)
        self._count += 1
        if labelled := bool(one.confusion.any()):
            self._losses.append(loss)
        if self._keep:
            scores, path = one.scores(), self._pairs.paths[sample]
            accuracy, miou = scores.pixel_accuracy, scores.mean_iou
            mask, loss = self._pairs.masks.name(sample), loss if labelled else math.nan
            counts = one.confusion.diagonal(), one.confusion.sum(axis=1), one.confusion.sum(axis=0)
            by_class = (tuple(count.tolist()) for count in counts)
            self._pictures.append(PictureScores(sample, path, mask, accuracy, miou, loss, *by_class))
            self._masks.offer(sample, path, (miou, accuracy), truth, predicted)

    def result(self, set_name: str, size: tuple[int, int]) -> MaskEvaluation:
        return MaskEvaluation(
            set_name=set_name,
            class_names=self._pairs.class_names,
            colours=self._pairs.colours,
            size=size,
            n=self._count,
            loss=math.fsum(self._losses) / len(self._losses) if self._losses else math.nan,
            counts=self._counts,
            boundary_tolerance=self._tolerance,
            bad=tuple(self.bad),
            pictures=tuple(self._pictures) if self._keep else None,
            masks=self._masks.pairs,
        )


def _forward(
    model: SegmentationModel, predict: Predict, batch: Batch, precision: str, terms: LossTerms
) -> tuple[Mask, list[float]]:
    """Predicted classes (N, height, width), and each picture's loss."""
    device = next(model.parameters()).device
    images = normalise(batch.images.to(device), model.input_contract).contiguous(memory_format=torch.channels_last)
    with torch.autocast(device.type, torch.bfloat16, enabled=precision == "bf16"):
        logits = predict(images)
    losses = segmentation_loss(logits, batch.labels.to(device), terms)
    predicted: Mask = logits.argmax(1).cpu().numpy().astype(np.int16)
    return predicted, losses.double().tolist()
