"""Which modules of a network put out feature maps of its picture, found by running it once."""

import difflib
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Any

import torch
from torch import Tensor, nn

from separable.analysis.explain.examined import examined, prepared
from separable.analysis.explain.recording import FeatureLayer, FeatureLayers, record
from separable.errors import UsageError
from separable.models import ImageModel, SegmentationModel

__all__ = [
    "default_layer",
    "feature_layers",
    "finer_layer",
    "found_layer",
    "main_blocks",
    "outermost",
    "tapped",
    "wanted_layer",
]

_ROOMY = 4  # positions along a side from which on a heat map tells where something is


def feature_layers(model: nn.Module, inputs: Tensor) -> FeatureLayers:
    """The modules that put out maps of the picture, (N, C, h, w) or (N, h, w, C), in the order in which they finish;
    the model itself is left out. See `recording.misfit` for the tensors of four dimensions that are no such maps.

    A module that runs several times counts where it finishes last. Runs the first picture of `inputs`.
    """
    with examined(model), torch.no_grad():
        return record(model, prepared(inputs)[:1], grows=isinstance(model, SegmentationModel))


def default_layer(model: nn.Module, layers: Sequence[FeatureLayer]) -> FeatureLayer:
    """The last feature map: the last block of a network of the catalogue, and of anybody else's the last map that has
    more than one position, because what pooling leaves is a map of one. Of a network that answers for every pixel it is
    the coarsest: what comes after it shows little more than the answer itself.

    Raises:
        UsageError: no module puts out a feature map, or sequences are what the network mostly works on.
    """
    if not layers:
        refused = list(layers.refused.items())[-1:] if isinstance(layers, FeatureLayers) else []
        raise UsageError(
            "No layer of this network puts out feature maps",
            got="; ".join(f"{name}, {reason}" for name, reason in refused) or None,
            expected="a tensor (N, C, H, W) somewhere, whose sides are the picture's made smaller",
        )
    if isinstance(model, SegmentationModel):
        blocks = [layer for layer in layers if layer.name in main_blocks(model)]
        return min(reversed(blocks), key=lambda layer: layer.positions)
    if isinstance(model, ImageModel):
        return found_layer(model, layers, model.chain[-1])
    last = next((layer for layer in reversed(layers) if layer.positions > 1), layers[-1])
    if last.sequences:
        raise UsageError(
            f"This network works on sequences after {last.name}, one of its first layers: it has no last feature map",
            expected="a network whose last layers put out maps (N, C, H, W)",
        )
    return last


def wanted_layer(model: nn.Module, inputs: Tensor, layer: FeatureLayer | str | None) -> FeatureLayer:
    """The layer itself, or by its name; None: the default one.

    Raises:
        UsageError: there is none.
    """
    if isinstance(layer, FeatureLayer):
        return layer
    layers = feature_layers(model, inputs)
    return default_layer(model, layers) if layer is None else found_layer(model, layers, layer)


def found_layer(model: nn.Module, layers: Sequence[FeatureLayer], name: str) -> FeatureLayer:
    """The layer called `name`.

    Raises:
        UsageError: there is none, with close names; or it puts out no feature map, with the reason.
    """
    by_name = {layer.name: layer for layer in layers}
    if name in by_name:
        return by_name[name]
    if isinstance(layers, FeatureLayers) and name in layers.refused:
        raise UsageError(
            f"What the layer {name} puts out are no feature maps of the picture",
            got=layers.refused[name],
            expected="a tensor (N, C, H, W) or (N, H, W, C) whose sides are the picture's made smaller",
            fix=f"Take one near it: {_listed(_near(name, list(by_name)))}" if by_name else None,
        )
    if name and name in dict(model.named_modules()):
        raise UsageError(
            f"The layer {name} puts out no feature map, or is not run by itself",
            expected="a layer whose output is a tensor (N, C, H, W)",
            fix=f"Take one near it: {_listed(_near(name, list(by_name)))}" if by_name else None,
        )
    close = difflib.get_close_matches(name, by_name, n=3, cutoff=0.5)
    last = [layer.name for layer in outermost(layers)][-5:]
    raise UsageError(
        f"This network has no layer {name!r}",
        expected=f"a layer with feature maps, such as {_listed(last)}",
        fix=f"Perhaps you meant {_listed(close, 'or')}" if close else None,
    )


def finer_layer(model: nn.Module, layers: Sequence[FeatureLayer], layer: FeatureLayer) -> FeatureLayer | None:
    """What to take instead of a layer with too few positions: the last one before it with enough, or with most."""
    if isinstance(model, ImageModel):
        layers = [one for one in layers if one.name in main_blocks(model)]
    names = [one.name for one in layers]
    before = layers[: names.index(layer.name)] if layer.name in names else layers
    finer = [one for one in before if one.positions > layer.positions]
    roomy = [one for one in finer if min(one.height, one.width) >= _ROOMY]
    return roomy[-1] if roomy else max(finer, key=lambda one: one.positions, default=None)


def main_blocks(model: ImageModel) -> set[str]:
    """Names of the blocks that a network of the catalogue is a chain of; those of its encoder, too."""
    encoder = getattr(model, "encoder", None)
    taps = encoder.taps if isinstance(encoder, ImageModel) else ()
    return {*model.chain, *(f"encoder.{tap.block}" for tap in taps)}


class _Tap:
    """A forward hook that keeps a layer's output and sends a copy on, so that what follows may overwrite it in place.

    The output is cut from its past: the backward pass ends here, and costs no more than the rest of the network.
    """

    def __init__(self) -> None:
        self.maps: Tensor | None = None

    def __call__(self, module: nn.Module, inputs: Any, output: Any) -> Tensor | None:
        if not isinstance(output, Tensor) or output.dim() != 4:
            return None
        self.maps = output.detach().clone().requires_grad_(output.is_floating_point())
        return self.maps.clone()


@contextmanager
def tapped(model: nn.Module, layer: FeatureLayer) -> Iterator[_Tap]:
    """Keep what `layer` puts out in its last call, in the layout it has there."""
    tap = _Tap()
    handle = model.get_submodule(layer.name).register_forward_hook(tap)
    try:
        yield tap
    finally:
        handle.remove()


def outermost(layers: Sequence[FeatureLayer]) -> list[FeatureLayer]:
    """Those that are not inside another of them."""
    names = {layer.name for layer in layers}
    return [layer for layer in layers if layer.name.rpartition(".")[0] not in names]


def _near(name: str, names: list[str]) -> list[str]:
    """Modules inside `name` or around it, else ones that are spelt alike."""
    inside = [one for one in names if one.startswith(f"{name}.")]
    around = [one for one in names if name.startswith(f"{one}.")]
    return (inside[-2:] + around[-2:]) or difflib.get_close_matches(name, names, n=3, cutoff=0.0) or names[-3:]


def _listed(names: Sequence[str], word: str = "or") -> str:
    return f" {word} ".join(filter(None, [", ".join(names[:-1]), *names[-1:]]))
