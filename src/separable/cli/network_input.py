"""What a network takes for a picture: its own input contract, or what the user says of one that has none."""

from dataclasses import replace

import torch
from torch import nn

from separable.errors import UsageError
from separable.models import InputContract, SegmentationModel
from separable.runtime.base import PicturePredictor
from separable.runtime.load import load_located
from separable.runtime.locate import locate
from separable.runtime.masks import MaskPredictor
from separable.runtime.predictor import Predictor, load_predictor
from separable.runtime.tags import TagPredictor
from separable.training.foreign import PIXELS

__all__ = ["predictor_of"]


def predictor_of(model: str, size: tuple[int, int] | None, pixels: str | None) -> PicturePredictor:
    """A predictor of any model, anybody's `file.py:factory` too, for pictures of `size` (None: its own).

    Args:
        pixels: one of PIXELS, for a network that has no input contract; others refuse it.

    Raises:
        UsageError: the network does not say what its pictures look like, and nobody else does. What `load_predictor`
            raises.
    """
    located = locate(model)
    if located.kind != "factory":
        if pixels is not None:
            raise UsageError(f"{model} says itself what it takes pixels as", fix="Leave out --pixels")
        predictor = load_predictor(model)
        if size is not None:
            predictor.contract = replace(predictor.contract, size=size)
        return predictor
    network = load_located(located)
    device = "cuda" if torch.cuda.is_available() else "cpu"
    contract = _contract_of(network, size, pixels)
    if isinstance(network, SegmentationModel):
        return MaskPredictor(network, contract, device=device)
    return (TagPredictor if contract.answer == "sigmoid" else Predictor)(network, contract, device=device)


def _contract_of(network: nn.Module, size: tuple[int, int] | None, pixels: str | None) -> InputContract:
    """Of a network from a factory: its own where it has one, else what the user says. Nothing is guessed."""
    own = getattr(network, "input_contract", None)
    if isinstance(own, InputContract):
        if pixels is not None:
            raise UsageError("This network says itself what it takes pixels as", fix="Leave out --pixels")
        return own if size is None else replace(own, size=size)
    missing = [name for name, value in (("--size", size), ("--pixels", pixels)) if value is None]
    if missing:
        raise UsageError(
            "This network does not say what its pictures look like",
            got=f"no {' and no '.join(missing)}",
            expected="the size and the range of its pixels",
            fix=f"Give --size 224 --pixels imagenet (or {', '.join(list(PIXELS)[:3])}), as it was trained; or let the "
            "factory set `input_contract`, a separable.models.InputContract",
        )
    assert size is not None
    assert pixels is not None
    mean, std = PIXELS[pixels]
    return InputContract(size=size, mean=mean, std=std)
