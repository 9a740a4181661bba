"""What learning about whole pictures has in common, be it one class of each or any number of labels."""

from collections.abc import Callable, Iterable
from contextlib import suppress
from pathlib import Path

from separable.data.decode import decode_picture
from separable.errors import BadPictureError, UsageError
from separable.models.segmentation import demand_classifier
from separable.models.spec import ModelSpec
from separable.training.config import TrainConfig

__all__ = ["demand_whole_pictures", "readable_below"]


def demand_whole_pictures(config: TrainConfig, network: ModelSpec, does: str, recipes: str) -> None:
    """Refuse networks that segment, and settings that only those have.

    Args:
        config: of the training.
        network: its own.
        does: what the training does, for an error: "classifies".
        recipes: that fit.

    Raises:
        UsageError: one of them, named.
    """
    demand_classifier(network, "Training")
    recipe = config.recipe
    given = {"loss": recipe.loss, "class_weights": recipe.class_weights != "none"}
    given["encoder_weights"] = config.model.encoder_weights
    if any(given.values()):
        raise UsageError(
            f"A training that {does} has no " + " and no ".join(name for name, value in given.items() if value),
            got=f"recipe {recipe.name}, network {config.model.name}",
            fix=f"Choose a recipe such as {recipes}, or --task segment for pictures with masks",
        )


def readable_below(folders: Iterable[Path], decoder: str) -> Callable[[str], bool]:
    """Tells of a path whether there is a picture at it, from one of the folders on, that can be decoded."""
    places = tuple(folders)

    def is_readable(path: str) -> bool:
        for folder in places:
            with suppress(BadPictureError, OSError):
                decode_picture(folder / path, decoder=decoder)
                return True
        return False

    return is_readable
