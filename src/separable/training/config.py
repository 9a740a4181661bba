"""What a training is, as frozen dataclasses that survive a round trip through `config.yaml`.

Everything but the section `machine` decides the result: two runs that differ in `machine` alone end with the same bits.
"""

import math
import re
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, Literal

import yaml

from separable.data.augment_config import AugmentConfig
from separable.errors import RunFolderError, UsageError
from separable.files import write_text_atomically
from separable.training.codec import differences, from_plain, to_plain

__all__ = [
    "DataConfig",
    "MachineConfig",
    "ModelConfig",
    "OptimiserConfig",
    "Recipe",
    "RegularisationConfig",
    "ScheduleConfig",
    "TrainConfig",
]


_Range = tuple[Callable[[Any], bool], str]
_POSITIVE: _Range = (lambda value: 0 < value < math.inf, "above 0")
_NOT_NEGATIVE: _Range = (lambda value: 0 <= value < math.inf, "0 or more")
_BELOW_ONE: _Range = (lambda value: 0 <= value < 1, "0 or more and below 1")
_SHARE: _Range = (lambda value: 0 <= value <= 1, "0 to 1")
_COUNT: _Range = (lambda value: value >= 1, "1 or more")
_SIDES: _Range = (lambda value: 1 <= value <= 8192, "1 to 8192 pixels a side")


def _demand(section: str, config: object, ranges: dict[str, _Range]) -> None:
    """Every number of `config` that is named in `ranges` lies in its range; None always does."""
    for name, (is_legal, expected) in ranges.items():
        value = getattr(config, name)
        numbers = value if isinstance(value, tuple) else () if value is None else (value,)
        if not all(is_legal(number) for number in numbers):
            raise UsageError(f"{section}{name} is out of range", got=value, expected=expected)


@dataclass(frozen=True)
class OptimiserConfig:
    """`learning_rate` belongs to the recipe's `global_batch`; `head_learning_rate` is the classifier's, None: the same.

    `decayed` lists what weight decay (L2 for sgd and rmsprop, decoupled for adamw) acts on: "convolution" kernels,
    "depthwise" filters, "dense" kernels. Batch norm and biases are never decayed.
    """

    name: Literal["sgd", "rmsprop", "adamw"] = "sgd"
    learning_rate: float = 0.045
    head_learning_rate: float | None = None
    momentum: float = 0.9
    nesterov: bool = False
    rho: float = 0.9
    epsilon: float = 1.0
    betas: tuple[float, float] = (0.9, 0.999)
    weight_decay: float = 0.0
    decayed: tuple[Literal["convolution", "depthwise", "dense"], ...] = ("convolution", "depthwise")

    def __post_init__(self) -> None:
        ranges = dict.fromkeys(("learning_rate", "head_learning_rate"), _POSITIVE)
        ranges |= dict.fromkeys(("momentum", "rho", "betas"), _BELOW_ONE)
        _demand("optimiser.", self, ranges | dict.fromkeys(("epsilon", "weight_decay"), _NOT_NEGATIVE))
        if self.nesterov and self.momentum == 0:
            raise UsageError("Nesterov's rule needs a momentum", got="optimiser.momentum=0", expected="above 0")


@dataclass(frozen=True)
class ScheduleConfig:
    """The factor on the learning rate at a step.

    `staircase` multiplies by `factor` every `every_epochs` epochs, or every `every_samples` pictures seen (one of the
    two); `cosine` falls to `final_fraction` of the peak at the last step. `warm_up_epochs` rises linearly before.
    """

    kind: Literal["constant", "staircase", "cosine"] = "cosine"
    factor: float = 0.94
    every_epochs: float | None = None
    every_samples: int | None = None
    warm_up_epochs: float = 0.0
    final_fraction: float = 0.0

    def __post_init__(self) -> None:
        if self.kind == "staircase" and (self.every_epochs is None) == (self.every_samples is None):
            raise UsageError(
                "A staircase schedule needs a stride",
                got=f"every_epochs={self.every_epochs}, every_samples={self.every_samples}",
                expected="exactly one of the two",
            )
        ranges = {"factor": _POSITIVE, "every_epochs": _POSITIVE, "every_samples": _COUNT}
        _demand("schedule.", self, ranges | {"warm_up_epochs": _NOT_NEGATIVE, "final_fraction": _SHARE})


