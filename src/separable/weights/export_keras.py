"""A network as a `.weights.h5` that the network of that name in keras.applications loads."""

from pathlib import Path

from separable.errors import WeightsMismatchError
from separable.models.base import ImageModel

__all__ = ["save_keras"]


def save_keras(model: ImageModel, path: Path | str) -> dict[str, object]:
    """Write `model` for Keras.

    Raises:
        WeightsMismatchError: Keras has no such network.
    """
    raise WeightsMismatchError(f"{model.name} cannot be written for Keras yet")
