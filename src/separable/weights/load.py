"""Loading weights into a model: the format is told from the content, and all is checked before the first copy."""

from dataclasses import replace
from pathlib import Path
from typing import Literal

import torch

from separable.errors import UsageError
from separable.models.base import ImageModel
from separable.models.contract import InputContract
from separable.weights.compare import Content, LoadReport, compare
from separable.weights.content import match_source
from separable.weights.contracts import own_contract
from separable.weights.folder import weight_file
from separable.weights.recognise import naming_strangers
from separable.weights.source import open_source

__all__ = ["Numerics", "byte_limit", "fill", "load_weights", "own_numerics"]

Numerics = Literal["source", "keras"]


def load_weights(
    model: ImageModel,
    path: Path | str,
    *,
    classes: Literal["exact", "replace"] = "exact",
    numerics: Numerics = "source",
    release: str | None = None,
    trust_order: bool = False,
) -> LoadReport:
    """Load `path` into `model` and give the model the input contract that belongs to these weights.

    All of it is read, matched and checked before anything is copied: after an error the model is as it was.

    Args:
        path: a weight file of any known format, a folder that `save_model` wrote, or the folder of a run.
        classes: "exact" wants the file's classifier in this model. "replace" takes it only where it has as many
            classes, and otherwise leaves the model's own, for training on other classes.
        numerics: "source" runs the weights with the epsilon, borders and averages of the framework that they come from,
            so that its own logits are reproduced; "keras" with those that the network is built with.
        release: of another framework's weights whose names do not tell: the framework ("timm", "torchvision") or the
            published set (such as "inception_v3.tf_in1k"). None takes what the file's name says, and reports it.
        trust_order: for files whose hash says that they are the published ones; see `pair_layers`.

    Raises:
        UsageError: `model` is not one of the catalogue.
        WeightsFormatError: not a weight file, damaged, or one that would run code. RunFolderError: a run without model.
        WeightsMismatchError: the weights of another network, of other options or of other classes.
    """
    if classes not in ("exact", "replace"):
        raise UsageError("Unknown value for classes", got=classes, expected="exact or replace")
    if numerics not in ("source", "keras"):
        raise UsageError("Unknown value for numerics", got=numerics, expected="source or keras")
    if not isinstance(model, ImageModel):
        raise UsageError(
            "Weights are loaded into a network of the catalogue",
            got=type(model).__name__,
            expected="what create_model returns, without a wrapper around it",
        )
    path = weight_file(Path(path))
    new = classes == "replace"
    source = open_source(path, byte_limit(model))
    with naming_strangers(source, model.name):
        content = match_source(model, source, new, trust_order, release)
        return fill(model, path, content, new, numerics)


def fill(
    model: ImageModel, path: Path, content: Content, new_classifier: bool, numerics: Numerics = "source"
) -> LoadReport:
    """Copy `content` into `model`, all or nothing, and let `model` follow its contract."""
    report, tensors = compare(model, path, content, new_classifier=new_classifier)
    with torch.no_grad():
        state = model.state_dict()
        for name, value in tensors.items():
            state[name].copy_(value)
    if content.contract is not None:
        contract = content.contract if numerics == "source" else own_numerics(model, content.contract)
        names = contract.class_names
        model.adopt(
            replace(
                contract,
                min_size=model.input_contract.min_size,
                class_names=names if len(names) == model.num_classes else model.input_contract.class_names,
            )
        )
    return report


def own_numerics(model: ImageModel, contract: InputContract) -> InputContract:
    """`contract` with the numerics that the catalogue builds this network with."""
    own = own_contract(model)
    return replace(contract, padding=own.padding, batch_norm_eps=own.batch_norm_eps, counts_padding=own.counts_padding)


def byte_limit(model: ImageModel) -> int:
    """Bytes that a file for this model may unfold to: several times the model, for other classifiers and precisions."""
    own: int = sum(value.numel() * 4 for value in model.state_dict().values())
    return max(256 << 20, 8 * own)
