"""What an open weight file has for one network: matched by Keras' layers, by a port's names, or by our own."""

from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path

from torch import Tensor

from separable.errors import UsageError, WeightsMismatchError
from separable.models.base import ImageModel
from separable.weights.compare import Content
from separable.weights.contracts import contract_for, graph_notes, stored_contract
from separable.weights.convert import convert_layers
from separable.weights.keras_config import KerasConfig, read_keras_config
from separable.weights.keras_names import plan_for
from separable.weights.match import pair_layers
from separable.weights.ports.find import find_ports, identify
from separable.weights.ports.read import read_port
from separable.weights.ports.release import choose_port
from separable.weights.source import Source
from separable.weights.stored import StoredLayers

__all__ = ["match_source"]


def match_source(
    model: ImageModel, source: Source, new_classifier: bool, trust_order: bool = False, release: str | None = None
) -> Content:
    """The tensors of `source` under the names of `model`, whose numbers and number of classes do not matter.

    Raises:
        UsageError: `release` is none that the file could be.
        WeightsMismatchError: its layers or names cannot be matched with those of `model`.
    """
    if source.tensors is not None:
        return _port_names(model, source, source.tensors, release)
    if release is not None:
        _no_release(source.path, release)
    assert source.layers is not None
    return _keras_names(model, source.layers, new_classifier, trust_order)


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
    config = None if stored.format == "npz" else read_keras_config(stored.path)
    contract, name, notes = contract_for(model, stored, converted, config)
    return Content(
        name,
        converted.tensors,
        tuple(pairing.missing),
        tuple(pairing.unexpected),
        tuple(pairing.dropped),
        (*converted.notes, *notes, *graph_notes(model, config)),
        contract,
        refusal=_other_pool(stored.path, config) if not new_classifier else None,
    )


def _other_pool(path: Path, config: KerasConfig | None) -> WeightsMismatchError | None:
    """The error where the file's model takes the maximum of each channel, where all networks here average it."""
    if config is None or "GlobalMaxPooling2D" not in config.classes:
        return None
    return WeightsMismatchError(
        f"{path} has another head than the networks here",
        got="GlobalMaxPooling2D before the classifier",
        expected="GlobalAveragePooling2D",
        fix='Load it with classes="replace", and train the new classifier',
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
