"""Cells: what an experiment is made of, one training each, told apart by a hash of everything that decides its outcome.

Two experiments that need the same training share it. The hash is of every entry of the configuration, those included
that have their default value, and of what decides without being an entry: who changes a default, torch or the decoder
of JPEGs has other cells, and never former ones under a new name.
"""

import functools
import hashlib
import importlib.metadata
import inspect
import json
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Literal

from separable.errors import UsageError
from separable.experiments.schema import Arm, Setup
from separable.experiments.sources import Source
from separable.files import write_text_atomically
from separable.models import model_spec
from separable.training.codec import from_plain, overridden, to_plain
from separable.training.config import DataConfig, MachineConfig, ModelConfig, Recipe, TrainConfig
from separable.training.foreign import is_foreign
from separable.training.recipes import find_recipe

__all__ = ["Cell", "cell_of", "evaluation_of", "read_cell", "recipe_of"]

_SEMANTICS = 2
"""Of what a configuration means. To be raised with every change after which the same configuration learns, draws,
augments or measures otherwise (another order of random numbers, another loss, a mended layer): cells that were made
before are then made again. Not for what leaves every bit of an outcome as it was."""
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
        decides: dict[str, Any] = {"semantics": _SEMANTICS, "torch": _torch(), "source": self.source.identity}
        if self.of:
            decides |= {"of": list(self.of), "crops": self.crops, "precision": self.config.precision}
        else:
            config = replace(self.config, run="", data=DataConfig(), machine=_ANY_MACHINE)
            told = to_plain(replace(config, recipe=replace(config.recipe, name="", source="")))
            told["model"]["options"] = _option_defaults(config.model.name) | told["model"]["options"]
            decides |= {"config": told, "part": self.part, "early": self.early}
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
        # 1 as a rule: a drawn picture is as large as the network sees it, or reduced.
        crop_fraction=setup.crop_fraction if source.drawn else None,
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


def _option_defaults(name: str) -> dict[str, Any]:
    """What a network is built with where nothing else is said; a foreign one is told by the hash of its file."""
    if is_foreign(name):
        return {}
    spec = model_spec(name)
    parameters = inspect.signature(spec.network).parameters
    plain: dict[str, Any] = to_plain({one: parameters[one].default for one in spec.options} | dict(spec.preset))
    return plain


def _torch() -> str:
    """Its version as far as kernels are said to change with it: "2.13"."""
    return ".".join(importlib.metadata.version("torch").split(".")[:2])
