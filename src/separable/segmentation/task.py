"""Learning which class each pixel is of: what `training` has to know of pictures with masks."""

from collections.abc import Callable, Iterator, Mapping
from functools import partial
from pathlib import Path
from typing import Any, final

import torch

from separable.analysis.metrics import number_or_none
from separable.data.augment_config import AugmentConfig
from separable.data.loader import Batch, LoaderConfig
from separable.errors import BadPictureError, UsageError
from separable.files import path_from
from separable.models.base import ImageModel
from separable.models.contract import InputContract
from separable.models.segmentation import SegmentationModel, demand_segmenter, pixel_logits
from separable.models.spec import ModelSpec
from separable.segmentation.augment import demand_for_masks
from separable.segmentation.balance import class_pixels, median_frequency_weights
from separable.segmentation.evaluate import MaskEvaluation, PairEvaluationSet, evaluate_masks
from separable.segmentation.loader import train_pair_batches
from separable.segmentation.losses import LossTerms, parse_loss, segmentation_loss
from separable.segmentation.pairs import PairsData
from separable.segmentation.same_masks import demand_same_masks, write_mask_digests
from separable.training.config import TrainConfig
from separable.training.display import Display, format_seconds
from separable.training.task import Objective, Task, Wording

__all__ = ["MaskObjective", "SegmentTask", "loss_terms"]


