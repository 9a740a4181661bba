"""What is known about a published network: paper, input, size, and where its weights are."""

from collections.abc import Mapping
from dataclasses import dataclass, field

from separable.models.contract import InputContract

__all__ = ["ModelSpec", "PublishedWeights"]


@dataclass(frozen=True)
class PublishedWeights:
    """One weight file that somebody else published, and the network it belongs to."""

    url: str
    sha256: str | None
    """None where the publisher gives none and we have not seen the file."""
    md5: str | None = None
    size: tuple[int, int] = (0, 0)
    """Height and width it was trained at."""
    options: Mapping[str, object] = field(default_factory=dict)
    """Options of `build_model` that differ from the defaults."""
    has_classifier: bool = True


@dataclass(frozen=True)
class ModelSpec:
    """One line of the catalogue, for the default options and 1000 classes."""

    name: str
    paper: str
    input: InputContract
    parameters: int
    """Trainable ones."""
    macs: int
    """Multiply-adds of one picture of `input.size`."""
    min_size: int
    options: tuple[str, ...]
    num_classes: int = 1000
    keras_weights: tuple[PublishedWeights, ...] = ()
