"""From `train`'s options to a configuration: what the user said, what the run recorded, choices for the rest."""

import os
import shlex
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from separable.errors import UsageError

if TYPE_CHECKING:
    from separable.training.config import ModelConfig, Recipe, TrainConfig
    from separable.training.task import TaskData

__all__ = [
    "Wishes",
    "base_name",
    "choose_device",
    "configure",
    "network_options",
    "new_run",
    "newest_run",
    "run_argument",
]

_RUNS = Path("runs")
_BATCH = 32
_MOST_WORKERS = 8
_BF16_IS_PROVEN = True
"""Whether `--precision auto` may take bf16: benchmarks/bf16_proof.py compares the losses that trainings end with."""
_BY_OPTION = {
    "run": "--run",
    "data": "the options of the pictures",
    "data.root": "DATA",
    "data.train_root": "DATA",
    "data.val_root": "DATA",
    "data.val_fraction": "--val-fraction",
    "data.labels_csv": "--labels",
    "device": "--device",
    "model.name": "--model",
    "model.options": "--option",
    "task": "--task",
}
"""What is looked at before --set is: the option to give instead."""


@dataclass(frozen=True)
class Wishes:
    """What was asked for; None means: choose."""

    model: str
    options: dict[str, Any] = field(default_factory=dict)
    weights: str = "auto"
    image_size: tuple[int, int] | None = None
    recipe: str = "auto"
    epochs: int | None = None
    batch: int | None = None
    precision: str = "auto"
    device: str = "auto"
    deterministic: bool = False
    accelerate: bool | None = None
    workers: int | None = None
    seed: int = 0
    val_fraction: float = 0.2
    labels: Path | None = None
    max_bad: float = 0.05
    task: str = "classify"
    loss: str | None = None
    class_weights: str | None = None
    settings: dict[str, Any] = field(default_factory=dict)


def configure(
    wishes: Wishes, run: Path, root: Path, data: "TaskData", weights: str | None, recorded: "TrainConfig | None"
) -> "TrainConfig":
    """The configuration of a training. `recorded` is the run's own on a resume: its choices are made again.

    Raises:
        UsageError: an unknown recipe, setting or value.
    """
    from separable.training.codec import from_plain, overridden, to_plain
    from separable.training.config import DataConfig, MachineConfig, TrainConfig

    recipe = _recipe(wishes, weights)
    device = choose_device(wishes, recorded)
    precision = _choose(
        "precision",
        wishes.precision,
        recorded.precision if recorded else None,
        lambda: _precision(device),
        ("fp32", "bf16"),
    )
    config = TrainConfig(
        run=str(run),
        recipe=recipe,
        data=DataConfig(
            root=str(root),
            train_root=str(data.train.root),
            val_root=str(data.val.root),
            val_fraction=wishes.val_fraction,
            labels_csv=str(wishes.labels) if wishes.labels else None,
            max_bad=wishes.max_bad,
        ),
        model=_model(wishes, weights, recorded),
        machine=MachineConfig(workers=_workers(device) if wishes.workers is None else wishes.workers),
        epochs=wishes.epochs,
        batch_size=wishes.batch or min(_BATCH, recipe.global_batch),
        seed=wishes.seed,
        device=device,
        precision=precision,
        deterministic=wishes.deterministic or (recorded is not None and recorded.deterministic),
        accelerate=(recorded is None or recorded.accelerate) if wishes.accelerate is None else wishes.accelerate,
        threads=recorded.threads if recorded else _threads(),
        task=wishes.task,  # type: ignore[arg-type]  # from_plain looks at it
    )
    _demand_in_time(wishes.settings)
    return from_plain(TrainConfig, overridden(to_plain(config), wishes.settings, "--set "))


def _recipe(wishes: Wishes, weights: str | None) -> "Recipe":
    from separable.training.recipes import find_recipe

    recipe = find_recipe(_recipe_name(wishes, weights))
    changes = {"loss": wishes.loss, "class_weights": wishes.class_weights}
    return replace(recipe, **{name: value for name, value in changes.items() if value is not None})  # type: ignore[arg-type]


def _model(wishes: Wishes, weights: str | None, recorded: "TrainConfig | None") -> "ModelConfig":
    """Nobody publishes a network that segments: for one, "keras" is where its encoder starts."""
    from separable.training.config import ModelConfig

    encoder = None
    if recorded is not None and wishes.weights in ("auto", "keras"):
        encoder = recorded.model.encoder_weights
    elif wishes.task == "segment" and weights == "keras":
        weights, encoder = None, "keras"
    return ModelConfig(wishes.model, wishes.options, weights, wishes.image_size, encoder_weights=encoder)


