"""Training on a list of pictures with several labels each."""

from pathlib import Path
from typing import TYPE_CHECKING, Any, final

from separable.cli.job import Job, Progress, refuse_options_of_masks
from separable.cli.settings import Wishes
from separable.errors import UsageError

if TYPE_CHECKING:
    from separable.data.check_report import CheckReport
    from separable.training.task import AnyTask

__all__ = ["TagJob"]

_NAMED = 8


@final
class TagJob(Job):
    """Any number of classes a picture: its tags."""

    network = "xception"

    def refuse(self, wishes: Wishes, budget_ms: float | None) -> None:
        """See `Job`."""
        refuse_options_of_masks(wishes, "a list of pictures with their tags")
        if wishes.labels is not None:
            raise UsageError(
                "--labels corrects the one class of a picture, and pictures with tags have several",
                got=str(wishes.labels),
                fix="Correct the tags in the list itself, and train again",
            )

    def read(self, root: Path, wishes: Wishes) -> Any:
        """See `Job`."""
        from separable.data.manifest import read_manifest

        return read_manifest(root, val_fraction=wishes.val_fraction)

    def describe(self, data: Any) -> list[str]:
        """See `Job`."""
        from separable.data.check_problems import counted

        total, names = len(data.train) + len(data.val), data.class_names
        listed = ", ".join(names[:_NAMED]) + (f" and {len(names) - _NAMED:,} more" if len(names) > _NAMED else "")
        split = f"{len(data.train):,} to train on, {len(data.val):,} held out."
        classes = counted(len(names), "class", "classes")
        return [f"{counted(total, 'picture')} with tags of {classes} ({listed}): {split}", *data.notes]

    def check(self, data: Any, workers: int, progress: Progress) -> "CheckReport":
        """See `Job`."""
        from separable.data.check_tags import check_tags

        return check_tags(data, workers, progress)

    def task(self) -> "AnyTask":
        """See `Job`."""
        from separable.training.tagging import Tagging

        return Tagging()

    def achieved(self, metrics: dict[str, Any], data: Any) -> str:
        """See `Job`."""
        plain, weighted = (metrics[name] for name in ("val_map100", "val_weighted_map100"))
        if plain is None:
            return f"the {len(data.val):,} held-out pictures have no tag to measure on"
        more = "" if weighted is None else f", {100 * weighted:.1f} % with frequent classes counting more"
        return f"MAP@100 {100 * plain:.1f} % on the {len(data.val):,} held-out pictures{more}"
