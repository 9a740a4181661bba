"""The tensors of four dimensions that a network's modules put out, and which of them are maps of its picture."""

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any, Self

from torch import Tensor, nn

__all__ = ["FeatureLayer", "FeatureLayers", "misfit", "record"]

_BORDER = 12  # positions that unpadded kernels may have taken from a side
_EARLY = 0.25  # of the modules that run: what finishes before has seen little of the network


@dataclass(frozen=True)
class FeatureLayer:
    """A module by its dotted name, and the maps it puts out for one picture."""

    name: str
    channels: int
    height: int
    width: int
    channels_last: bool = False
    """It puts out (N, h, w, C)."""
    share: float = 1.0
    """Of all calls of modules without children, those that are over when it finishes."""
    sequences: bool = False
    """More such calls than lead up to it put out sequences (N, T, C) after it: a transformer with a stem before it."""

    @property
    def positions(self) -> int:
        return self.height * self.width

    @property
    def early(self) -> bool:
        return self.share < _EARLY

    def __str__(self) -> str:
        return f"{self.name} ({self.channels} maps of {self.height}x{self.width})"


class FeatureLayers(tuple[FeatureLayer, ...]):
    """Layers in the order in which they finish; `refused` has the names of those whose output is no map, and why."""

    refused: dict[str, str]

    def __new__(cls, layers: Iterable[FeatureLayer] = (), refused: dict[str, str] | None = None) -> Self:
        made = super().__new__(cls, layers)
        made.refused = refused or {}
        return made


def misfit(sides: tuple[int, int], picture: tuple[int, int], first: tuple[int, int] | None = None) -> str | None:
    """Why a tensor of these `sides` is no map of a picture of those; None if it may be one.

    Its sides are the picture's, divided by one stride, less what unpadded kernels take from both alike. Nothing is
    finer than the `first` map of the network: such squares are attention, each position against each.
    """
    (height, width), (tall, wide) = sides, picture
    said = f"{height}x{width}"
    if height > tall or width > wide:
        return f"{said} is more than the picture's {tall}x{wide}"
    if first is not None and height * width > first[0] * first[1]:
        return f"{said} is finer than the network's first map, {first[0]}x{first[1]}"
    if tall == wide:
        alike = height == width
    else:
        taken = range(-1, min(_BORDER, tall - height) + 1)
        alike = any(abs(wide * (height + lost) / tall - lost - width) <= 1 for lost in taken)
    return None if alike else f"{said} has not the shape of the picture, {tall}x{wide}"


class _Recorder:
    """A forward hook's memory of one run."""

    def __init__(self, picture: tuple[int, int], grows: bool) -> None:
        self.picture, self.grows = picture, grows
        self.first: tuple[int, int] | None = None
        self.found: dict[str, tuple[FeatureLayer, int, int]] = {}  # with calls and sequences so far
        self.refused: dict[str, str] = {}
        self.calls = self.sequences = 0

    def hook(self, name: str, leaf: bool) -> Any:
        def after(module: nn.Module, inputs: Any, output: Any) -> None:
            self.calls += leaf
            if isinstance(output, Tensor) and output.is_floating_point():
                self.sequences += leaf and output.dim() == 3
                if output.dim() == 4:
                    self._see(name, tuple(output.shape))

        return after

    def _see(self, name: str, shape: tuple[int, ...]) -> None:
        batch, one, two, three = shape
        self.found.pop(name, None)
        reason = misfit((two, three), self.picture, self.first)
        turned = reason is not None and misfit((one, two), self.picture, self.first) is None
        if batch != 1 or (reason is not None and not turned):
            words = reason or f"it puts out {batch} tensors for one picture"
            self.refused[name] = f"a tensor {'x'.join(map(str, shape))}: {words}"
            return
        self.refused.pop(name, None)
        channels, height, width = (three, one, two) if turned else (one, two, three)
        self.first = self.first or (None if self.grows else (height, width))
        self.found[name] = FeatureLayer(name, channels, height, width, turned), self.calls, self.sequences

    def layers(self) -> FeatureLayers:
        found = []
        for layer, calls, sequences in self.found.values():
            kept = (layer.name, layer.channels, layer.height, layer.width, layer.channels_last)
            found.append(FeatureLayer(*kept, calls / max(1, self.calls), self.sequences - sequences > calls))
        return FeatureLayers(found, self.refused)


def record(model: nn.Module, picture: Tensor, *, grows: bool = False) -> FeatureLayers:
    """Run `model` on `picture` (1, C, H, W) once. `grows`: its maps become finer again after the first."""
    recorder = _Recorder((picture.shape[2], picture.shape[3]), grows)
    handles = [
        module.register_forward_hook(recorder.hook(name, next(module.children(), None) is None))
        for name, module in model.named_modules()
        if name
    ]
    try:
        model(picture)
    finally:
        for handle in handles:
            handle.remove()
    return recorder.layers()
