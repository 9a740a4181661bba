"""What is known about a published network: class, paper, input, size, and where its weights are."""

import inspect
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from separable.errors import ModelOptionError
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
    """One line of the catalogue, for the default options and `num_classes`."""

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
    def task(self) -> str:
        """ "classify", one answer per picture, or "segment", one per pixel."""
        return self.network.task

    @property
    def options(self) -> tuple[str, ...]:
        """What `build_model` takes besides the number of classes, sorted."""
        names = set(inspect.signature(self.network).parameters) - {"num_classes", *self.preset}
        return tuple(sorted(names))

    def build(self, num_classes: int | None = None, **options: Any) -> ImageModel:
        """The network, freshly initialised.

        Raises:
            ModelOptionError: an option that this model lacks, or a value it cannot have.
        """
        unknown = sorted(set(options) - set(self.options))
        if unknown:
            raise ModelOptionError(
                f"{self.name} has no option {', '.join(unknown)}", expected=f"one of {', '.join(self.options)}"
            )
        return self.network(self.num_classes if num_classes is None else num_classes, **self.preset, **options)
