"""Building a network by its name."""

import difflib
from typing import Any

from separable.errors import ModelOptionError, UnknownModelError
from separable.models.base import ImageModel
from separable.models.catalog import CATALOG
from separable.models.spec import ModelSpec

__all__ = ["build_model", "list_models", "model_spec"]


def build_model(name: str, num_classes: int = 1000, **options: Any) -> ImageModel:
    """A freshly initialised network.

    Args:
        name: one of `list_models()`.
        num_classes: 0 leaves out the classifier.
        options: those of the class, listed in `model_spec(name).options`.

    Raises:
        UnknownModelError: no such model; close names are suggested.
        ModelOptionError: an option that this model lacks, or a value it cannot have.
    """
    spec = model_spec(name)
    unknown = sorted(set(options) - set(spec.options))
    if unknown:
        raise ModelOptionError(
            f"{name} has no option {', '.join(unknown)}", expected=f"one of {', '.join(spec.options)}"
        )
    return spec.network(num_classes, **spec.preset, **options)


def list_models() -> list[str]:
    """The names that `build_model` knows, sorted."""
    return sorted(CATALOG)


def model_spec(name: str) -> ModelSpec:
    """What is known about a model: input contract, paper, parameters, MACs, smallest side, published weights.

    Raises:
        UnknownModelError: no such model; close names are suggested.
    """
    if not isinstance(name, str):
        raise UnknownModelError(
            "A model's name is a text", got=repr(name)[:100], expected=f"one of {', '.join(list_models())}"
        )
    if name not in CATALOG:
        close = difflib.get_close_matches(name.lower(), CATALOG, n=1, cutoff=0.5)
        raise UnknownModelError(
            f"There is no model {name!r}",
            expected=f"one of {', '.join(list_models())}",
            fix=f"Perhaps you meant {close[0]}" if close else None,
        )
    return CATALOG[name]
