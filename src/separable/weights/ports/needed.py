"""Options that a file's names and shapes do not show, and without which the same weights are another function."""

from typing import Any

from separable.errors import WeightsMismatchError
from separable.models.base import ImageModel

__all__ = ["check_needed"]


def check_needed(model: ImageModel, source: str, **options: Any) -> None:
    """See to it that `model` was built with these options.

    Raises:
        WeightsMismatchError: it was not, and would run the weights without a complaint, and wrongly.
    """
    wrong = {name: value for name, value in options.items() if model.options[name] != value}
    if wrong:
        raise WeightsMismatchError(
            f"The weights are {source}'s, whose {model.name} is built otherwise, and nothing was loaded",
            got=", ".join(f"{name}={model.options[name]!r}" for name in wrong),
            expected=", ".join(f"{name}={value!r}" for name, value in wrong.items()),
            fix="Build the model with that",
        )
