"""A network from what `locate` found."""

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

from torch import nn

from separable.errors import UnpublishedWeightsError, UsageError
from separable.runtime.imagenet import imagenet_names
from separable.runtime.locate import Located

__all__ = ["load_located"]


def load_located(located: Located, options: Mapping[str, Any] | None = None, *, published: bool = True) -> nn.Module:
    """Build the network and fill it with the weights that are there.

    Args:
        options: of the network; for a catalogue name alone, everything else brings its own.
        published: a catalogue name gets its published weights, and fresh ones otherwise.

    Raises:
        UsageError: options for something that has its own. DownloadError, WeightsFormatError: no such weights.
        UnpublishedWeightsError: there are none, with the names that have some.
    """
    from separable.models import build_model
    from separable.weights import create_model, load_model
    from separable.weights.folder import model_folder

    if located.kind == "catalogue":
        if not published:
            return build_model(located.name, **(options or {}))
        try:
            model = create_model(located.name, weights="keras", **(options or {}))
        except UnpublishedWeightsError as error:
            raise UnpublishedWeightsError(
                f"A catalogue name stands for its published weights. {error.what}",
                got=error.got,
                expected=error.expected,
                fix="Give a run or a model folder instead; `separable convert FILE FOLDER` makes one of a weight file",
            ) from error
        contract = model.input_contract
        model.input_contract = replace(contract, class_names=contract.class_names or imagenet_names())
        return model
    if options:
        raise UsageError(
            "Options are for catalogue names; a run, a model folder or a factory has its own",
            got=", ".join(f"{name}={value}" for name, value in options.items()),
        )
    assert located.path is not None
    if located.kind == "factory":
        from separable.models.factory import load_factory

        return load_factory(located.path, located.name)
    return load_model(model_folder(located.path) if located.kind == "run" else located.path)
