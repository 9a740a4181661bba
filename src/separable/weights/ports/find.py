"""Telling from names and shapes which framework's network a file holds."""

from collections.abc import Container, Mapping
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from separable.errors import ModelOptionError
from separable.models.base import ImageModel
from separable.models.build import build_model, model_spec
from separable.weights.ports import PORTS
from separable.weights.ports.port import Port

__all__ = ["Identity", "canonical", "find_ports", "identify"]


@dataclass(frozen=True)
class Identity:
    """A network that a file's names and shapes describe, and how many of them do not fit it."""

    port: Port
    model: str
    num_classes: int
    options: Mapping[str, Any]
    differences: int

    def __str__(self) -> str:
        return f"{self.port.framework}'s {self.port.models[self.model]}"


def canonical(port: Port, tensors: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """`tensors` with the port's aliases replaced and the counters of batches left out."""
    found = {}
    for name, value in tensors.items():
        if name.endswith("num_batches_tracked"):
            continue
        alias = next((beginning for beginning in port.aliases if name.startswith(beginning)), None)
        found[name if alias is None else port.aliases[alias] + name.removeprefix(alias)] = value
    return found


def find_ports(tensors: Container[str], model: str | None = None) -> list[Port]:
    """The ports that such names point to, and that cover `model` where that is given."""
    ports = [port for port in PORTS if any(mark in tensors for mark in port.marks)]
    return [port for port in ports if model is None or model in port.models]


def identify(tensors: Mapping[str, Tensor]) -> Identity | None:
    """The network of the catalogue that comes nearest to these names and shapes, or None where no port knows them."""
    found = [
        identity
        for port in find_ports(tensors)
        for name in port.models
        if (identity := _held_against(port, name, canonical(port, tensors))) is not None
    ]
    return min(found, key=lambda identity: identity.differences, default=None)


def _held_against(port: Port, name: str, tensors: Mapping[str, Tensor]) -> Identity | None:
    weight = tensors.get(f"{port.classifier}.weight", tensors.get(f"{port.classifier}/weights"))
    classes = _classes(port, weight)
    known = model_spec(name).options
    options = {key: value for key, value in port.options(tensors).items() if key in known}
    try:
        with torch.device("meta"):
            model = build_model(name, classes, **options)
    except ModelOptionError:
        return None
    return Identity(port, name, classes, options, _differences(port, model, tensors))


def _classes(port: Port, weight: Tensor | None) -> int:
    if weight is None or not weight.dim() or not weight.numel():
        return 0
    return weight.shape[-1] if port.framework == "tf-slim" else weight.shape[0]


def _differences(port: Port, model: ImageModel, tensors: Mapping[str, Tensor]) -> int:
    names = port.names(model)
    transforms = port.transforms(model)
    state = model.state_dict()
    wrong = len(set(tensors) - set(names.values()))
    for ours, theirs in names.items():
        value = tensors.get(theirs)
        if value is not None and ours in transforms:
            value = transforms[ours].read_or_keep(value)
        wrong += value is None or value.shape != state[ours].shape
    return wrong
