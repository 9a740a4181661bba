"""What a training will take, measured on a few pictures before its first step."""

import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass, replace
from typing import Any

import torch

from separable.analysis import profile
from separable.analysis.page.wording import count_of
from separable.data.loader import Batch, pictures_per_epoch
from separable.machine.processor import read_processor
from separable.models.base import ImageModel
from separable.training.classification import task_for
from separable.training.config import TrainConfig
from separable.training.display import format_seconds, resident_memory
from separable.training.start import loaded_model
from separable.training.step import Stepper, part_sizes, prepare_for_training
from separable.training.task import AnyTask, TaskData

__all__ = ["Estimate", "estimate", "fake_batch", "trial"]

_PROBE = 4
"""Pictures in the first trial step."""
_KEPT = 1.2
"""Resident over live bytes: freed memory is kept for the next step and does not all fit again: measured 1.1 to 1.4."""
_LONG = 0.3
"""Seconds of a step from which on more pictures would tell nothing new."""


@dataclass(frozen=True)
class Estimate:
    """Bytes and seconds. `memory` is the peak of this process, `memory_limit` what the machine (or container) has.

    Times are those of the computation alone: reading pictures runs beside it.
    """

    model: str
    input_size: tuple[int, int]
    parameters: int
    macs: int
    activations: int
    batch_size: int
    steps_per_epoch: int
    epochs: int
    memory: int
    memory_limit: int
    seconds_per_step: float
    seconds_per_epoch: float
    seconds: float

    @property
    def fits(self) -> bool:
        """Whether the peak stays below nine tenths of the memory."""
        return self.memory < 0.9 * self.memory_limit

    def to_json(self) -> dict[str, Any]:
        """Plain values."""
        return asdict(self) | {"input_size": list(self.input_size), "fits": self.fits}

    def to_text(self) -> str:
        """A few lines for a person, with what to do where it does not fit."""
        height, width = self.input_size
        lines = [
            f"{self.model} at {height}x{width}: {self.parameters:,} parameters, {_amount(self.macs)} multiply-adds a "
            "picture.",
            f"About {self.memory / 2**30:.1f} GiB of {self.memory_limit / 2**30:.1f} GiB memory at "
            f"{count_of(self.batch_size, 'picture')} a step.",
            f"About {format_seconds(self.seconds_per_epoch)} an epoch ({count_of(self.steps_per_epoch, 'step')} of "
            f"{format_seconds(self.seconds_per_step)}), {format_seconds(self.seconds)} for "
            f"{count_of(self.epochs, 'epoch')}: an estimate, measured just now on this machine.",
        ]
        if not self.fits:
            lines.append(
                "That may not fit: use a smaller --batch, or --set accumulate=2 (the same result but for batch norm), "
                "or --set gradient_checkpointing=true (the same result, about a third slower)."
            )
        return "\n".join(lines)


def _amount(count: int) -> str:
    return f"{count / 1e9:.2f} G" if count >= 1e8 else f"{count / 1e6:.1f} M"


def estimate(config: TrainConfig, data: TaskData, task: AnyTask | None = None) -> Estimate:
    """Try a few pictures on a network of the same make, thrown away afterwards; seconds, not minutes.

    The first of the training steps counts the bytes that the backward pass keeps; later ones are timed, on more
    pictures as long as they take little: small networks spend their time on what a step costs whatever its size.

    Args:
        config: the training.
        data: what it would train on, of the kind that `task` takes; nothing is read.
        task: what is learnt; None for classes of pictures.
    """
    task = task_for(config, task)
    per_epoch = pictures_per_epoch(len(data.train), config.batch_size)
    batch_size = min(config.batch_size, per_epoch)
    part = max(part_sizes(batch_size, config))
    probe = min(_PROBE, part)
    model, stepper = trial(config, task, data, probe)
    totals = profile(model, (1, 3, *model.input_contract.size))
    before = resident_memory()
    with _kept_bytes(model) as kept:
        stepper.run(fake_batch(model, stepper, probe), 0)
    memory = before + _state_bytes(model, stepper) + _peak(kept, part / probe)
    per_picture = _seconds_per_picture(model, stepper, probe, part)
    validation = per_picture / 3 * len(data.val)  # a step is a forward and a backward of twice its work
    per_epoch_seconds = per_picture * per_epoch + validation
    return Estimate(
        model=config.model.name,
        input_size=model.input_contract.size,
        parameters=totals.parameters,
        macs=totals.macs,
        activations=totals.activations,
        batch_size=batch_size,
        steps_per_epoch=per_epoch // batch_size,
        epochs=config.total_epochs,
        memory=memory,
        memory_limit=_memory_limit(config.device),
        seconds_per_step=per_picture * batch_size,
        seconds_per_epoch=per_epoch_seconds,
        seconds=per_epoch_seconds * config.total_epochs,
    )


