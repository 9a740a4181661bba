"""Measuring one network or several on many crops of every picture, as tables 4 and 5 of 1512.00567 do.

The softmax probabilities are averaged "over multiple crops and over all the individual classifiers" (1409.4842,
section 7), all with the same weight. Which crops these are is said in `separable.data.crops`.
"""

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager

import numpy as np
import torch

from separable.data.crops import crop_batches, demand_crops
from separable.data.folder import PictureSet
from separable.data.loader import LoaderConfig
from separable.data.quarantine import BadPicture
from separable.errors import UsageError
from separable.models.base import ImageModel
from separable.models.segmentation import demand_classifier
from separable.training.ensemble import Doubles, MeanAnswer, by_preparation, demand_alike
from separable.training.evaluate import Evaluation, EvaluationStopped, network_answers

__all__ = ["evaluate_crops"]


@torch.no_grad()
def evaluate_crops(
    models: Sequence[ImageModel],
    pictures: PictureSet,
    loader: LoaderConfig,
    *,
    crops: int,
    set_name: str = "val",
    names: Sequence[str] = (),
    precision: str = "fp32",
    progress: Callable[[int, int | None], None] = lambda done, total: None,
    should_stop: Callable[[], bool] = lambda: False,
) -> Evaluation:
    """Run the networks in evaluation mode over every crop of every picture of a set; their modes are restored.

    A picture is decoded once for all networks that are shown the same pixels. What is held of pictures at any time are
    the crops of one, or of as many as make up a batch; no more crops than a batch go through a network at once. Beside
    them stand (pictures, classes) float64.

    Args:
        models: at least one, with input contracts of their own, and the classes of the pictures in the same order.
        pictures: the set.
        loader: batch size, in crops, and workers.
        crops: one of `data.crops.CROPS`; 1 is the network's own preparation.
        set_name: goes to `evaluation.json`.
        names: what the networks are called there, if there are several; "network 1" and so on by default.
        precision: "fp32" or "bf16" (autocast).
        progress: called with (pictures done, pictures in all), which counts a picture once for each preparation.
        should_stop: asked before every batch.

    Raises:
        EvaluationStopped: `should_stop` said yes.
        UsageError: an unknown number of crops, no network, or one that does not choose among these classes.
    """
    demand_crops(crops)
    called = tuple(names) or tuple(f"network {number}" for number in range(1, len(models) + 1))
    if not models:
        raise UsageError("There is no network to evaluate")
    for model in models:
        demand_classifier(model, "Evaluation on folders of classes")
    demand_alike(models, pictures.class_names, called)
    mean, bad = MeanAnswer(len(pictures), len(pictures.class_names)), dict[str, BadPicture]()
    groups, done = by_preparation(models), 0
    with _answering(models):
        for contract, group in groups:
            for batch in crop_batches(pictures, contract, loader, crops):
                if should_stop():
                    raise EvaluationStopped
                bad |= {one.path: one for one in batch.bad}
                for model in group if len(batch.labels) else ():
                    logits = _in_parts(model, batch.images, loader.batch_size, precision)
                    logits = logits.reshape(len(batch.labels), crops, -1)
                    mean.add(batch.samples.numpy(), batch.labels.numpy(), logits)
                done += len(batch.labels) + len(batch.bad)
                progress(done, len(pictures) * len(groups))
    found = mean.result(views=crops * len(models))
    return Evaluation(
        set_name=set_name,
        class_names=pictures.class_names,
        probabilities=found.probabilities.astype(np.float32),
        labels=found.labels,
        paths=tuple(pictures.paths[sample] for sample in found.samples),
        loss=float(-found.log_right.mean()) if len(found.samples) else float("nan"),
        bad=tuple(bad.values()),
        crops=crops,
        ensemble=called if len(models) > 1 else (),
    )


def _in_parts(model: ImageModel, images: torch.Tensor, size: int, precision: str) -> Doubles:
    """The logits of all images, of which no more than `size` go through the network at once."""
    return np.concatenate([network_answers(model, part, precision)[0] for part in images.split(size)])


@contextmanager
def _answering(models: Sequence[ImageModel]) -> Iterator[None]:
    modes = [model.training for model in models]
    for model in models:
        model.eval()
    try:
        yield
    finally:
        for model, mode in zip(models, modes, strict=True):
            model.train(mode)
