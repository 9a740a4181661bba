"""What `train`, `check` and `evaluate` do differently by what is learnt: one file for each kind."""

from abc import ABC, abstractmethod
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar

from separable.cli.settings import Wishes
from separable.errors import UsageError

if TYPE_CHECKING:
    from separable.cli.output import Output
    from separable.data.check_report import CheckReport
    from separable.training.config import TrainConfig
    from separable.training.task import AnyTask

__all__ = ["Job", "Progress", "job_for", "refuse_options_of_masks"]

Progress = Callable[[int, int], None]


class Job(ABC):
    """Stateless. `data` is always what `read` gave."""

    network: ClassVar[str]
    """Trained where nobody names one."""

    @abstractmethod
    def refuse(self, wishes: Wishes, budget_ms: float | None) -> None:
        """Say at once what has no meaning here.

        Raises:
            UsageError: it was asked for.
        """

    @abstractmethod
    def read(self, root: Path, wishes: Wishes) -> Any:
        """Both sets.

        Raises:
            DataFolderError: they cannot be had.
        """

    @abstractmethod
    def describe(self, data: Any) -> list[str]:
        """What the data is, a sentence or two a line."""

    @abstractmethod
    def check(self, data: Any, workers: int, progress: Progress) -> "CheckReport":
        """Look at every picture, and what belongs to it."""

    def within(self, budget_ms: float, wishes: Wishes, data: Any, out: "Output") -> Wishes:
        """The wishes with a network and size that answer within so many milliseconds: one of those that classify."""
        from separable.training.budget import choose_network

        choice = choose_network(budget_ms, len(data.class_names))
        out.say(choice.to_text())
        chosen = choice.chosen
        return replace(wishes, model=chosen.name, options=chosen.options, image_size=(chosen.size, chosen.size))

    @abstractmethod
    def task(self) -> "AnyTask":
        """What `training.loop.train` learns by."""

    @abstractmethod
    def achieved(self, metrics: dict[str, Any], data: Any) -> str:
        """What a training came to, as the end of a sentence."""


def job_for(what: "str | TrainConfig") -> Job:
    """Of a task by its name, or of a training."""
    task = what if isinstance(what, str) else what.task
    if task == "segment":
        from separable.cli.job_segment import SegmentJob

        return SegmentJob()
    if task == "tag":
        from separable.cli.job_tag import TagJob

        return TagJob()
    from separable.cli.job_classify import ClassifyJob

    return ClassifyJob()


def refuse_options_of_masks(wishes: Wishes, data: str) -> None:
    """For the jobs whose pictures have none; `data` says what they have instead.

    Raises:
        UsageError: --loss or --class-weights were given.
    """
    given = [name for name, value in (("--loss", wishes.loss), ("--class-weights", wishes.class_weights)) if value]
    if given:
        raise UsageError(
            f"{' and '.join(given)} {'is' if len(given) == 1 else 'are'} for pictures with masks",
            got=data,
            expected="images/ with masks/, or --task segment",
        )
