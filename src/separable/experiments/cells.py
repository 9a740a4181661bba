"""Cells: what an experiment is made of, one training each, told apart by a hash of everything that decides its outcome.

Two experiments that need the same training share it. The hash must stay what it is, or everything is trained again:
entries of a configuration that have their default value are left out of it, so that a new one changes nothing.
"""

import dataclasses
import functools
import hashlib
import json
from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Literal

from separable.errors import UsageError
from separable.experiments.schema import Arm, Setup
from separable.experiments.sources import Source
from separable.files import write_text_atomically
from separable.training.codec import from_plain, overridden, to_plain
from separable.training.config import DataConfig, MachineConfig, ModelConfig, Recipe, TrainConfig
from separable.training.recipes import find_recipe

__all__ = ["Cell", "cell_of", "evaluation_of", "read_cell", "recipe_of"]

_FORMAT = 1
_ANY_MACHINE = MachineConfig()
_TUNING_SEED = 1_000_003
"""Of the trials of learning rates: none that an arm is measured with."""


@dataclass(frozen=True)
class Cell:
    """A training on a source's pictures, or with `of` an evaluation of other cells' networks together, on many crops.

    `part` "tuning" trains on a part of the training pictures, and measures on the others. After `early` epochs answers
    are kept, too.
    """

    config: TrainConfig
    source: Source
    part: Literal["all", "tuning"] = "all"
    early: int | None = None
    of: tuple[str, ...] = ()
    crops: int = 1

    @functools.cached_property
    def key(self) -> str:
        """The name of its folder."""
        decides: dict[str, Any] = {"format": _FORMAT, "source": self.source.identity}
        if self.of:
            decides |= {"of": list(self.of), "crops": self.crops, "precision": self.config.precision}
        else:
            config = replace(self.config, run="", data=DataConfig(), machine=_ANY_MACHINE)
            told = _told(replace(config, recipe=replace(config.recipe, name="", source="")))
            decides |= {"config": told, "part": self.part}
        text = json.dumps(decides, sort_keys=True, separators=(",", ":"), ensure_ascii=True)
        return hashlib.sha256(text.encode()).hexdigest()[:20]

    def write(self, path: Path) -> None:
        """Write it for the process that carries it out."""
        write_text_atomically(path, json.dumps(to_plain(self), indent=1) + "\n")


def read_cell(path: Path) -> Cell:
    """What `Cell.write` left."""
    return from_plain(Cell, json.loads(path.read_text(encoding="utf-8")))


def cell_of(setup: Setup, arm: Arm, source: Source, seed: int | None, factor: float = 1.0) -> Cell:
    """One training of an arm; `seed` None: a trial of the learning rate's `factor`.

    Raises:
        UsageError: the recipe has no such entry, or it cannot have the value.
    """
    side = setup.size_of(arm)
    options = {name: value for name, value in setup.options_of(arm).items() if name != "num_classes"}
    model = ModelConfig(
        arm.model,
        options,
        image_size=None if side is None else (side, side),
        crop_fraction=1.0 if source.drawn else None,  # a drawn picture is as large as the network sees it, or reduced
    )
    on_cpu = setup.device.startswith("cpu")
    config = TrainConfig(
        run="",
        recipe=recipe_of(setup, arm, factor),
        model=model,
        machine=MachineConfig(workers=0 if on_cpu else 4, checkpoint_seconds=30.0, label_check=False),
        epochs=setup.epochs,
        batch_size=setup.batch_size,
        seed=_TUNING_SEED if seed is None else seed,
        device=setup.device,
        precision=setup.precision,
        threads=1 if on_cpu else None,
        accelerate=setup.accelerate,
        task=source.task,
    )
    # Through plain values and back: a cell read from its file has the same hash, tuples in options included.
    config = from_plain(TrainConfig, json.loads(json.dumps(to_plain(config))))
    early = -(-setup.epochs // 4) if source.task == "classify" and seed is not None else None
    return Cell(config, source, "tuning" if seed is None else "all", early)


def evaluation_of(trained: Cell, keys: tuple[str, ...], arm: Arm) -> Cell:
    """An arm's measurement of the networks that other cells trained; `trained` is one of these."""
    return replace(trained, of=keys, crops=arm.crops, early=None)


def recipe_of(setup: Setup, arm: Arm, factor: float = 1.0) -> Recipe:
    """The setup's recipe as `changes_of` has it for the arm, with the factor on the learning rates.

    Raises:
        UsageError: as `cell_of`.
    """
    plain = to_plain(find_recipe(setup.recipe))
    plain = overridden(plain, {**setup.changes_of(arm), "epochs": setup.epochs})
    try:
        recipe = from_plain(Recipe, plain)
    except UsageError as error:
        raise UsageError(f"The recipe of {arm.name} cannot be had: {error.what}", got=error.got) from error
    optimiser = recipe.optimiser
    head = optimiser.head_learning_rate
    rates = replace(
        optimiser,
        learning_rate=factor * optimiser.learning_rate,
        head_learning_rate=None if head is None else factor * head,
    )
    return replace(recipe, optimiser=rates)


def _told(value: Any) -> Any:
    """Plain values, without what a dataclass has by default."""
    if dataclasses.is_dataclass(value) and not isinstance(value, type):
        entries = {entry.name: (entry, getattr(value, entry.name)) for entry in dataclasses.fields(value)}
        return {name: _told(held) for name, (entry, held) in entries.items() if held != _default(entry)}
    if isinstance(value, Mapping):
        return {str(key): _told(held) for key, held in value.items()}
    if isinstance(value, list | tuple):
        return [_told(held) for held in value]
    return value


def _default(entry: "dataclasses.Field[Any]") -> Any:
    return entry.default_factory() if entry.default_factory is not dataclasses.MISSING else entry.default
