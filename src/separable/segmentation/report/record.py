"""What a segmentation's run folder says about its evaluation, as typed records."""

from collections.abc import Sequence
from dataclasses import dataclass

from separable.models.contract import InputContract

__all__ = ["MaskScores", "Measured", "Overlap", "PictureRow"]


@dataclass(frozen=True)
class Overlap:
    """The scores of a class over all pixels of the set, NaN where undefined; `pixels` are the labelled ones of it."""

    name: str
    iou: float
    dice: float
    precision: float
    recall: float
    boundary_f1: float
    pixels: int


@dataclass(frozen=True)
class MaskScores:
    """evaluation.json: the measurement on held-out pictures. Rows of `confusion` are the truth."""

    set_name: str
    n: int
    loss: float
    miou: float
    mean_dice: float
    pixel_accuracy: float
    boundary_f1: float
    boundary_tolerance: float
    class_names: Sequence[str]
    colours: Sequence[tuple[int, int, int]]
    """For eyes, as `palette.distinct_colours` gives them."""
    per_class: Sequence[Overlap]
    confusion: Sequence[Sequence[int]]
    bad: Sequence[tuple[str, str]]
    size: tuple[int, int] | None = None
    """Height and width of the network's input, at which everything was measured; None where the file does not say."""
    recoloured: bool = False
    """Whether `colours` are others than those of the masks' files."""


@dataclass(frozen=True)
class PictureRow:
    """One row of pictures.csv: scores of a picture by itself, NaN where no pixel of it is labelled.

    `predicted` and `truth` are files of masks below the run folder, empty where none was kept.
    """

    path: str
    pixel_accuracy: float
    miou: float
    predicted: str
    truth: str


@dataclass(frozen=True)
class Measured:
    """The evaluation of a segmentation, picture by picture, and how pictures were brought to the network's input."""

    evaluation: MaskScores | None
    pictures: Sequence[PictureRow]
    contract: InputContract | None

    @property
    def scores(self) -> MaskScores | None:
        """The evaluation, if there was a picture to evaluate on."""
        return self.evaluation if self.evaluation is not None and self.evaluation.n > 0 else None