def network_options(wishes: Wishes) -> dict[str, Any]:
    """Those of --option, and of --set where it names one: `model.options.encoder`."""
    from separable.training.codec import overridden

    chosen = {path: value for path, value in wishes.settings.items() if path.startswith("model.options.")}
    plain = overridden({"model": {"options": dict(wishes.options)}}, chosen, "--set ")
    options: dict[str, Any] = plain["model"]["options"]
    return options


def choose_device(wishes: Wishes, recorded: "TrainConfig | None") -> str:
    """The one wished for; else the recorded one on a resume, a GPU where there is one.

    Raises:
        UsageError: unknown.
    """
    return str(_choose("device", wishes.device, recorded.device if recorded else None, _device, ("cpu", "cuda")))


def new_run(data: Path, name: str | None) -> Path:
    """`runs/NAME`, or the path that NAME is where it has a separator, as in `./mine`.

    Without a name it is that of the data folder, with a number behind it where it is taken.

    Raises:
        UsageError: an empty name.
    """
    if name is not None:
        return _named_run(name)
    base = base_name(data)
    taken = {entry.name for entry in _RUNS.iterdir()} if _RUNS.is_dir() else set()
    number = 1
    while (found := base if number == 1 else f"{base}-{number}") in taken:
        number += 1
    return _RUNS / found


def base_name(data: Path) -> str:
    """Of the folder; a file of annotations is called so in every folder."""
    folder = data.resolve()
    return (folder.parent if folder.is_file() else folder).name or "run"


def newest_run(data: Path, name: str | None) -> Path:
    """What `--resume` means: the run of that name, or the last one that `new_run` gave to this data."""
    if name is not None:
        return _named_run(name)
    following = new_run(data, None).name
    base = base_name(data)
    number = int(following.removeprefix(base).removeprefix("-") or 1)
    return _RUNS / (base if number <= 2 else f"{base}-{number - 1}")


def run_argument(run: Path) -> str:
    """The run as a command line takes it: quoted, and with a separator, without which it would be a name in runs/."""
    text = str(run)
    return shlex.quote(text if os.sep in text and not text.startswith("-") else os.path.join(os.curdir, text))


def _named_run(name: str) -> Path:
    if not name.strip():
        raise UsageError("--run is empty", expected="a name below runs/, or a path")
    separators = (os.sep, os.altsep) if os.altsep else (os.sep,)
    is_path = name in (".", "..") or any(separator in name for separator in separators)
    return Path(name) if is_path else _RUNS / name


def _recipe_name(wishes: Wishes, weights: str | None) -> str:
    if wishes.recipe != "auto":
        return wishes.recipe
    if wishes.task != "classify":
        return {"segment": "segment", "tag": "tags"}[wishes.task]
    return "small" if weights is None else "finetune"


def _choose(name: str, wish: str, recorded: str | None, otherwise: Callable[[], str], legal: tuple[str, ...]) -> Any:
    if wish == "auto":
        return recorded or otherwise()
    if wish not in legal:
        raise UsageError(f"Unknown {name} {wish!r}", expected=f"auto, {' or '.join(legal)}")
    return wish


def _device() -> str:
    import torch

    return "cuda" if torch.cuda.is_available() else "cpu"


def _precision(device: str) -> str:
    """bf16 where the hardware multiplies it itself, since trainings in it are proven to end where those in fp32 do."""
    from separable.machine.runtime import multiplies_bf16

    return "bf16" if _BF16_IS_PROVEN and multiplies_bf16(device) else "fp32"


def _threads() -> int | None:
    """torch's own choice, unless a container gives fewer cores than torch counts: its threads would fight for them."""
    import torch

    from separable.machine.processor import read_processor

    cores = read_processor().usable_cores
    return cores if torch.get_num_threads() > cores else None


def _workers(device: str) -> int:
    """On a processor the training itself needs the cores, so one process reads; a GPU leaves them to the readers."""
    from separable.machine.processor import read_processor

    cores = read_processor().usable_cores
    return min(_MOST_WORKERS, max(1, cores - 1)) if device == "cuda" else min(_MOST_WORKERS, max(1, cores // 4))


def _demand_in_time(settings: dict[str, Any]) -> None:
    """
    Raises:
        UsageError: an entry was looked at before --set is.
    """
    for path in settings:
        if path in _BY_OPTION:
            raise UsageError(f"--set {path} comes too late to have its effect", fix=f"Give {_BY_OPTION[path]} instead")
