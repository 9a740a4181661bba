"""What a training has to know of what is learnt, as one object: everything else in this package is the same for all.

A task is stateless. What is settled on the data where a run begins (`settle`) goes into checkpoint 0 and comes back
from there, so that a resume learns by the same numbers.
"""

from abc import ABC, abstractmethod
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, ClassVar, Generic, Literal, Protocol, TypeVar

import torch

from separable.data.augment_config import AugmentConfig
from separable.data.loader import Batch, LoaderConfig
from separable.data.quarantine import BadPicture
from separable.models.base import ImageModel
from separable.models.contract import InputContract
from separable.models.spec import ModelSpec
from separable.training.config import TrainConfig
from separable.training.display import Display
from separable.training.held_out import HeldOut

__all__ = ["Answer", "AnyTask", "Objective", "Samples", "Task", "TaskData", "Wording"]


class Samples(Protocol):
    """A set to train on or to measure on, such as `PictureSet`; `paths` are relative to `root`."""

    @property
    def root(self) -> Path: ...

    @property
    def paths(self) -> tuple[str, ...]: ...

    @property
    def class_names(self) -> tuple[str, ...]: ...

    def __len__(self) -> int: ...

    def fingerprint(self) -> str | dict[str, Any]: ...


class TaskData(Protocol):
    """Both sets of a training, such as `FolderData`."""

    @property
    def train(self) -> Samples: ...

    @property
    def val(self) -> Samples: ...

    @property
    def class_names(self) -> tuple[str, ...]: ...


class Answer(Protocol):
    """What came out of measuring a model on a set: the mean loss, and what could not be read."""

    @property
    def loss(self) -> float: ...

    @property
    def bad(self) -> tuple[BadPicture, ...]: ...


class Objective(ABC):
    """What a step minimises: the mean over the pictures that count. Parts of a batch give sums over pictures, which
    are divided by the count of the whole batch, so that a batch cut into parts has the same gradient."""

    @abstractmethod
    def targets(self, batch: Batch, images: torch.Tensor, step: int) -> tuple[torch.Tensor, torch.Tensor]:
        """Normalised pictures (N, 3, height, width) as they are learnt from, and the targets: the first axis is N."""

    def answer(self, model: ImageModel, images: torch.Tensor) -> Any:
        """The model's output, computed in the training's precision."""
        return model(images)

    @abstractmethod
    def judge(self, output: Any, targets: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor | int]:
        """The loss summed over pictures; how many answers were right; how many there were."""

    def counting(self, targets: torch.Tensor) -> torch.Tensor | int:
        """How many of a batch's pictures count: all of them, unless some have nothing to learn from."""
        return len(targets)

    @abstractmethod
    def blank(self, count: int, size: tuple[int, int]) -> torch.Tensor:
        """Labels of `count` pictures of (height, width) to time a step with."""


@dataclass(frozen=True)
class Wording:
    """What the share of right answers is called."""

    key: str
    """In `metrics.jsonl`: "top1"; "train_top1" over an epoch."""
    text: str
    """For a person: "top-1"."""


Data = TypeVar("Data", bound=TaskData)
Held = TypeVar("Held", bound=HeldOut)
Measured = TypeVar("Measured", bound=Answer)


class Task(ABC, Generic[Data, Held, Measured]):
    """One kind of training; `Data` is what it trains on, `Held` its held-out set, `Measured` what a model scores there.

    Numbers that go to `metrics.jsonl` are None where they are not defined.
    """

    name: ClassVar[Literal["classify", "tag", "segment"]]
    right: ClassVar[Wording]

    @abstractmethod
    def demand(self, config: TrainConfig, network: ModelSpec) -> None:
        """Refuse a network of another task, and settings without a meaning here.

        Raises:
            UsageError: one of them, named.
        """

    @abstractmethod
    def settle(
        self, config: TrainConfig, data: Data, display: Display, should_stop: Callable[[], bool]
    ) -> dict[str, Any]:
        """What is measured on the data once, where the run begins: plain values for the checkpoint.

        Raises:
            EvaluationStopped: `should_stop` said yes.
        """

    def remember(self, config: TrainConfig, data: Data) -> None:
        """Keep in the run what its resume has to find again beside the data's fingerprints."""

    def recognise(self, config: TrainConfig, data: Data) -> None:
        """Find what `remember` kept.

        Raises:
            CheckpointError: the data holds something else, which is named.
        """

    @abstractmethod
    def objective(self, config: TrainConfig, num_classes: int, settled: Mapping[str, Any]) -> Objective:
        """What a step minimises. Without what `settle` gave, one that costs as much."""

    @abstractmethod
    def training_batches(
        self, data: Data, contract: InputContract, augment: AugmentConfig, loader: LoaderConfig, start_position: int
    ) -> Iterator[Batch]:
        """As `data.loader.train_batches`."""

    @abstractmethod
    def held_out(self, data: Data, contract: InputContract, loader: LoaderConfig) -> Held:
        """The pictures to measure on at every epoch's end."""

    @abstractmethod
    def mended(self, root: Path, data: Data, decoder: str) -> Callable[[str], bool]:
        """Tells of a path in the quarantine, which is from the data folder `root` on, whether it can be read by now."""

    @abstractmethod
    def measure(
        self,
        model: ImageModel,
        held_out: Held,
        objective: Objective,
        precision: str,
        should_stop: Callable[[], bool],
    ) -> Measured:
        """Score `model`, which holds the weights that count.

        Raises:
            EvaluationStopped: `should_stop` said yes.
        """

    @abstractmethod
    def scores(self, answer: Measured) -> dict[str, Any]:
        """The `val_` entries of an epoch's line."""

    @abstractmethod
    def best(self, answer: Measured) -> dict[str, Any]:
        """The scores by which epochs are compared, `val_loss` among them, under the names of `scores`."""

    @abstractmethod
    def rank(self, best: Mapping[str, Any]) -> tuple[float, ...]:
        """Of what `best` gave: the higher the better."""

    @abstractmethod
    def epoch_text(self, row: Mapping[str, Any]) -> str:
        """An epoch's line of `metrics.jsonl` as a sentence."""

    @abstractmethod
    def write_results(
        self,
        config: TrainConfig,
        model: ImageModel,
        data: Data,
        held_out: Held,
        objective: Objective,
        loader: LoaderConfig,
    ) -> Measured:
        """Measure `model`, which holds the weights to keep, and write what came out to the run; safe to repeat."""

    @abstractmethod
    def metrics(self, answer: Measured) -> dict[str, Any]:
        """What `train` returns of the last measurement."""


AnyTask = Task[Any, Any, Any]