def trial(config: TrainConfig, task: AnyTask, data: TaskData, probe: int) -> tuple[ImageModel, Stepper]:
    """The network and its optimiser, at a learning rate that cannot blow up."""
    optimiser = replace(config.recipe.optimiser, learning_rate=1e-9, head_learning_rate=None)
    tried = replace(config, batch_size=probe, accumulate=1, recipe=replace(config.recipe, optimiser=optimiser))
    model = loaded_model(config, data.class_names)  # its input size may come with the starting weights
    prepare_for_training(model, tried)
    objective = task.objective(tried, len(data.class_names), {})
    return model, Stepper(model, tried, objective=objective, steps_per_epoch=1, batch_size=probe)


def _seconds_per_picture(model: ImageModel, stepper: Stepper, probe: int, part: int) -> float:
    while True:
        batch = fake_batch(model, stepper, probe)
        times = []
        for step in (1, 2):
            begun = time.perf_counter()
            stepper.run(batch, step)
            times.append(time.perf_counter() - begun)
        if probe == part or min(times) > _LONG:
            return min(times) / probe
        probe = min(part, 4 * probe)


def fake_batch(model: ImageModel, stepper: Stepper, count: int) -> Batch:
    """So many pictures of noise, and labels as the objective wants them."""
    height, width = model.input_contract.size
    images = torch.randint(0, 256, (count, 3, height, width), dtype=torch.uint8, generator=torch.Generator())
    places = torch.arange(count)
    labels = stepper.objective.blank(count, (height, width))
    return Batch(images.contiguous(memory_format=torch.channels_last), labels, places, places)


@contextmanager
def _kept_bytes(model: ImageModel) -> Iterator[dict[int, int]]:
    """Sizes of the storages that autograd keeps for the backward pass, by address; weights are not counted."""
    own = {tensor.untyped_storage().data_ptr() for tensor in model.state_dict().values()}
    kept: dict[int, int] = {}

    def pack(tensor: torch.Tensor) -> torch.Tensor:
        storage = tensor.untyped_storage()
        if storage.data_ptr() not in own:
            kept[storage.data_ptr()] = storage.nbytes()
        return tensor

    with torch.autograd.graph.saved_tensors_hooks(pack, lambda tensor: tensor):
        yield kept


def _peak(kept: dict[int, int], scale: float) -> int:
    """All that is kept, and three tensors of the largest size: what an operation of the backward pass works on."""
    sizes = sorted(kept.values())
    return int(_KEPT * scale * (sum(sizes) + 3 * (sizes[-1] if sizes else 0)))


def _state_bytes(model: ImageModel, stepper: Stepper) -> int:
    """Gradients, optimiser and average; the weights are resident already."""
    weights = sum(parameter.numel() * parameter.element_size() for parameter in model.parameters())
    states = stepper.optimiser.state.values()
    held = sum(v.numel() * v.element_size() for state in states for v in state.values() if isinstance(v, torch.Tensor))
    return weights + held + (weights if stepper.average is not None else 0)


def _memory_limit(device: str) -> int:
    if device.startswith("cuda"):
        return int(torch.cuda.get_device_properties(device).total_memory)
    return read_processor().memory_bytes