@dataclass(frozen=True)
class RegularisationConfig:
    """`dropout` None: the network's own. `ema_decay` 0: no averaging. `batch_norm_momentum` (torch's sense) None: the
    network's own. `freeze_batch_norm` keeps the statistics of the starting weights; `unfold_batch_norm` measures
    statistics on the training pictures first where the starting weights came with batch norm folded into the kernels.
    """

    dropout: float | None = None
    label_smoothing: float = 0.0
    auxiliary_weight: float = 0.4
    clip_norm: float | None = None
    ema_decay: float = 0.0
    freeze_batch_norm: bool = False
    unfold_batch_norm: bool = True
    batch_norm_momentum: float | None = None

    def __post_init__(self) -> None:
        ranges = dict.fromkeys(("dropout", "label_smoothing", "ema_decay"), _BELOW_ONE)
        ranges |= {"auxiliary_weight": _NOT_NEGATIVE, "clip_norm": _POSITIVE, "batch_norm_momentum": _SHARE}
        _demand("regularisation.", self, ranges)


@dataclass(frozen=True)
class Recipe:
    """How to train, and the global batch its learning rates belong to.

    `scaling` is the rule for another batch, applied by `recipes.scaled_learning_rate` alone: "linear" multiplies the
    learning rates by batch / global_batch (1706.02677), "sqrt" by its root (for AdamW), "none" leaves them.
    `select` says whose weights are kept: the last epoch's, the best scored one's, or those of the lowest held-out loss.
    `loss` and `class_weights` are for segmentation: terms as `segmentation.losses.parse_loss` reads them, and
    "balanced" for the median frequency over each class's own.
    """

    name: str
    source: str
    global_batch: int
    epochs: int
    scaling: Literal["linear", "sqrt", "none"] = "linear"
    image_size: tuple[int, int] | None = None
    optimiser: OptimiserConfig = OptimiserConfig()
    schedule: ScheduleConfig = ScheduleConfig()
    regularisation: RegularisationConfig = RegularisationConfig()
    augment: AugmentConfig = field(default_factory=AugmentConfig)
    select: Literal["last", "best", "lowest_loss"] = "last"
    loss: str | None = None
    class_weights: Literal["none", "balanced"] = "none"

    def __post_init__(self) -> None:
        _demand("recipe.", self, {"global_batch": _COUNT, "image_size": _SIDES})


@dataclass(frozen=True)
class ModelConfig:
    """`weights`: None (from scratch), "keras" (the published ones) or a path; `encoder_weights`: likewise, those of a
    classifier for the encoder of a network that segments. `image_size` None: the recipe's, else the network's own;
    `resize` and `crop_fraction` None: the network's own (see `InputContract`). `options` go to the network's builder.
    """

    name: str = "xception"
    options: dict[str, Any] = field(default_factory=dict)
    weights: str | None = None
    image_size: tuple[int, int] | None = None
    resize: Literal["shorter", "squash"] | None = None
    crop_fraction: float | None = None
    encoder_weights: str | None = None

    def __post_init__(self) -> None:
        crop: _Range = (lambda value: 0 < value <= 1, "above 0, at most 1")
        _demand("model.", self, {"image_size": _SIDES, "crop_fraction": crop})


@dataclass(frozen=True)
class DataConfig:
    """`root` is what the user named; `train_root` and `val_root` are what picture paths are relative to."""

    root: str = ""
    train_root: str = ""
    val_root: str = ""
    val_fraction: float = 0.2
    split_seed: int = 0
    labels_csv: str | None = None
    decoder: Literal["auto", "pillow", "turbo"] = "auto"
    max_bad: float = 0.05

    def __post_init__(self) -> None:
        _demand("data.", self, {"val_fraction": _SHARE, "max_bad": _SHARE})


