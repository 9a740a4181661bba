"""Anybody's network where the training wants one of ours: it is run as it is, and knows what its pictures look like."""

import hashlib
from dataclasses import replace
from pathlib import Path
from typing import Any, final

import torch
from torch import Tensor, nn

from separable.analysis.demands import cannot_run, demand_openness
from separable.errors import SeparableError, UsageError
from separable.models.base import ImageModel
from separable.models.contract import InputContract
from separable.models.factory import load_factory

__all__ = ["PIXELS", "ForeignModel", "digest_of", "foreign_model", "is_foreign"]

_MARK = ".py:"
_HALF = (0.5, 0.5, 0.5)
PIXELS = {
    "0..1": ((0.0, 0.0, 0.0), (1.0, 1.0, 1.0)),
    "-1..1": (_HALF, _HALF),
    "0..255": ((0.0, 0.0, 0.0), (1 / 255, 1 / 255, 1 / 255)),
    "imagenet": ((0.485, 0.456, 0.406), (0.229, 0.224, 0.225)),
}
"""Mean and standard deviation of pixels as fractions of white, by what people call them."""


@final
class ForeignModel(ImageModel):
    """A module of somebody's, which classifies: (N, 3, H, W) -> (N, num_classes) logits. Nothing in it is changed."""

    def __init__(self, network: nn.Module, name: str, options: dict[str, Any], contract: InputContract, classes: int):
        super().__init__()
        self.network = network
        self.name, self.options = name, options
        self.chain, self.taps, self.aux_names = ("network",), (), {}
        self.num_classes, self.num_features, self.head_hidden_size = classes, 0, 0
        self.head, self.grad_checkpointing = None, False
        self.input_contract = contract

    def adopt(self, contract: InputContract) -> None:
        """Take over what pictures look like; the numerics are the network's own."""
        self.input_contract = contract

    def forward(self, x: Tensor) -> Tensor:
        y: Tensor = self.network(x)
        return y


def is_foreign(name: str) -> bool:
    """Whether a network is named as `file.py:function`."""
    return _MARK in name


def digest_of(name: str) -> str:
    """SHA-256 of the file in `name`: what tells one version of the network from another.

    Raises:
        UsageError: the file cannot be read.
    """
    path = _split(name)[0]
    try:
        return hashlib.sha256(path.read_bytes()).hexdigest()
    except OSError as error:
        raise UsageError(f"{path} cannot be read", got=error.strerror, expected="file.py:function") from error


def foreign_model(
    name: str, num_classes: int, *, size: tuple[int, int] | None, pixels: str = "-1..1", sha256: str | None = None
) -> ForeignModel:
    """Call the function that `name` says, and look at whether what it returns can be trained.

    Args:
        name: "file.py:function". The function takes `num_classes`, or returns a network with as many outputs.
        size: of its pictures; None where it says so itself, by `input_contract`.
        pixels: one of `PIXELS`, for a network without an input contract.
        sha256: of the file as it was; another one is refused.

    Raises:
        UsageError: the file has changed, does not run, or what comes out of it is no such network.
    """
    if sha256 is not None and digest_of(name) != sha256:
        raise UsageError(f"{_split(name)[0]} has changed since this began", fix="Start the command again")
    if pixels not in PIXELS:
        raise UsageError(f"Unknown range of pixels {pixels!r}", expected=" or ".join(PIXELS))
    network = load_factory(*_split(name), num_classes)
    demand_openness(network)
    own = getattr(network, "input_contract", None)
    contract = own if isinstance(own, InputContract) else None
    if contract is None:
        if size is None:
            raise UsageError(f"{name} does not say what size its pictures have", fix="Give --image-size, such as 64")
        contract = InputContract(size, *PIXELS[pixels])
    elif size is not None:
        contract = replace(contract, size=size)
    _demand_answers(network, name, num_classes, contract.size)
    options = {"pixels": pixels} | ({} if sha256 is None else {"sha256": sha256})
    return ForeignModel(network, name, options, contract, num_classes)


def _demand_answers(network: nn.Module, name: str, num_classes: int, size: tuple[int, int]) -> None:
    """One number for each class, in training as in evaluation."""
    if not any(parameter.requires_grad for parameter in network.parameters()):
        raise UsageError(f"{name} has nothing to train", expected="a network with parameters that take gradients")
    device = next(network.parameters()).device
    shape, was_training = (2, 3, *size), network.training
    held = {key: value.clone() for key, value in network.state_dict().items()}
    for training in (False, True):
        network.train(training)
        try:
            with torch.no_grad():
                answer = network(torch.zeros(shape, device=device))
        except SeparableError:
            raise
        except Exception as error:
            raise cannot_run(error, shape) from error
        if not isinstance(answer, Tensor) or tuple(answer.shape) != (2, num_classes):
            got = tuple(answer.shape) if isinstance(answer, Tensor) else type(answer).__name__
            raise UsageError(
                f"{name} does not give a number for each class",
                got=f"{got} for two pictures" + (" in training" if training else ""),
                expected=f"a tensor of shape (2, {num_classes})",
                fix="Let the function take num_classes, and the network return its logits alone",
            )
    network.train(was_training)
    network.load_state_dict(held)  # running averages have seen what is no picture


def _split(name: str) -> tuple[Path, str]:
    file, _, function = name.partition(_MARK)
    return Path(f"{file}.py"), function
