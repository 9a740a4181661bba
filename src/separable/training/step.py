"""One optimiser step: targets, forward, backward in parts, clip, update, average.

The parts' gradients add up to that of the batch's mean loss where the pictures of a batch do not know of each other:
with frozen batch norm. In training, batch norm normalises each part by its own statistics, so more parts are another
gradient, that of a smaller batch's normalisation, and not only another rounding.
"""

import itertools
import math
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass

import torch
from torch import nn

from separable.blocks.dropout import set_dropout_keys
from separable.data.loader import Batch
from separable.data.preprocess import normalise
from separable.errors import DivergedError, UsageError
from separable.models.base import ImageModel
from separable.training.config import TrainConfig
from separable.training.ema import WeightAverage
from separable.training.keys import dropout_keys
from separable.training.optimisers import build_optimiser, set_learning_rate
from separable.training.schedules import schedule_factor
from separable.training.task import Objective

__all__ = ["StepOutcome", "Stepper", "explained_batch_norm", "part_sizes", "prepare_for_training", "set_train_mode"]


@dataclass(frozen=True)
class StepOutcome:
    """Mean loss over the pictures of the batch that count (`counting` of them, see `Objective`; 0 where there are
    none); how many answers were `correct` of those `judged`: one a picture, or one a labelled pixel; the batch's
    pictures, and the body's learning rate."""

    loss: float
    correct: int
    judged: int
    count: int
    learning_rate: float
    counting: int


def prepare_for_training(model: ImageModel, config: TrainConfig) -> None:
    """Memory layout, gradient checkpointing and batch norm momentum, before an optimiser takes hold of the weights."""
    model.to(config.device)
    if config.channels_last:
        model.to(memory_format=torch.channels_last)  # type: ignore[call-overload]
    if config.gradient_checkpointing:
        model.set_grad_checkpointing(True)
    momentum = config.recipe.regularisation.batch_norm_momentum
    if momentum is not None:
        for module in _batch_norms(model):
            module.momentum = momentum


def set_train_mode(model: nn.Module, config: TrainConfig) -> None:
    """Training mode, but for batch norm that the recipe freezes."""
    model.train()
    if config.recipe.regularisation.freeze_batch_norm:
        for module in _batch_norms(model):
            module.eval()


@contextmanager
def explained_batch_norm() -> Iterator[None]:
    """Say what to do where batch norm meets one value a channel, as it does in maps of 1x1 of a single picture.

    Raises:
        UsageError: it does.
    """
    try:
        yield
    except ValueError as error:
        if "more than 1 value per channel" not in str(error):
            raise
        raise UsageError(
            "Batch norm cannot learn from a single value: the network has maps of 1x1 at this picture size",
            got="one picture at a time",
            expected="two or more, in each of the parts that --set accumulate makes of a batch",
            fix="Use a larger --batch, larger pictures, or --set recipe.regularisation.freeze_batch_norm=true",
        ) from error


def part_sizes(count: int, config: TrainConfig) -> list[int]:
    """Pictures in each of `accumulate` parts, which differ by one at most.

    Fewer parts where one of them would be a single picture, whose statistics are none, unless that was asked for.
    """
    least = 1 if config.accumulate == config.batch_size else 2
    parts = max(1, min(config.accumulate, count // least))
    return [count // parts + (part < count % parts) for part in range(parts)]


class Stepper:
    """Owns the optimiser and the weight average of a model; every step is a function of (state, batch, step number)."""

    def __init__(
        self, model: ImageModel, config: TrainConfig, *, objective: Objective, steps_per_epoch: int, batch_size: int
    ) -> None:
        self.model, self._config, self.objective = model, config, objective
        self._steps_per_epoch, self._batch_size = steps_per_epoch, batch_size
        self._rules = config.recipe.regularisation
        self.optimiser = build_optimiser(model, config.recipe, batch_size)
        self.average = WeightAverage(model, self._rules.ema_decay) if self._rules.ema_decay else None
        self._parameters = [parameter for parameter in model.parameters() if parameter.requires_grad]

    def run(self, batch: Batch, step: int) -> StepOutcome:
        """Do update number `step`, counted from 0.

        Raises:
            DivergedError: the loss or the gradient is not finite; the weights are left as they were before the step.
        """
        rate = set_learning_rate(self.optimiser, self._factor(step))
        self.optimiser.zero_grad(set_to_none=True)
        loss, correct, judged, counting = self._accumulate(batch, step)
        norm = self._clip()
        if not (math.isfinite(loss) and math.isfinite(norm)):
            raise DivergedError(f"{'The loss' if not math.isfinite(loss) else 'The gradient'} is not finite", got=loss)
        self.optimiser.step()
        if self.average is not None:
            self.average.update()
        return StepOutcome(loss, correct, judged, len(batch.labels), rate, counting)

    def _factor(self, step: int) -> float:
        return schedule_factor(
            self._config.recipe.schedule,
            step,
            steps_per_epoch=self._steps_per_epoch,
            batch_size=self._batch_size,
            total_steps=self._config.total_epochs * self._steps_per_epoch,
        )

    def _accumulate(self, batch: Batch, step: int) -> tuple[float, int, int, int]:
        """Gradients of the batch's mean loss; each part counts by its pictures that do."""
        images, targets = self._inputs(batch, step)
        keys = dropout_keys(self._config.seed, step, batch.positions).to(self._config.device)
        set_train_mode(self.model, self._config)
        total = torch.zeros((), device=images.device, dtype=torch.float64)
        correct, judged = torch.zeros((2,), device=images.device, dtype=torch.int64)
        counting = int(self.objective.counting(targets))
        divisor = max(1, counting)
        ends = itertools.accumulate(part_sizes(len(images), self._config), initial=0)
        for part in itertools.starmap(slice, itertools.pairwise(ends)):
            set_dropout_keys(self.model, keys[part])
            autocast = torch.autocast(images.device.type, torch.bfloat16, enabled=self._config.precision == "bf16")
            with autocast, explained_batch_norm():
                output = self.objective.answer(self.model, images[part])
            loss, right, counted = self.objective.judge(output, targets[part])
            (loss / divisor).backward()
            total += loss.detach()
            correct += right
            judged += counted
        set_dropout_keys(self.model, None)
        return float(total) / divisor, int(correct), int(judged), counting

    def _inputs(self, batch: Batch, step: int) -> tuple[torch.Tensor, torch.Tensor]:
        images = normalise(batch.images.to(self._config.device), self.model.input_contract)
        images, targets = self.objective.targets(batch, images, step)
        if self._config.channels_last:
            images = images.contiguous(memory_format=torch.channels_last)
        return images, targets

    def _clip(self) -> float:
        """Clip the global norm where the recipe says so (1512.00567 section 8); returns it, an overflow shows in it."""
        gradients = [parameter.grad for parameter in self._parameters if parameter.grad is not None]
        norm = torch.nn.utils.get_total_norm(gradients, foreach=True)
        if self._rules.clip_norm is not None:
            torch.nn.utils.clip_grads_with_norm_(self._parameters, self._rules.clip_norm, norm, foreach=True)
        return float(norm)


def _batch_norms(model: nn.Module) -> list[nn.modules.batchnorm._BatchNorm]:
    return [module for module in model.modules() if isinstance(module, nn.modules.batchnorm._BatchNorm)]
