"""Learning which class a picture is of: soft targets, mixing, auxiliary heads, and the files a run ends with."""

from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any, final

import numpy as np
import torch

from separable.analysis.labels import find_label_problems, write_suspects
from separable.data.augment_config import AugmentConfig
from separable.data.folder import FolderData
from separable.data.loader import Batch, LoaderConfig, train_batches
from separable.data.mixing import mix_batch
from separable.errors import UsageError
from separable.files import path_from
from separable.models.base import ImageModel
from separable.models.build import model_spec
from separable.models.contract import InputContract
from separable.models.spec import ModelSpec
from separable.training.config import TrainConfig
from separable.training.display import Display, format_seconds
from separable.training.evaluate import Evaluation, EvaluationSet, evaluate
from separable.training.foreign import is_foreign
from separable.training.losses import soft_targets, training_loss
from separable.training.task import AnyTask, Objective, Task, Wording
from separable.training.whole_pictures import demand_whole_pictures, readable_below

__all__ = ["ClassObjective", "Classification", "task_for"]


@final
class ClassObjective(Objective):
    """Cross entropy with smoothed, mixed targets; every auxiliary head's loss by its weight."""

    def __init__(self, config: TrainConfig, num_classes: int) -> None:
        self._config, self._num_classes = config, num_classes

    def targets(self, batch: Batch, images: torch.Tensor, step: int) -> tuple[torch.Tensor, torch.Tensor]:
        """(N, 3, height, width) and (N, classes) probabilities."""
        recipe = self._config.recipe
        soft = soft_targets(batch.labels.to(images.device), self._num_classes, recipe.regularisation.label_smoothing)
        return mix_batch(images, soft, recipe.augment, self._config.seed, step, batch.positions)

    def judge(self, output: Any, targets: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor, int]:
        """See `Objective`; an answer is right where its class has the greatest share of the target."""
        loss, logits = training_loss(output, targets, self._config.recipe.regularisation.auxiliary_weight)
        return loss, (logits.detach().argmax(1) == targets.argmax(1)).sum(), len(targets)

    def blank(self, count: int, size: tuple[int, int]) -> torch.Tensor:
        """(count,) of the first class."""
        return torch.zeros(count, dtype=torch.int64)


@final
class Classification(Task[FolderData, EvaluationSet, Evaluation]):
    """One class a picture."""

    name = "classify"
    right = Wording("top1", "top-1")

    def demand(self, config: TrainConfig, network: ModelSpec) -> None:
        """See `Task`."""
        demand_whole_pictures(config, network, "classifies", "small or finetune")

    def settle(
        self, config: TrainConfig, data: FolderData, display: Display, should_stop: Callable[[], bool]
    ) -> dict[str, Any]:
        """Nothing."""
        return {}

    def objective(self, config: TrainConfig, num_classes: int, settled: Mapping[str, Any]) -> ClassObjective:
        """See `Task`."""
        return ClassObjective(config, num_classes)

    def training_batches(
        self,
        data: FolderData,
        contract: InputContract,
        augment: AugmentConfig,
        loader: LoaderConfig,
        start_position: int,
    ) -> Iterator[Batch]:
        """See `Task`."""
        return train_batches(data.train, contract, augment, loader, start_position=start_position)

    def held_out(self, data: FolderData, contract: InputContract, loader: LoaderConfig) -> EvaluationSet:
        """See `Task`."""
        return EvaluationSet(data.val, contract, loader)

    def mended(self, root: Path, data: FolderData, decoder: str) -> Callable[[str], bool]:
        """See `Task`."""
        return readable_below((root, data.train.root, data.val.root), decoder)

    def measure(
        self,
        model: ImageModel,
        held_out: EvaluationSet,
        objective: Objective,
        precision: str,
        should_stop: Callable[[], bool],
    ) -> Evaluation:
        """See `Task`; by plain cross entropy."""
        return evaluate(model, held_out, precision=precision, should_stop=should_stop)

    def scores(self, answer: Evaluation) -> dict[str, Any]:
        """See `Task`."""
        return {"val_loss": answer.loss, "val_top1": answer.top1, "val_top5": answer.top5}

    def best(self, answer: Evaluation) -> dict[str, Any]:
        """See `Task`."""
        return {"val_top1": answer.top1, "val_loss": answer.loss}

    def rank(self, best: Mapping[str, Any]) -> tuple[float, ...]:
        """By the share named right, then by the loss."""
        return best["val_top1"], -best["val_loss"]

    def epoch_text(self, row: Mapping[str, Any]) -> str:
        """See `Task`."""
        return (
            f"epoch {row['epoch'] + 1}: loss {row['train_loss']:.4f}, top-1 {100 * row['train_top1']:.1f} %; "
            f"held out {row['val_loss']:.4f}, {100 * row['val_top1']:.2f} %; {format_seconds(row['seconds'])}"
        )

    def write_results(
        self,
        config: TrainConfig,
        model: ImageModel,
        data: FolderData,
        held_out: EvaluationSet,
        objective: Objective,
        loader: LoaderConfig,
    ) -> Evaluation:
        """`evaluation.json`, `predictions.csv`, and `suspects.csv` where that is wanted."""
        run, label_check = Path(config.run), config.machine.label_check
        evaluation = evaluate(model, held_out, with_features=label_check)
        evaluation.write(run)
        if label_check and not (run / "suspects.csv").exists():  # it may hold a person's corrections by now
            _write_suspects(config, model, data, evaluation, loader)
        return evaluation

    def metrics(self, answer: Evaluation) -> dict[str, Any]:
        """See `Task`."""
        return self.scores(answer)


def task_for(config: TrainConfig, task: AnyTask | None) -> AnyTask:
    """`task`, or `Classification` for None, after a look at whether it is the one that `config` asks for.

    Raises:
        UsageError: it is not, or network and settings are another task's.
    """
    task = task or Classification()
    if task.name != config.task:
        raise UsageError("The task is not the configuration's", got=task.name, expected=f"task: {config.task}")
    if is_foreign(config.model.name):
        if task.name == "segment":
            raise UsageError(f"{config.model.name} classifies, and cannot answer for every pixel")
        return task
    task.demand(config, model_spec(config.model.name))
    return task


def _write_suspects(
    config: TrainConfig, model: ImageModel, data: FolderData, val: Evaluation, loader: LoaderConfig
) -> None:
    """Over both sets together. Paths are as `read_folder(labels_csv=...)` wants them back: from the data folder on."""
    train = evaluate(model, data.train, loader, with_features=True)
    if train.features is None or val.features is None:
        return
    suspects = find_label_problems(
        np.concatenate([train.features, val.features]),
        np.concatenate([train.labels, val.labels]),
        data.class_names,
        [
            *(path_from(config.data.root, data.train.root, path) for path in train.paths),
            *(path_from(config.data.root, data.val.root, path) for path in val.paths),
        ],
        seed=config.seed,
    )
    write_suspects(suspects, Path(config.run) / "suspects.csv")
