"""The command lines that use, continue and repeat a run, from its configuration."""

import json
import shlex
from collections.abc import Iterator, Mapping
from dataclasses import replace
from typing import Any

from separable.errors import SeparableError
from separable.training.codec import from_plain, to_plain
from separable.training.config import DataConfig, ModelConfig, TrainConfig
from separable.training.recipes import RECIPES
from separable.training.report.record import RunRecord, value_at

__all__ = [
    "corrected_command",
    "evaluate_command",
    "predict_command",
    "repeat_command",
    "resume_command",
]

_DEFAULT_MODEL, _DEFAULT_BATCH = "xception", 32  # of `separable train`; a test sends the command through its parser


def predict_command(record: RunRecord, *options: str) -> str:
    """Name what is on the held-out pictures, for want of others."""
    pictures = value_at(record.config, "data", "val_root") or value_at(record.config, "data", "root") or "PICTURES"
    return shlex.join(["separable", "predict", str(record.run), str(pictures), *options])


def evaluate_command(record: RunRecord) -> str:
    """Measure on the run's own held-out pictures."""
    return shlex.join(["separable", "evaluate", str(record.run)])


def repeat_command(record: RunRecord) -> str | None:
    """The same training again, into a run folder of another name; None where the configuration cannot be used."""
    return _train_command(record, f"{record.run}-again")


def resume_command(record: RunRecord) -> str | None:
    """The same training, going on where it stopped."""
    command = _train_command(record, str(record.run))
    return command and f"{command} --resume"


def corrected_command(record: RunRecord, labels: str = "suspects.csv") -> str | None:
    """The same training with the labels as they stand in a file of the run, by default its suspects.csv."""
    return _train_command(record, f"{record.run}-corrected", labels=str(record.run / labels))


def _train_command(record: RunRecord, target: str, labels: str | None = None) -> str | None:
    try:
        config = from_plain(TrainConfig, record.config)
    except SeparableError:
        return None
    if labels is not None:
        config = replace(config, data=replace(config.data, labels_csv=labels))
    return shlex.join(["separable", "train", config.data.root, "--run", target, *_options(config)])


def _options(config: TrainConfig) -> Iterator[str]:
    """Every choice that decides the result, whether it was made by the user or for them."""
    plain, data = RECIPES.get(config.recipe.name), config.data
    if config.task != "classify":
        yield from ("--task", config.task)
    yield from _network_options(config.model, None if config.task != "classify" else _DEFAULT_MODEL)
    yield from ("--recipe", config.recipe.name)
    default_batch = None if plain is None else min(_DEFAULT_BATCH, plain.global_batch)
    for option, value, default in (
        ("--epochs", config.epochs, None),
        ("--batch", config.batch_size, default_batch),
        ("--seed", config.seed, 0),
        ("--precision", config.precision, None),
        ("--device", config.device, None),
        ("--val-fraction", data.val_fraction, DataConfig.val_fraction),
        ("--labels", data.labels_csv, None),
        ("--max-bad", data.max_bad, DataConfig.max_bad),
    ):
        if value != default:
            yield from (option, str(value))
    if config.deterministic:
        yield "--deterministic"
    if plain is not None:
        for key, entry in _differences(to_plain(_expressed(config)), to_plain(config)):
            yield from ("--set", f"{key}={json.dumps(entry)}")


def _network_options(model: ModelConfig, default: str | None) -> Iterator[str]:
    if model.name != default:
        yield from ("--model", model.name)
    for key, value in model.options.items():
        yield from ("--option", f"{key}={json.dumps(value)}")
    if model.image_size is not None:
        height, width = model.image_size
        yield from ("--image-size", str(height) if height == width else f"{height}x{width}")
    yield from ("--weights", model.weights or "none")


def _expressed(config: TrainConfig) -> TrainConfig:
    """What the options above say by themselves; the rest goes through --set."""
    model, data = config.model, config.data
    return TrainConfig(
        run=config.run,
        recipe=RECIPES[config.recipe.name],
        data=replace(
            DataConfig(data.root, data.train_root, data.val_root),
            val_fraction=data.val_fraction,
            labels_csv=data.labels_csv,
            max_bad=data.max_bad,
        ),
        model=ModelConfig(model.name, model.options, model.weights, model.image_size),
        machine=config.machine,
        epochs=config.epochs,
        batch_size=config.batch_size,
        seed=config.seed,
        device=config.device,
        precision=config.precision,
        deterministic=config.deterministic,
        task=config.task,
    )


def _differences(said: Mapping[str, Any], wanted: Mapping[str, Any], where: str = "") -> Iterator[tuple[str, Any]]:
    for key, value in wanted.items():
        path = f"{where}.{key}" if where else key
        if isinstance(value, Mapping) and isinstance(said.get(key), Mapping):
            yield from _differences(said[key], value, path)
        elif said.get(key) != value:
            yield path, value
