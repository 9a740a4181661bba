"""The networks that contests are between: ours with anybody's numerics, and timm's and torchvision's own.

A network is called by its name in the catalogue, or "timm:NAME" for anything that timm has and we need not.
"""

from collections.abc import Mapping
from pathlib import Path

import safetensors.torch
import torch
from torch import Tensor, nn
from torch.nn.modules.dropout import _DropoutNd

from separable.benchmarking.contest import Task, Verb
from separable.errors import UnknownModelError, UsageError, WeightsMismatchError
from separable.models.base import ImageModel
from separable.models.build import build_model, model_spec
from separable.weights.ports import PORTS
from separable.weights.ports.port import Port
from separable.weights.ports.read import port_tensors
from separable.weights.reference import import_framework, source_network

__all__ = [
    "build_network",
    "demand_certain",
    "find_port",
    "is_borrowed",
    "peer_gradients",
    "peer_network",
    "task_for",
]

_BORROWED = "timm:"
_WITHOUT = {"dropout": 0.0, "aux_head": False}
"""Options of networks that have them: every contestant of a contest computes the same function, and no more."""
_CERTAIN = 1e-3
"""Of the largest logit: threads that add up in another order change less, and dropout changes more."""


def is_borrowed(network: str) -> bool:
    """Whether `network` is timm's alone, as "timm:efficientnet_b0" is."""
    return network.startswith(_BORROWED)


def task_for(network: str, verb: Verb, batch: int, side: int | None = None, device: str = "cpu") -> Task:
    """The task of a contest over `network` and others of its kind.

    Labels are as many as the network was published with, 1000 where it classifies.

    Args:
        side: None for the network's own.

    Raises:
        UnknownModelError: neither the catalogue nor timm has it.
        UsageError: it answers for pixels, and not for each of them at this size.
    """
    if is_borrowed(network):
        return Task(verb, batch, side or 224, device=device)
    spec = model_spec(network)
    side = side or spec.input.size[0]
    if spec.task != "segment":
        return Task(verb, batch, side, device=device)
    with torch.device("meta"):
        model = build_model(network)
    multiple = getattr(model, "multiple", 1)
    if side % multiple:
        raise UsageError(
            f"{network} does not answer for each pixel of such a picture alone",
            got=f"a side of {side}",
            expected=f"a multiple of {multiple}",
            fix="Name another --side",
        )
    return Task(verb, batch, side, spec.num_classes, device=device, kind="segment")


def find_port(framework: str, network: str) -> Port | None:
    """How the framework's network of that kind is named, or None where it has none."""
    return next((port for port in PORTS if port.framework == framework and network in port.models), None)


def build_network(network: str, classes: int = 1000, numerics: str = "keras") -> nn.Module:
    """A network that defines what all contestants compute, freshly initialised, without dropout and auxiliary heads.

    Args:
        numerics: "keras" for our own, or the framework whose border, epsilon, averages and gammas it is to have.

    Raises:
        UnknownModelError: neither the catalogue nor timm has it.
        WeightsMismatchError: the framework has no such network.
        MissingExtraError: the framework is not installed.
    """
    if is_borrowed(network):
        return _borrowed(network.removeprefix(_BORROWED), classes)
    plain = {key: value for key, value in _WITHOUT.items() if key in model_spec(network).options}
    if numerics == "keras":
        return build_model(network, classes, **plain)
    port = _port(numerics, network)
    with torch.device("meta"):
        theirs = _source(port, build_model(network, classes, **plain)).state_dict()
    options = {key: value for key, value in port.options(theirs).items() if key in model_spec(network).options}
    model = build_model(network, classes, **(plain | options))
    model.adopt(port.contract(model, theirs))
    return model


