"""What came out of an experiment at one scale, as `result.json` keeps it: enough to print it, and to run it again.

Shares are fractions. A number that is not there (a training that diverged, a column without a meaning) is None, or
left out of its mapping.
"""

import json
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal

from separable.errors import RunFolderError, SeparableError
from separable.experiments.schema import Relation, Scale, Task
from separable.files import write_text_atomically
from separable.training.codec import from_plain, to_plain

__all__ = [
    "ArmResult",
    "ClaimResult",
    "Power",
    "Result",
    "SeedResult",
    "Trial",
    "Verdict",
    "finished_results",
    "read_result",
]

Verdict = Literal["holds", "reversed", "not seen", "not judged", "exact", "not measured"]
""""not judged": an arm did not train, or its seeds lie too far apart (`experiments.learnt`)."""


@dataclass(frozen=True)
class SeedResult:
    """One training of an arm, or for `Arm.ensemble` the one measurement of all seeds' networks together.

    `curve` has columns of one length, "epoch" (1, 2, ...) among them, and "top1" ..., "loss", "train_loss" as the task
    has them. `failed` says in a sentence why there are no measures: it diverged, or could not be run.
    """

    seed: int
    measures: dict[str, float] = field(default_factory=dict)
    curve: dict[str, tuple[float | None, ...]] = field(default_factory=dict)
    cell: str = ""
    """Its folder below `cells`."""
    seconds: float = 0.0
    failed: str | None = None


@dataclass(frozen=True)
class Trial:
    """A learning rate, as a factor on the recipe's, and what it scored on pictures held out of the training ones."""

    factor: float
    score: float | None
    """By the first measure; None: it diverged."""


@dataclass(frozen=True)
class ArmResult:
    """A row. `options` are those of the network that was trained, `published_...` the published network's counts.

    `mean`, `spread` (standard deviation over seeds) and `interval` (95 %, of the mean) are by measure; exact counts and
    `timing` stand in `mean` too, under the names of `schema.MEASURES`. `learning_rate` is the factor that was chosen.
    """

    name: str
    model: str
    options: dict[str, Any]
    note: str
    parameters: int | None
    macs: int | None
    image_size: int | None
    published: dict[str, float]
    published_parameters: int | None
    published_macs: int | None
    published_image_size: int | None = None
    learning_rate: float | None = None
    tuning: tuple[Trial, ...] = ()
    seeds: tuple[SeedResult, ...] = ()
    mean: dict[str, float] = field(default_factory=dict)
    spread: dict[str, float] = field(default_factory=dict)
    interval: dict[str, tuple[float, float]] = field(default_factory=dict)
    timing: dict[str, tuple[float, ...]] = field(default_factory=dict)
    """By measure, what each round gave: the arms took turns."""
    like: str | None = None
    crops: int = 1
    ensemble: bool = False


@dataclass(frozen=True)
class ClaimResult:
    """What became of a claim. `published` and `ours` are left minus right; `interval` (95 %) and `confidence` are of
    ours.

    `p_value` is two-sided, of this claim by itself, for what decides it; `smallest` is the difference that would have
    been seen in four of five repetitions, as spreads came out. Both are None of counts, and where nothing was judged.
    """

    text: str
    measure: str
    left: str
    relation: Relation
    right: str
    margin: float
    published: float | None
    ours: float | None
    interval: tuple[float, float] | None
    confidence: float | None
    verdict: Verdict
    sentence: str
    p_value: float | None = None
    smallest: float | None = None


@dataclass(frozen=True)
class Power:
    """What a comparison can see, stated before it is run: `smallest_difference` of `measure` with 80 % at 5 %."""

    seeds: int
    held_out: int
    spread: float
    spread_source: str
    smallest_difference: float
    measure: str


@dataclass(frozen=True)
class Result:
    """An experiment at a scale, as far as it was run: `finished` once every arm has everything."""

    experiment: str
    scale: Scale
    title: str
    source: str
    says: str
    reading: str
    task: Task
    kind: Literal["train", "count", "curves"]
    measures: tuple[str, ...]
    command: str
    date: str
    versions: dict[str, Any]
    machine: dict[str, Any]
    data: dict[str, Any]
    """"what", "train", "held_out", "classes", "fingerprint"."""
    setup: dict[str, Any]
    """"recipe", "changes", "epochs", "batch_size", "image_size", "seeds", "learning_rates", "options", "precision",
    "device"."""
    arms: tuple[ArmResult, ...]
    power: Power | None = None
    claims: tuple[ClaimResult, ...] = ()
    seconds: float = 0.0
    finished: bool = False
    problems: tuple[str, ...] = ()
    """Why something is missing that is not a result: sentences."""

    def arm(self, name: str) -> ArmResult:
        """The row of that name, which is there."""
        return next(arm for arm in self.arms if arm.name == name)

    def to_json(self) -> dict[str, Any]:
        """Plain values."""
        plain: dict[str, Any] = to_plain(self)
        return plain

    @classmethod
    def from_json(cls, plain: dict[str, Any]) -> "Result":
        """The inverse of `to_json`.

        Raises:
            UsageError: an unknown entry, a missing one, or a value of another type.
        """
        return from_plain(cls, plain)

    def write(self, path: Path) -> None:
        """Write `result.json`."""
        text = json.dumps(self.to_json(), indent=1, ensure_ascii=False, allow_nan=False)
        write_text_atomically(path, text + "\n")


def read_result(path: Path) -> Result | None:
    """What `Result.write` left; None where there is nothing yet.

    Raises:
        RunFolderError: the file is damaged, or not a result.
    """
    try:
        return Result.from_json(json.loads(path.read_text(encoding="utf-8")))
    except FileNotFoundError:
        return None
    except (OSError, ValueError, SeparableError) as error:
        raise RunFolderError(
            f"{path} cannot be read as a result", got=str(error), fix="Remove it: it is put together again from cells"
        ) from error


def finished_results(home: Path, scale: Scale) -> list[Result]:
    """Those of all experiments in `home`, by name; none that cannot be read, which is for who runs it again."""
    found = []
    for path in sorted([*home.glob(f"*/{scale}/result.json"), *home.glob(f"*/*/{scale}/result.json")]):
        try:
            result = read_result(path)
        except RunFolderError:
            continue
        if result is not None and result.finished:
            found.append(result)
    return found
