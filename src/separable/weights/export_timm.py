"""A network as timm and the Hugging Face hub keep theirs: `model.safetensors` in timm's names, and `config.json`."""

from pathlib import Path

from separable.errors import WeightsMismatchError
from separable.models.base import ImageModel

__all__ = ["save_timm"]


def save_timm(model: ImageModel, folder: Path | str, *, allow_difference: bool = False) -> dict[str, object]:
    """Write `model` for timm.

    Raises:
        WeightsMismatchError: timm has no such network.
    """
    raise WeightsMismatchError(f"{model.name} cannot be written for timm yet")