def peer_network(framework: str, network: str, classes: int, weights: Path | None = None) -> nn.Module:
    """timm's or torchvision's own network, with the weights of a state dict of `build_network`'s.

    Raises:
        WeightsMismatchError: the framework has no such network, or it has other tensors.
    """
    if is_borrowed(network):
        model = build_network(network, classes)
        if weights is not None:
            model.load_state_dict(safetensors.torch.load_file(weights))
        return model
    port, ours = _port(framework, network), build_network(network, classes, framework)
    assert isinstance(ours, ImageModel)
    model = _source(port, ours)
    if weights is None:
        return model
    ours.load_state_dict(safetensors.torch.load_file(weights))
    lost = model.load_state_dict(port_tensors(port, ours), strict=False)
    if missing := [name for name in lost.missing_keys if not name.endswith("num_batches_tracked")]:
        raise WeightsMismatchError(f"{framework}'s {network} has more than ours", got=", ".join(missing[:3]))
    return model


def peer_gradients(framework: str, network: str, model: nn.Module, classes: int) -> dict[str, Tensor]:
    """The gradients of `model`, made by `peer_network`, under our names and in our layouts."""
    found = {name: value.grad for name, value in model.named_parameters() if value.grad is not None}
    if is_borrowed(network):
        return found
    port = _port(framework, network)
    with torch.device("meta"):
        ours = build_network(network, classes, framework)
    assert isinstance(ours, ImageModel)
    return _renamed(found, port.names(ours), port, ours)


@torch.no_grad()
def demand_certain(network: str, model: nn.Module, pictures: Tensor) -> None:
    """Two forward passes in training mode, each after another seed, have to agree.

    Raises:
        UsageError: the network throws dice while it trains, so that no two contestants compute the same.
    """
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(1)
        first: Tensor = model.train()(pictures)
        torch.manual_seed(2)
        second: Tensor = model(pictures)
    if float((first - second).abs().max()) > _CERTAIN * float(first.abs().max()):
        raise UsageError(
            f"{network} drops something at random while it trains",
            got="two passes over the same pictures that differ",
            expected="the same from every pass, else no contestant could be judged",
            fix="Name a network without dropout and stochastic depth, or time its inference",
        )


def _renamed(found: Mapping[str, Tensor], names: Mapping[str, str], port: Port, ours: ImageModel) -> dict[str, Tensor]:
    transforms = port.transforms(ours)
    return {
        name: transforms[name].read(found[theirs]) if name in transforms else found[theirs]
        for name, theirs in names.items()
        if theirs in found
    }


def _port(framework: str, network: str) -> Port:
    port = find_port(framework, network)
    if port is None:
        there = sorted({name for one in PORTS if one.framework == framework for name in one.models})
        raise WeightsMismatchError(
            f"{framework} has no {network}",
            expected=f"one of {', '.join(there)}" if there else "timm or torchvision",
            fix="Leave it out of the contest, or name a network that both have",
        )
    return port


def _source(port: Port, ours: ImageModel) -> nn.Module:
    model, _ = source_network(port, ours)
    if hasattr(model, "transform_input"):  # torchvision's own default: pictures are prepared before the network
        setattr(model, "transform_input", False)  # noqa: B010
    return _without_dropout(model)


def _without_dropout(model: nn.Module) -> nn.Module:
    """Neither of layers, nor of functions that read a rate, nor of whole branches. `demand_certain` finds the rest."""
    for module in model.modules():
        if isinstance(module, _DropoutNd) or type(module).__name__ == "StochasticDepth":
            setattr(module, "p", 0.0)  # noqa: B010
        for rate in ("drop_rate", "drop_prob"):  # timm's functional dropout, and its DropPath
            if isinstance(getattr(module, rate, None), float):
                setattr(module, rate, 0.0)
    return model


def _borrowed(name: str, classes: int) -> nn.Module:
    timm = import_framework("timm")
    if not timm.is_model(name):
        raise UnknownModelError(f"timm has no {name!r}", fix=f"timm {timm.__version__} lists them: timm.list_models()")
    return _without_dropout(timm.create_model(name, pretrained=False, num_classes=classes))
