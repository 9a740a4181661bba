"""What is done to training pictures, as one frozen dataclass that recipes and `config.yaml` hold."""

from dataclasses import dataclass

from separable.errors import UsageError

__all__ = ["AugmentConfig"]


@dataclass(frozen=True)
class AugmentConfig:
    """What is done to a training picture. `AugmentConfig()` is the Inception crop and a flip; see `none()`."""

    random_resized_crop: tuple[float, float] | None = (0.08, 1.0)
    """Share of the picture's area that a crop covers (1409.4842, section 6); None: the evaluation's own resize."""
    crop_ratio: tuple[float, float] = (3 / 4, 4 / 3)
    """Width over height of the crop, drawn uniformly in its logarithm."""
    flip: bool = True
    """Mirror left to right, half of the time. Not for letters and digits."""
    shift: float = 0.0
    """Greatest translation, as a fraction of the side, in each direction."""
    rotate: float = 0.0
    """Greatest rotation in degrees, either way."""
    zoom: float = 0.0
    """Scale drawn from 1 - zoom to 1 + zoom."""
    colour: float = 0.0
    """Brightness, contrast and saturation factors are drawn from 1 - colour to 1 + colour."""
    rand_augment: tuple[int, float] | None = None
    """(number of operations, magnitude 0 to 10) of RandAugment (1909.13719)."""
    random_erasing: float = 0.0
    """Probability of random erasing with noise (1708.04896)."""
    mixup: float = 0.0
    """Alpha of mixup (1710.09412), 0 for none. Applied to batches, see `separable.data.mixing`."""
    cutmix: float = 0.0
    """Alpha of CutMix (1905.04899), 0 for none. With both, each batch draws one of the two."""

    def __post_init__(self) -> None:
        if self.random_resized_crop is not None:
            low, high = self.random_resized_crop
            _demand(0 < low <= high <= 1, "random_resized_crop", self.random_resized_crop, "0 < low <= high <= 1")
        _demand(0 < self.crop_ratio[0] <= self.crop_ratio[1], "crop_ratio", self.crop_ratio, "0 < low <= high")
        for name, most in (("shift", 1), ("rotate", 180), ("zoom", 0.9), ("colour", 1), ("random_erasing", 1)):
            value = getattr(self, name)
            _demand(0 <= value <= most, name, value, f"0 to {most}")
        for name in ("mixup", "cutmix"):
            _demand(0 <= getattr(self, name) <= 4, name, getattr(self, name), "0 to 4")
        if self.rand_augment is not None:
            count, magnitude = self.rand_augment
            _demand(0 <= count <= 14 and 0 <= magnitude <= 10, "rand_augment", self.rand_augment, "(0 to 14, 0 to 10)")

    @classmethod
    def none(cls) -> "AugmentConfig":
        """No augmentation: training pictures look exactly like evaluation's."""
        return cls(random_resized_crop=None, flip=False)


def _demand(right: bool, name: str, value: object, expected: str) -> None:
    if not right:
        raise UsageError(f"Augmentation setting {name} out of range", got=value, expected=expected)
