"""What is known about a published network: class, paper, input, size, and where its weights are."""

import inspect
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from separable.models.base import ImageModel
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
    network: type[ImageModel]
    input: InputContract
    parameters: int
    """Trainable ones."""
    macs: int
    """Multiply-adds of one picture of `input.size`."""
    min_size: int
    preset: Mapping[str, Any] = field(default_factory=dict)
    """Arguments of `network` that the name stands for."""
    num_classes: int = 1000
    keras_weights: tuple[PublishedWeights, ...] = ()

    @property
    def options(self) -> tuple[str, ...]:
        """What `build_model` takes besides the number of classes, sorted."""
        names = set(inspect.signature(self.network).parameters) - {"num_classes", *self.preset}
        return tuple(sorted(names))
