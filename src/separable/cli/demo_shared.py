"""What the demos share: where they write, what they configure, what they say of it."""

from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

if TYPE_CHECKING:
    from separable.data.folder import FolderData
    from separable.segmentation.pairs import PairsData
    from separable.training.config import TrainConfig

__all__ = ["HOME", "STOPPED", "Setup", "configuration", "earlier_demo", "evenly_spread", "free_run"]

HOME = Path("runs") / "demo"
STOPPED = "A demo that was stopped is not gone on with: the next one starts anew, in a folder of its own."


@dataclass(frozen=True)
class Setup:
    """What is trained on which pictures; the recipe is the named one with these changes."""

    what: str
    side: int
    epochs: int
    options: dict[str, Any]
    recipe: str = "small"
    network: str = "xception"
    task: Literal["classify", "segment"] = "classify"
    batch_size: int = 32
    learning_rate: float | None = None
    augment: dict[str, Any] = field(default_factory=dict)
    crop_fraction: float | None = None


def configuration(setup: Setup, root: Path, data: "FolderData | PairsData", run: Path, seed: int) -> "TrainConfig":
    """The training of a demo, for the functions that `separable train` uses."""
    from separable.training.config import DataConfig, MachineConfig, ModelConfig, TrainConfig
    from separable.training.recipes import find_recipe

    recipe = find_recipe(setup.recipe)
    if setup.learning_rate is not None:
        recipe = replace(recipe, optimiser=replace(recipe.optimiser, learning_rate=setup.learning_rate))
    augment = replace(recipe.augment, **setup.augment)
    size = (setup.side, setup.side)
    return TrainConfig(
        run=str(run),
        recipe=replace(recipe, augment=augment, epochs=setup.epochs),
        data=DataConfig(root=str(root), train_root=str(data.train.root), val_root=str(data.val.root)),
        model=ModelConfig(setup.network, setup.options, None, size, crop_fraction=setup.crop_fraction),
        machine=MachineConfig(workers=1),
        batch_size=setup.batch_size,
        seed=seed,
        accelerate=False,  # a minute is too short to time kernels in, and every machine of a kind sees the same demo
        task=setup.task,
    )


def free_run(run: Path) -> Path:
    """`run`, or with a number behind it: an earlier demo's run stays as it is."""
    number = 1
    while (found := run if number == 1 else run.with_name(f"{run.name}-{number}")).exists():
        number += 1
    return found


def earlier_demo(run: Path) -> list[str]:
    """A sentence where `free_run` found another place than the first."""
    first = run.with_name(run.name.partition("-")[0])
    return [f"An earlier demo stays in {first}; this one goes to {run}."] if run != first else []


def evenly_spread(count: int, wanted: int) -> range:
    """At most `wanted` of the indices below `count`, equally far apart."""
    step = max(1, count // wanted)
    return range(step // 2, count, step)[:wanted]
