"""Training on folders of classes."""

from pathlib import Path
from typing import TYPE_CHECKING, Any, final

from separable.cli.job import Job, Progress, refuse_options_of_masks
from separable.cli.settings import Wishes

if TYPE_CHECKING:
    from separable.data.check_report import CheckReport
    from separable.training.task import AnyTask

__all__ = ["ClassifyJob"]


@final
class ClassifyJob(Job):
    """One class a picture."""

    network = "xception"

    def refuse(self, wishes: Wishes, budget_ms: float | None) -> None:
        """See `Job`."""
        refuse_options_of_masks(wishes, "folders of classes")

    def read(self, root: Path, wishes: Wishes) -> Any:
        """See `Job`."""
        from separable.data.folder import read_folder

        return read_folder(root, val_fraction=wishes.val_fraction, labels_csv=wishes.labels)

    def describe(self, data: Any) -> list[str]:
        """See `Job`."""
        from separable.data.check_problems import counted

        total, classes = len(data.train) + len(data.val), counted(len(data.class_names), "class", "classes")
        split = f"{len(data.train):,} to train on, {len(data.val):,} held out."
        return [f"{counted(total, 'picture')} in {classes}: {split}", *data.notes]

    def check(self, data: Any, workers: int, progress: Progress) -> "CheckReport":
        """See `Job`."""
        from separable.data.check import check_folder

        return check_folder(data, workers, progress)

    def task(self) -> "AnyTask":
        """See `Job`."""
        from separable.training.classification import Classification

        return Classification()

    def achieved(self, metrics: dict[str, Any], data: Any) -> str:
        """See `Job`."""
        return f"{100 * metrics['val_top1']:.1f} % of the {len(data.val):,} held-out pictures named right"
