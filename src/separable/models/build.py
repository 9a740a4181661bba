"""Building a network by its name."""

import difflib
from typing import Any

from separable.errors import UnknownModelError, UsageError
from separable.models.base import ImageModel
from separable.models.catalog import CATALOG
from separable.models.spec import ModelSpec

__all__ = ["TASKS", "build_model", "list_models", "model_spec"]

TASKS = ("classify", "segment")


def build_model(name: str, num_classes: int | None = None, **options: Any) -> ImageModel:
    """A freshly initialised network.

    Args:
        name: one of `list_models()`.
        num_classes: 0 leaves out the classifier; None is 1000, or as many as the paper's own data had for networks that
            segment.
        options: those of the class, listed in `model_spec(name).options`.

    Raises:
        UnknownModelError: no such model; close names are suggested.
        ModelOptionError: an option that this model lacks, or a value it cannot have.
    """
    return model_spec(name).build(num_classes, **options)


def list_models(task: str | None = None) -> list[str]:
    """The names that `build_model` knows, sorted.

    Args:
        task: "classify" or "segment" for the networks that do that alone; None for all.

    Raises:
        UsageError: another task.
    """
    if task not in (None, *TASKS):
        raise UsageError("There is no such task", got=repr(task)[:100], expected=f"{' or '.join(TASKS)}, or None")
    return sorted(name for name, spec in CATALOG.items() if task in (None, spec.task))


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
