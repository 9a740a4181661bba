"""Learning which classes a picture shows, any number of them: what `training` has to know of pictures with tags.

Each class is a decision of its own, by the sigmoid of its logit; the loss is summed over classes and averaged over
pictures (see `losses`). Mixed pictures have mixed targets, as in classification. Targets are not smoothed: towards one
half each, a tenth of it would put 850 labels' worth of evidence on a picture of JFT, which has some 37 of 17,000; and
towards 1/17,000 each it would be nothing.
"""

import csv
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any, final

import numpy as np
import torch

from separable.analysis.metrics import number_or_none
from separable.data.augment_config import AugmentConfig
from separable.data.loader import Batch, LoaderConfig
from separable.data.manifest_classes import CLASS_WEIGHTS, read_class_weights
from separable.data.manifest_loader import train_tag_batches
from separable.data.manifest_set import TagData
from separable.data.mixing import mix_batch
from separable.errors import CheckpointError, UsageError
from separable.files import write_atomically
from separable.models.base import ImageModel
from separable.models.contract import InputContract
from separable.models.spec import ModelSpec
from separable.training.config import TrainConfig
from separable.training.display import Display, format_seconds
from separable.training.losses import sigmoid_cross_entropy, tag_targets, training_loss
from separable.training.tag_evaluation import TagEvaluation, TagEvaluationSet, evaluate_tags
from separable.training.task import Objective, Task, Wording
from separable.training.whole_pictures import demand_whole_pictures, readable_below

__all__ = ["TagObjective", "Tagging"]


