"""Training on pictures with masks."""

from pathlib import Path
from typing import TYPE_CHECKING, Any, final

from separable.cli.job import Job, Progress
from separable.cli.settings import Wishes
from separable.errors import UsageError

if TYPE_CHECKING:
    from separable.cli.output import Output
    from separable.data.check_report import CheckReport
    from separable.training.task import AnyTask

__all__ = ["SegmentJob"]


@final
class SegmentJob(Job):
    """One class a pixel."""

    network = "unet_xception"

    def refuse(self, wishes: Wishes, budget_ms: float | None) -> None:
        """See `Job`."""
        if wishes.labels is not None:
            raise UsageError(
                "--labels corrects the class of a picture, and pictures with masks have none",
                got=str(wishes.labels),
                fix="Correct the masks themselves, and train again",
            )
        if budget_ms is not None:
            raise UsageError(
                "--budget-ms chooses among networks that classify, by their published accuracy",
                got="pictures with masks",
                fix="Name a narrower network or a smaller size, such as --width 0.5 --image-size 128; "
                "`separable profile unet_xception --option width=0.5 --size 128 --measure` times it",
            )
        if wishes.loss is not None:
            from separable.segmentation.losses import parse_loss

            parse_loss(wishes.loss)
        if wishes.class_weights not in (None, "none", "balanced"):
            raise UsageError(
                f"Unknown class weights {wishes.class_weights!r}",
                expected="balanced, by which rare classes count as much as frequent ones, or none",
            )

    def read(self, root: Path, wishes: Wishes) -> Any:
        """See `Job`."""
        from separable.segmentation.pairs import read_pairs

        return read_pairs(root, val_fraction=wishes.val_fraction)

    def describe(self, data: Any) -> list[str]:
        """See `Job`."""
        from separable.data.check_problems import counted

        total, names = len(data.train) + len(data.val), data.class_names
        listed = ", ".join(names[:8]) + (f" and {len(names) - 8} more" if len(names) > 8 else "")
        split = f"{len(data.train):,} to train on, {len(data.val):,} held out."
        classes = counted(len(names), "class", "classes")
        return [f"{counted(total, 'picture')} with masks of {classes} ({listed}): {split}", *data.notes]

    def check(self, data: Any, workers: int, progress: Progress) -> "CheckReport":
        """See `Job`."""
        from separable.segmentation.check import check_pairs

        return check_pairs(data, workers, progress)

    def within(self, budget_ms: float, wishes: Wishes, data: Any, out: "Output") -> Wishes:
        """Refused before."""
        raise AssertionError("--budget-ms is refused for masks")

    def task(self) -> "AnyTask":
        """See `Job`."""
        from separable.segmentation.task import SegmentTask

        return SegmentTask()

    def achieved(self, metrics: dict[str, Any], data: Any) -> str:
        """See `Job`."""
        miou, accuracy = (metrics[name] for name in ("val_miou", "val_pixel_accuracy"))
        if miou is None:
            return f"the {len(data.val):,} held-out masks have no labelled pixel to measure on"
        right = f"{100 * accuracy:.1f} % of their pixels right"
        return f"mean IoU {100 * miou:.1f} % on the {len(data.val):,} held-out pictures, {right}"
