"""What a published table or figure is, as data: its claim, its rows, and what each scale trains in its place.

Nothing here runs anything. One file below `experiments.papers` holds one `Experiment`; `experiments.catalog` has all.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Literal

__all__ = ["MEASURES", "SCALES", "Arm", "Claim", "Experiment", "Measure", "Relation", "Scale", "Setup", "Task"]

Scale = Literal["smoke", "laptop", "gpu", "paper", "own"]
"""Of `SCALES`, or "own": networks and pictures of the user's, which nobody published anything about."""
SCALES: tuple[Scale, ...] = ("smoke", "laptop", "gpu", "paper")
Task = Literal["classify", "tag", "segment"]
Relation = Literal["above", "below", "same"]


@dataclass(frozen=True)
class Measure:
    """A column. `better` is None where neither direction is; `exact` figures are counted, not trained."""

    text: str
    unit: str = ""
    better: Literal["higher", "lower"] | None = None
    exact: bool = False
    digits: int = 1


MEASURES: dict[str, Measure] = {
    "top1": Measure("top-1", "%", "higher"),
    "top5": Measure("top-5", "%", "higher"),
    "top1_error": Measure("top-1 error", "%", "lower"),
    "top5_error": Measure("top-5 error", "%", "lower"),
    "loss": Measure("held-out loss", "", "lower", digits=3),
    "early_top1": Measure("top-1 after a quarter", "%", "higher"),
    "map100": Measure("MAP@100", "%", "higher", digits=2),
    "weighted_map100": Measure("weighted MAP@100", "%", "higher", digits=2),
    "miou": Measure("mean IoU", "%", "higher"),
    "pixel_accuracy": Measure("pixels right", "%", "higher"),
    "parameters": Measure("parameters", "", "lower", exact=True, digits=0),
    "macs": Measure("multiply-adds", "", "lower", exact=True, digits=0),
    "steps_per_second": Measure("training steps", "1/s", "higher", digits=2),
    "milliseconds": Measure("one picture", "ms", "lower", digits=2),
    "memory": Measure("peak memory of a step", "MiB", "lower", digits=0),
}
"""Every column there is. Shares are kept as fractions (0.79) everywhere, and shown in per cent."""


@dataclass(frozen=True)
class Arm:
    """One row of a table, or one curve of a figure.

    `options` are the published network's; a scale's `Setup.options` for that network come on top. `recipe` changes
    entries of the scale's recipe, by dotted name such as "regularisation.label_smoothing". `published` holds the
    printed figures by measure, as fractions where they are shares. `like` names the arm, of the same experiment, whose
    trained networks are evaluated in another way here (`crops`, `ensemble`), so that nothing is trained twice.
    """

    name: str
    model: str
    options: Mapping[str, Any] = field(default_factory=dict)
    recipe: Mapping[str, Any] = field(default_factory=dict)
    published: Mapping[str, float] = field(default_factory=dict)
    note: str = ""
    image_size: int | None = None
    """Where rows differ in it: as published. A scale's own comes from `Setup.image_sizes`."""
    like: str | None = None
    crops: int = 1
    """1, 12 or 144 crops a picture (1512.00567, section 10)."""
    ensemble: bool = False
    """Average the answers of all seeds' networks."""
    match: tuple[Literal["milliseconds"], str] | None = None
    """Where the width is not written down but solved for, on the machine that runs it: what has to be the same as that
    of which arm."""
    published_network: bool = True
    """Whether somebody published this network, so that its parameters and multiply-adds are a published one's."""


@dataclass(frozen=True)
class Claim:
    """What the paper says of two arms: `left`'s `measure` is above, below or the same as `right`'s.

    `margin`: what counts as the same, in the measure's own unit as kept.
    """

    text: str
    measure: str
    left: str
    relation: Relation
    right: str
    margin: float = 0.0


@dataclass(frozen=True)
class Setup:
    """What one scale trains for an experiment, the same for all arms.

    `data` is where pictures come from when the user names none: "digits" (scanned digits on photographs, one a
    picture), "mirrored" (those, half of them mirrored), "tags" (several a picture), "scenes" (with masks); or one that
    cannot be drawn, such as "imagenet". `options` are laid over those of every arm of a network, by its name: narrower,
    shallower; `arm_options` over those, by the arm's name, where arms of one network differ in width; `arm_changes`
    likewise over the arms' own changes of the recipe. `image_sizes` are by the published side where arms differ in it,
    else `image_size` is everybody's. `learning_rates` are factors that every arm tries once, on a part held out of the
    training pictures, before its seeds are run: equal budgets; one factor means that nothing is tuned.
    """

    data: str
    recipe: str
    epochs: int
    batch_size: int
    image_size: int | None = None
    seeds: tuple[int, ...] = (0, 1, 2)
    changes: Mapping[str, Any] = field(default_factory=dict)
    options: Mapping[str, Mapping[str, Any]] = field(default_factory=dict)
    arm_options: Mapping[str, Mapping[str, Any]] = field(default_factory=dict)
    arm_changes: Mapping[str, Mapping[str, Any]] = field(default_factory=dict)
    image_sizes: Mapping[int, int] = field(default_factory=dict)
    learning_rates: tuple[float, ...] = (1.0,)
    pictures: tuple[int, int] | None = None
    """Of drawn data: how many to train on and to hold out."""
    crop_fraction: float = 1.0
    """Of drawn data: the side of the single crop that is measured, as a share of the picture's."""
    precision: Literal["fp32", "bf16"] = "fp32"
    device: str = "cpu"
    accelerate: bool = False
    """The kernels are chosen by timing, so fresh runs would differ in the last bits: off where tables must repeat."""

    def options_of(self, arm: Arm) -> dict[str, Any]:
        """What the arm's network is built with at this scale."""
        return {**arm.options, **self.options.get(arm.model, {}), **self.arm_options.get(arm.name, {})}

    def changes_of(self, arm: Arm) -> dict[str, Any]:
        """What becomes of the recipe's entries for the arm at this scale, by dotted name."""
        return {**self.changes, **arm.recipe, **self.arm_changes.get(arm.name, {})}

    def size_of(self, arm: Arm) -> int | None:
        """The side in pixels of the arm's pictures at this scale; None: the recipe's or the network's own."""
        if arm.image_size is None:
            return self.image_size
        return self.image_sizes.get(arm.image_size, self.image_size or arm.image_size)


@dataclass(frozen=True)
class Experiment:
    """A table or figure.

    `kind`: "train" rows are trained and measured; "count" rows are counted and timed alone; "curves" are trained, and
    shown by epoch. `measures` are the columns, the first one what claims are mostly about. `says` is what the paper
    concludes, in its sense; `reading` what had to be decided where the paper leaves something open. `costs` say, per
    scale, about how many minutes of how many processor cores.
    """

    name: str
    title: str
    source: str
    says: str
    arms: tuple[Arm, ...]
    measures: tuple[str, ...]
    setups: Mapping[Scale, Setup]
    claims: tuple[Claim, ...] = ()
    kind: Literal["train", "count", "curves"] = "train"
    task: Task = "classify"
    reading: str = ""
    costs: Mapping[Scale, str] = field(default_factory=dict)

    def arm(self, name: str) -> Arm:
        """The arm of that name, which a file of `papers` has got right, as a test shows."""
        return next(arm for arm in self.arms if arm.name == name)