@dataclass(frozen=True)
class MachineConfig:
    """What never changes the result. `workers` decode pictures. A checkpoint is written every `checkpoint_seconds`, or
    every `checkpoint_steps` when given; the last `keep_checkpoints` stay. `label_check` lists suspicious labels at the
    end.
    """

    workers: int = 1
    checkpoint_seconds: float = 60.0
    checkpoint_steps: int | None = None
    keep_checkpoints: int = 2
    label_check: bool = True

    def __post_init__(self) -> None:
        never_too: _Range = (lambda value: value >= 0, "0 or more")  # infinitely many seconds: at the end alone
        ranges = {"workers": _NOT_NEGATIVE, "checkpoint_seconds": never_too}
        _demand("machine.", self, ranges | dict.fromkeys(("checkpoint_steps", "keep_checkpoints"), _COUNT))


@dataclass(frozen=True)
class TrainConfig:
    """One training: of one class a picture, with `task` "tag" of any number of them, with "segment" of one a pixel.
    `batch_size` pictures make one optimiser step, run in `accumulate` equal parts.

    `threads` None: torch's own choice at the first step. `deterministic` matters on a GPU alone, where it costs time; a
    CPU always gives the same bits. `accelerate`: let the CPU kernels serve the modules for which they are faster; what
    was chosen at the first step is what a resume does.
    """

    run: str
    recipe: Recipe
    data: DataConfig = field(default_factory=DataConfig)
    model: ModelConfig = field(default_factory=ModelConfig)
    machine: MachineConfig = field(default_factory=MachineConfig)
    epochs: int | None = None
    batch_size: int = 32
    accumulate: int = 1
    seed: int = 0
    device: str = "cpu"
    precision: Literal["fp32", "bf16"] = "fp32"
    channels_last: bool = True
    threads: int | None = None
    gradient_checkpointing: bool = False
    deterministic: bool = False
    accelerate: bool = True
    task: Literal["classify", "tag", "segment"] = "classify"

    def __post_init__(self) -> None:
        if self.batch_size < 1 or self.accumulate < 1 or self.batch_size % self.accumulate:
            raise UsageError(
                "The batch must split into equal parts",
                got=f"batch_size={self.batch_size}, accumulate={self.accumulate}",
                expected="a batch_size that accumulate divides",
            )
        _demand("", self, {"threads": (lambda value: 1 <= value <= 1024, "1 to 1024")})
        if not 0 <= self.seed < 2**63:
            raise UsageError("The seed is out of range", got=self.seed, expected="0 to 2**63 - 1")
        if self.total_epochs < 1:
            raise UsageError("A training needs an epoch", got=f"epochs={self.total_epochs}", expected="1 or more")

    @property
    def total_epochs(self) -> int:
        """`epochs` where given, else the recipe's."""
        return self.recipe.epochs if self.epochs is None else self.epochs

    def to_yaml(self, path: Path) -> None:
        """Write every value, defaults included, so that a later change of a default does not change an old run."""
        text = yaml.dump(to_plain(self), Dumper=_Dumper, sort_keys=False, allow_unicode=True)
        write_text_atomically(path, text)

    @classmethod
    def from_yaml(cls, path: Path) -> "TrainConfig":
        """Read what `to_yaml` wrote, or a person did.

        Raises:
            RunFolderError: no such file, or it is not YAML.
            UsageError: an unknown key or an illegal value, named.
        """
        try:
            plain = yaml.safe_load(path.read_text(encoding="utf-8"))
        except FileNotFoundError as error:
            raise RunFolderError(f"{path} does not exist", expected="a run folder with its config.yaml") from error
        except (OSError, UnicodeDecodeError, yaml.YAMLError) as error:
            raise RunFolderError(f"{path} cannot be read as YAML", got=str(error)) from error
        return from_plain(cls, plain)

    def differences(self, other: "TrainConfig") -> list[str]:
        """What makes `other` another training: `key: mine, not theirs`. `run` and `machine` never do."""
        neutral = {"run": "", "machine": MachineConfig()}
        return differences(to_plain(replace(self, **neutral)), to_plain(replace(other, **neutral)))  # type: ignore[arg-type]


class _Dumper(yaml.SafeDumper):
    """Quotes texts with line breaks: PyYAML would write U+0085 in a path as it is, and read it as a line feed."""


def _represent(dumper: yaml.SafeDumper, text: str) -> yaml.Node:
    style = '"' if re.search("[\n\x85\u2028\u2029]", text) else None
    return dumper.represent_scalar("tag:yaml.org,2002:str", text, style=style)


_Dumper.add_representer(str, _represent)