@final
class MaskObjective(Objective):
    """The recipe's losses of every pixel; a picture counts as much as any other, one without labels not at all: loss
    and gradient are means over the pictures with a labelled pixel, as the held-out loss is (0 where there are none)."""

    def __init__(self, terms: LossTerms) -> None:
        self.terms = terms

    def targets(self, batch: Batch, images: torch.Tensor, step: int) -> tuple[torch.Tensor, torch.Tensor]:
        """(N, 3, height, width) and masks (N, height, width)."""
        return images, batch.labels.to(images.device)

    def answer(self, model: ImageModel, images: torch.Tensor) -> torch.Tensor:
        """Logits (N, classes, height, width), as large as the pictures whatever the network leaves."""
        assert isinstance(model, SegmentationModel)
        return pixel_logits(model, images)

    def judge(self, output: torch.Tensor, targets: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
        """See `Objective`: an answer is that of a labelled pixel."""
        right = output.detach().argmax(1) == targets  # never where there is no label
        return segmentation_loss(output, targets, self.terms).sum(), right.sum(), (targets >= 0).sum()

    def counting(self, targets: torch.Tensor) -> torch.Tensor:
        """See `Objective`: the pictures with a labelled pixel."""
        return (targets >= 0).flatten(1).any(dim=1).sum()

    def blank(self, count: int, size: tuple[int, int]) -> torch.Tensor:
        """(count, height, width) of the first class."""
        return torch.zeros((count, *size), dtype=torch.int16)


@final
class SegmentTask(Task[PairsData, PairEvaluationSet, MaskEvaluation]):
    """One class a pixel."""

    name = "segment"
    right = Wording("pixel_accuracy", "pixels right")

    def demand(self, config: TrainConfig, network: ModelSpec) -> None:
        """See `Task`."""
        demand_segmenter(network, "Training on masks")
        demand_for_masks(config.recipe.augment)
        smoothing = config.recipe.regularisation.label_smoothing
        if smoothing:
            raise UsageError(
                "Labels of pixels are not smoothed",
                got=f"label_smoothing={smoothing:g} of recipe {config.recipe.name}",
                fix="Choose --recipe segment, or set recipe.regularisation.label_smoothing=0",
            )
        loss_terms(config, None)

    def settle(
        self, config: TrainConfig, data: PairsData, display: Display, should_stop: Callable[[], bool]
    ) -> dict[str, Any]:
        """The classes' weights where they are to be balanced: what they are later in the masks changes nothing."""
        if config.recipe.class_weights == "none":
            return {}
        display.note("Counting the pixels of every class ...")
        progress = partial(display.counted, "masks counted")
        pixels = class_pixels(data.train, progress=progress, should_stop=should_stop)
        return {"class_weights": list(median_frequency_weights(pixels))}

    def remember(self, config: TrainConfig, data: PairsData) -> None:
        """See `Task`: hashes of the masks."""
        write_mask_digests(Path(config.run), data)

    def recognise(self, config: TrainConfig, data: PairsData) -> None:
        """See `Task`: the same masks, but for those that were faulty and have been mended."""
        demand_same_masks(Path(config.run), config.data.root, data)

    def objective(self, config: TrainConfig, num_classes: int, settled: Mapping[str, Any]) -> MaskObjective:
        """See `Task`."""
        if num_classes < 2:
            raise UsageError(
                "Masks of one class leave nothing to learn", expected="two classes, a background among them"
            )
        return MaskObjective(loss_terms(config, settled.get("class_weights")))

    def training_batches(
        self,
        data: PairsData,
        contract: InputContract,
        augment: AugmentConfig,
        loader: LoaderConfig,
        start_position: int,
    ) -> Iterator[Batch]:
        """See `Task`."""
        return train_pair_batches(data.train, contract, augment, loader, start_position=start_position)

    def held_out(self, data: PairsData, contract: InputContract, loader: LoaderConfig) -> PairEvaluationSet:
        """See `Task`."""
        return PairEvaluationSet(data.val, contract, loader)

    def mended(self, root: Path, data: PairsData, decoder: str) -> Callable[[str], bool]:
        """See `Task`: a pair can be read where its picture and its mask can, and fit each other."""
        places = {
            path_from(root, pairs.root, path): (pairs, sample)
            for pairs in (data.train, data.val)
            for sample, path in enumerate(pairs.paths)
        }

        def is_readable(path: str) -> bool:
            if path not in places:
                return False
            pairs, sample = places[path]
            try:
                pairs.read(sample, decoder=decoder)
            except BadPictureError:
                return False
            return True

        return is_readable

    def measure(
        self,
        model: ImageModel,
        held_out: PairEvaluationSet,
        objective: Objective,
        precision: str,
        should_stop: Callable[[], bool],
    ) -> MaskEvaluation:
        """See `Task`; boundaries, which take most of the time, are left for the end."""
        assert isinstance(objective, MaskObjective)
        return evaluate_masks(
            model,
            held_out,
            precision=precision,
            loss=objective.terms,
            should_stop=should_stop,
            boundary_tolerance=None,
        )

    def scores(self, answer: MaskEvaluation) -> dict[str, Any]:
        """See `Task`."""
        found = answer.scores
        values = (answer.loss, found.mean_iou, found.mean_dice, found.pixel_accuracy)
        names = ("val_loss", "val_miou", "val_dice", "val_pixel_accuracy")
        return {name: number_or_none(value) for name, value in zip(names, values, strict=True)}

    def best(self, answer: MaskEvaluation) -> dict[str, Any]:
        """See `Task`."""
        scores = self.scores(answer)
        return {name: scores[name] for name in ("val_miou", "val_loss")}

    def rank(self, best: Mapping[str, Any]) -> tuple[float, ...]:
        """By the mean IoU, then by the loss."""
        low = float("-inf")
        miou, loss = best["val_miou"], best["val_loss"]
        return low if miou is None else miou, low if loss is None else -loss

    def epoch_text(self, row: Mapping[str, Any]) -> str:
        """See `Task`."""
        shares = (row[name] for name in ("train_pixel_accuracy", "val_miou", "val_pixel_accuracy"))
        train, miou, held_out = ("?" if share is None else f"{100 * share:.1f} %" for share in shares)
        losses = (row["train_loss"], row["val_loss"])
        loss, held_out_loss = ("?" if value is None else f"{value:.4f}" for value in losses)
        return (
            f"epoch {row['epoch'] + 1}: loss {loss}, pixels right {train}; "
            f"held out {held_out_loss}, mean IoU {miou}, pixels {held_out}; {format_seconds(row['seconds'])}"
        )

    def write_results(
        self,
        config: TrainConfig,
        model: ImageModel,
        data: PairsData,
        held_out: PairEvaluationSet,
        objective: Objective,
        loader: LoaderConfig,
    ) -> MaskEvaluation:
        """`evaluation.json`, `pictures.csv`, `predictions/`."""
        assert isinstance(objective, MaskObjective)
        evaluation = evaluate_masks(model, held_out, loss=objective.terms, pictures=True)
        evaluation.write(Path(config.run))
        return evaluation

    def metrics(self, answer: MaskEvaluation) -> dict[str, Any]:
        """See `Task`."""
        return self.scores(answer) | {"val_boundary_f1": number_or_none(answer.scores.mean_boundary_f1)}


def loss_terms(config: TrainConfig, class_weights: list[float] | None) -> LossTerms:
    """The recipe's losses; cross entropy where it names none. `class_weights` are those that the run settled on.

    Raises:
        UsageError: the recipe's text is no loss.
    """
    weights = None if class_weights is None else tuple(class_weights)
    return parse_loss(config.recipe.loss or "cross_entropy", class_weights=weights)
