"""Scores of pixels against torchmetrics, where its definitions are ours."""

import warnings
from typing import Any

import numpy as np
import pytest
import torch

import tests.peers  # noqa: F401  torchmetrics looks for torchvision, which only imports like this
from separable.segmentation.labels import IGNORE
from separable.segmentation.scores import PixelCounts, PixelScores
from tests.segmentation.test_scores import CLASSES, counted, pictures
from tests.tolerances import TORCHMETRICS

with warnings.catch_warnings():
    warnings.simplefilter("ignore")
    from torchmetrics.classification import (
        MulticlassAccuracy,
        MulticlassConfusionMatrix,
        MulticlassF1Score,
        MulticlassJaccardIndex,
        MulticlassPrecision,
        MulticlassRecall,
    )
    from torchmetrics.segmentation import DiceScore, MeanIoU

Pairs = list[tuple[np.ndarray, np.ndarray]]
UNSEEN = CLASSES + 1
"""With a class that no picture shows, and none is taken for."""


def tensors(truth: np.ndarray, predicted: np.ndarray) -> tuple[torch.Tensor, torch.Tensor]:
    return torch.from_numpy(predicted.astype(np.int64))[None], torch.from_numpy(truth.astype(np.int64))[None]


def theirs(metric: Any, pairs: Pairs) -> np.ndarray:
    for truth, predicted in pairs:
        metric.update(*tensors(truth, predicted))
    return metric.compute().double().numpy()


def scores(pairs: Pairs, classes: int = CLASSES) -> PixelScores:
    counts = PixelCounts(classes, None)
    for truth, predicted in pairs:
        counts.add(truth, predicted)
    return counts.scores()


@pytest.mark.parametrize("seed", range(3))
def test_every_class_over_the_whole_set(seed: int) -> None:
    pairs = pictures(seed)
    ours = scores(pairs)
    for name, metric in (
        ("iou", MulticlassJaccardIndex),
        ("dice", MulticlassF1Score),
        ("precision", MulticlassPrecision),
        ("recall", MulticlassRecall),
    ):
        found = theirs(metric(CLASSES, average=None, ignore_index=IGNORE), pairs)
        mine = getattr(ours, name)
        defined = ~np.isnan(mine)  # the recall of what is only guessed is 0 there, undefined here
        assert defined.sum() >= 3
        assert np.allclose(mine[defined], found[defined], rtol=0, atol=TORCHMETRICS), name
        everywhere = [(np.where(truth == IGNORE, 0, truth), predicted) for truth, predicted in pairs]
        unlike = theirs(metric(CLASSES, average=None), everywhere)
        assert np.abs(unlike - found).max() > 100 * TORCHMETRICS, f"{name}: pixels that do not count could be counted"
    confusion = theirs(MulticlassConfusionMatrix(CLASSES, ignore_index=IGNORE), pairs)
    assert np.array_equal(counted(pairs).confusion, confusion)


@pytest.mark.parametrize("seed", range(3))
def test_means_leave_out_what_nobody_shows(seed: int) -> None:
    pairs = pictures(seed)
    ours = scores(pairs, UNSEEN)
    assert np.isnan(ours.iou[-1])
    for mean, metric in (
        (ours.mean_iou, MulticlassJaccardIndex(UNSEEN, average="macro", ignore_index=IGNORE)),
        (ours.mean_dice, MulticlassF1Score(UNSEEN, average="macro", ignore_index=IGNORE)),
        (ours.pixel_accuracy, MulticlassAccuracy(UNSEEN, average="micro", ignore_index=IGNORE)),
    ):
        assert mean == pytest.approx(float(theirs(metric, pairs)), abs=TORCHMETRICS)


@pytest.mark.parametrize("seed", range(3))
def test_the_metrics_of_segmentation_picture_by_picture(seed: int) -> None:
    """MeanIoU and DiceScore count every pixel and average over pictures: so of one picture at a time."""
    for truth, predicted in pictures(seed):
        whole = np.where(truth == IGNORE, 0, truth)
        ours = scores([(whole, predicted)])
        iou = theirs(MeanIoU(CLASSES, input_format="index", per_class=True), [(whole, predicted)])
        shown = ~np.isnan(ours.iou)
        assert np.allclose(ours.iou[shown], iou[shown], rtol=0, atol=TORCHMETRICS)
        mean = theirs(MeanIoU(CLASSES, input_format="index"), [(whole, predicted)])
        assert ours.mean_iou == pytest.approx(float(mean), abs=TORCHMETRICS)
        dice = theirs(DiceScore(CLASSES, input_format="index", average="none"), [(whole, predicted)])
        assert np.allclose(ours.dice[shown], dice.reshape(-1)[shown], rtol=0, atol=TORCHMETRICS)
