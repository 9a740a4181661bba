"""Loading weights into a model: the format is told from the content, and all is checked before the first copy."""

from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Literal

import torch
from torch import Tensor

from separable.errors import UsageError, WeightsMismatchError
from separable.models.base import ImageModel
from separable.models.contract import InputContract
from separable.weights.compare import Content, LoadReport, compare
from separable.weights.contracts import contract_for, own_contract, stored_contract
from separable.weights.convert import convert_layers
from separable.weights.folder import weight_file
from separable.weights.keras_names import plan_for
from separable.weights.match import pair_layers
from separable.weights.ports.find import find_ports, identify
from separable.weights.ports.read import read_port
from separable.weights.ports.release import choose_port
from separable.weights.source import Source, open_source
from separable.weights.stored import StoredLayers

__all__ = ["Numerics", "fill", "load_weights", "match_source", "own_numerics", "read_content"]

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
    content = read_content(model, path, new, trust_order=trust_order, release=release)
    return fill(model, path, content, new, numerics)


def read_content(
    model: ImageModel, path: Path, new_classifier: bool, *, trust_order: bool = False, release: str | None = None
) -> Content:
    """The tensors in the file `path` under the names of `model`, whose numbers and number of classes do not matter."""
    return match_source(model, open_source(path, _limit(model)), new_classifier, trust_order, release)


def match_source(
    model: ImageModel, source: Source, new_classifier: bool, trust_order: bool = False, release: str | None = None
) -> Content:
    """`read_content` for a file that is open already."""
    if source.tensors is not None:
        return _port_names(model, source, source.tensors, release)
    if release is not None:
        _no_release(source.path, release)
    assert source.layers is not None
    return _keras_names(model, source.layers, new_classifier, trust_order)


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


def _limit(model: ImageModel) -> int:
    """Bytes that a file for this model may unfold to: several times the model, for other classifiers and precisions."""
    own: int = sum(value.numel() * 4 for value in model.state_dict().values())
    return max(256 << 20, 8 * own)


def _port_names(model: ImageModel, source: Source, tensors: Mapping[str, Tensor], release: str | None) -> Content:
    """A file of named tensors: ours, or another framework's."""
    if source.own is not None:
        return Content(source.kind, tensors, notes=source.notes, contract=stored_contract(source.path, source.own))
    ports = find_ports(tensors, model.name)
    if not ports:
        _refuse_another(model, source.path, tensors)
        if release is not None:
            _no_release(source.path, release)
        return Content(source.kind, tensors, notes=source.notes)
    port, doubts = choose_port(ports, source.path, release)
    content = read_port(port, model, source.path, tensors, release)
    return replace(content, notes=(*source.notes, *doubts, *content.notes))


def _no_release(path: Path, release: str) -> None:
    raise UsageError(
        f"{path} has no release to choose", got=release, expected="none: only ports of other frameworks have some"
    )


def _refuse_another(model: ImageModel, path: Path, tensors: Mapping[str, Tensor]) -> None:
    """Say what a file is whose names belong to another network that we know."""
    found = identify(tensors)
    if found is not None:
        raise WeightsMismatchError(
            f"{path} is not for this {model.name}, and nothing was loaded",
            got=f"the names of {found}",
            expected=f"the weights of {model.name}",
            fix=f"Build {found.model} for it",
        )


def _keras_names(model: ImageModel, stored: StoredLayers, new_classifier: bool, trust_order: bool) -> Content:
    plan = plan_for(model)
    _check_activation(model, stored)
    pairing = pair_layers(plan, stored, new_classifier=new_classifier, trust_order=trust_order)
    converted = convert_layers(model, plan, pairing, stored.path)
    contract, name = contract_for(model, stored, converted)
    return Content(
        name,
        converted.tensors,
        tuple(pairing.missing),
        tuple(pairing.unexpected),
        tuple(pairing.dropped),
        converted.notes,
        contract,
    )


def _check_activation(model: ImageModel, stored: StoredLayers) -> None:
    ours = model.options.get("activation")
    if ours is not None and stored.activation in ("relu", "relu6") and stored.activation != ours:
        raise WeightsMismatchError(
            f"{stored.path} belongs to a network with another activation",
            got=stored.activation,
            expected=str(ours),
            fix=f'Build the model with activation="{stored.activation}"',
        )
