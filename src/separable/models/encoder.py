"""A network of the catalogue as the encoder of another: its feature pyramid, its contract, and the options of both."""

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

from separable.blocks.checks import check_choice
from separable.blocks.plain import plain
from separable.errors import ModelOptionError
from separable.models.base import ImageModel
from separable.models.contract import InputContract
from separable.models.encoders import ENCODERS

__all__ = ["check_encoder", "dense_contract", "encoder_dilates", "make_encoder"]

_GIVEN = ("in_channels", "width", "features_only", "aux_head")
"""Options that the network around the encoder decides."""


def check_encoder(encoder: object, encoder_options: object) -> None:
    """Raise ModelOptionError unless there is such an encoder and `encoder_options` may be options."""
    check_choice("encoder", encoder, sorted(ENCODERS))
    assert isinstance(encoder, str)
    if encoder_options is None:
        return
    legal = isinstance(encoder_options, Mapping) and all(isinstance(name, str) for name in encoder_options)
    if not legal or set(_GIVEN) & set(encoder_options):  # type: ignore[call-overload]
        taken = sorted(set(ENCODERS[encoder].options) - set(_GIVEN))
        raise ModelOptionError(
            "Bad model option encoder_options",
            got=repr(plain(encoder_options)),
            expected=f"options of {encoder} such as {{{taken[0]!r}: ...}}: some of {', '.join(taken)}",
        )


def encoder_dilates(encoder: str) -> bool:
    """Whether it can trade its last strides for dilation."""
    return "output_stride" in ENCODERS[encoder].options


def make_encoder(
    encoder: str, in_channels: int, width: float, encoder_options: Mapping[str, Any] | None, **more: Any
) -> ImageModel:
    """The network `encoder` as a feature pyramid, freshly initialised.

    Raises:
        ModelOptionError: an option that it lacks, or a value it cannot have.
    """
    return ENCODERS[encoder].build(
        0, in_channels=in_channels, width=width, features_only=True, **{**(encoder_options or {}), **more}
    )


def dense_contract(contract: InputContract, size: tuple[int, int]) -> InputContract:
    """An encoder's contract for a network that answers for every pixel: whole pictures of `size`, nothing cut off."""
    return replace(contract, size=size, resize="squash", crop_fraction=1.0)