@final
class TagObjective(Objective):
    """Sigmoid cross entropy summed over classes, with mixed targets; every auxiliary head's loss by its weight.

    An answer is that of a picture with a label: right where the class of the highest logit is one of its own, or of
    those it was mixed with.
    """

    def __init__(self, config: TrainConfig, num_classes: int) -> None:
        self._config, self._num_classes = config, num_classes

    def targets(self, batch: Batch, images: torch.Tensor, step: int) -> tuple[torch.Tensor, torch.Tensor]:
        """(N, 3, height, width) and (N, classes) from 0 to 1, dense for this batch alone."""
        dense = tag_targets(batch.labels.to(images.device), self._num_classes)
        return mix_batch(images, dense, self._config.recipe.augment, self._config.seed, step, batch.positions)

    def judge(self, output: Any, targets: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
        """See `Objective`."""
        weight = self._config.recipe.regularisation.auxiliary_weight
        loss, logits = training_loss(output, targets, weight, sigmoid_cross_entropy)
        first = logits.detach().argmax(1, keepdim=True)
        return loss, (targets.gather(1, first) > 0).sum(), (targets > 0).any(dim=1).sum()

    def blank(self, count: int, size: tuple[int, int]) -> torch.Tensor:
        """(count, 1) of the first class."""
        return torch.zeros((count, 1), dtype=torch.int32)


@final
class Tagging(Task[TagData, TagEvaluationSet, TagEvaluation]):
    """Any number of classes a picture."""

    name = "tag"
    right = Wording("precision1", "top tag right")

    def demand(self, config: TrainConfig, network: ModelSpec) -> None:
        """See `Task`."""
        demand_whole_pictures(config, network, "tags", "tags or xception_jft")
        smoothing = config.recipe.regularisation.label_smoothing
        if smoothing:
            raise UsageError(
                "Labels of pictures that may have several are not smoothed",
                got=f"label_smoothing={smoothing:g} of recipe {config.recipe.name}",
                fix="Choose --recipe tags, or set recipe.regularisation.label_smoothing=0",
            )

    def settle(
        self, config: TrainConfig, data: TagData, display: Display, should_stop: Callable[[], bool]
    ) -> dict[str, Any]:
        """Nothing."""
        return {}

    def remember(self, config: TrainConfig, data: TagData) -> None:
        """See `Task`: the classes' weights."""
        _write_weights(Path(config.run) / CLASS_WEIGHTS, data)

    def recognise(self, config: TrainConfig, data: TagData) -> None:
        """See `Task`: the same weights, by which the epochs so far were measured."""
        path = Path(config.run) / CLASS_WEIGHTS
        if not path.exists():  # the run was stopped before it had written them
            _write_weights(path, data)
        then = read_class_weights(path, data.class_names, [])
        other = np.flatnonzero(then != data.weights)
        if len(other):
            k = other[0]
            raise CheckpointError(
                f"The run {config.run} began with other weights of classes",
                got=f"others by now for {len(other)} classes, such as {data.class_names[k]}: {data.weights[k]:g}, "
                f"then {then[k]:g}",
                expected=f"those in its {CLASS_WEIGHTS}",
                fix=f"Put {CLASS_WEIGHTS} beside the data back as it was, or train in another run folder",
            )

    def objective(self, config: TrainConfig, num_classes: int, settled: Mapping[str, Any]) -> TagObjective:
        """See `Task`."""
        return TagObjective(config, num_classes)

    def training_batches(
        self, data: TagData, contract: InputContract, augment: AugmentConfig, loader: LoaderConfig, start_position: int
    ) -> Iterator[Batch]:
        """See `Task`."""
        return train_tag_batches(data.train, contract, augment, loader, start_position=start_position)

    def held_out(self, data: TagData, contract: InputContract, loader: LoaderConfig) -> TagEvaluationSet:
        """See `Task`."""
        return TagEvaluationSet(data.val, contract, loader, data.weights)

    def mended(self, root: Path, data: TagData, decoder: str) -> Callable[[str], bool]:
        """See `Task`."""
        return readable_below((root, data.train.root, data.val.root), decoder)

    def measure(
        self,
        model: ImageModel,
        held_out: TagEvaluationSet,
        objective: Objective,
        precision: str,
        should_stop: Callable[[], bool],
    ) -> TagEvaluation:
        """See `Task`."""
        return evaluate_tags(model, held_out, precision=precision, should_stop=should_stop)

    def scores(self, answer: TagEvaluation) -> dict[str, Any]:
        """See `Task`."""
        values = (answer.loss, answer.map100, answer.weighted_map100, answer.precision1)
        names = ("val_loss", "val_map100", "val_weighted_map100", "val_precision1")
        return {name: number_or_none(value) for name, value in zip(names, values, strict=True)}

    def best(self, answer: TagEvaluation) -> dict[str, Any]:
        """See `Task`."""
        scores = self.scores(answer)
        return {name: scores[name] for name in ("val_map100", "val_weighted_map100", "val_loss")}

    def rank(self, best: Mapping[str, Any]) -> tuple[float, ...]:
        """By MAP@100, every class alike, then by the loss."""
        low = float("-inf")
        score, loss = best["val_map100"], best["val_loss"]
        return low if score is None else score, low if loss is None else -loss

    def epoch_text(self, row: Mapping[str, Any]) -> str:
        """See `Task`."""
        shares = (row[name] for name in ("train_precision1", "val_map100", "val_weighted_map100"))
        first, plain, weighted = ("?" if share is None else f"{100 * share:.2f} %" for share in shares)
        loss, held_out = ("?" if row[name] is None else f"{row[name]:.4f}" for name in ("train_loss", "val_loss"))
        return (
            f"epoch {row['epoch'] + 1}: loss {loss}, top tag right {first}; "
            f"held out {held_out}, MAP@100 {plain}, weighted {weighted}; {format_seconds(row['seconds'])}"
        )

    def write_results(
        self,
        config: TrainConfig,
        model: ImageModel,
        data: TagData,
        held_out: TagEvaluationSet,
        objective: Objective,
        loader: LoaderConfig,
    ) -> TagEvaluation:
        """`evaluation.json`, `predictions.csv`."""
        evaluation = evaluate_tags(model, held_out)
        evaluation.write(Path(config.run))
        return evaluation

    def metrics(self, answer: TagEvaluation) -> dict[str, Any]:
        """See `Task`."""
        return self.scores(answer)


def _write_weights(path: Path, data: TagData) -> None:
    def write(temporary: Path) -> None:
        with temporary.open("w", newline="", encoding="utf-8") as handle:
            rows = csv.writer(handle)
            rows.writerow(("name", "weight"))
            # Shortest texts that are read as the same number again.
            rows.writerows(zip(data.class_names, map(repr, data.weights.tolist()), strict=True))

    write_atomically(path, write)
