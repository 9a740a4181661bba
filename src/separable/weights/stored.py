"""What a weight file of another framework holds, before any of it is matched to a model."""

from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from separable.errors import WeightsFormatError

__all__ = ["Budget", "Kind", "StoredLayer", "StoredLayers", "kind_of", "unfolded_limit"]

Kind = Literal["conv", "transposed", "depthwise", "separable", "norm", "dense", "other"]
Array = NDArray[np.floating]


@dataclass(frozen=True, eq=False)
class StoredLayer:
    """One layer with weights. `variables` has Keras' names: kernel, bias, depthwise_kernel, gamma, moving_mean, ..."""

    name: str
    kind: Kind
    variables: dict[str, Array]


@dataclass(frozen=True)
class StoredLayers:
    """The layers of one file.

    `ordered`: within each kind, the layers stand in the order of Keras' `model.layers`.
    `named`: the layers' own names are known, so that the number a generic name ends in tells the order of creation.
    `activation`, `input_size`: what the stored configuration says of them, where the file has one.
    """

    path: Path
    format: str
    layers: tuple[StoredLayer, ...]
    ordered: bool = False
    named: bool = True
    activation: str | None = None
    input_size: tuple[int, int] | None = None


class Budget:
    """How many bytes a file may still unfold to. A small file that declares enormous arrays ends here, unread."""

    def __init__(self, path: Path, limit: int) -> None:
        self.path, self.limit, self.taken = path, limit, 0

    def take(self, size: int, what: str) -> None:
        """Account for `size` bytes about to be read.

        Raises:
            WeightsFormatError: together with what was read before, that is more than this file can need.
        """
        self.taken += size
        if self.taken > self.limit:
            raise WeightsFormatError(
                f"{self.path} declares far more data than this model has weights, and was not read",
                got=f"{self.taken:,} bytes up to {what}",
                expected=f"at most {self.limit:,}",
                fix="It is damaged, meant for a much larger model, or made to exhaust memory",
            )


def unfolded_limit(path: Path) -> int:
    """Most bytes that the file `path` may unfold to where no model tells: several times its size."""
    return max(256 << 20, 8 * path.stat().st_size)


def kind_of(variables: Iterable[str], kernel_shape: tuple[int, ...] | None) -> Kind:
    """The kind of layer that has these variables; `kernel_shape` tells a depthwise kernel (3, 3, C, 1) from others."""
    names = set(variables)
    if {"depthwise_kernel", "pointwise_kernel"} <= names:
        return "separable"
    if "depthwise_kernel" in names:
        return "depthwise"
    if {"moving_mean", "moving_variance"} <= names:
        return "norm"
    if "kernel" in names and kernel_shape is not None:
        if len(kernel_shape) == 2:
            return "dense"
        if len(kernel_shape) == 4:
            # Keras 3 calls a depthwise kernel `kernel`. A full convolution to one channel is only ever 1x1 here.
            depthwise = kernel_shape[3] == 1 and kernel_shape[0] > 1
            return "depthwise" if depthwise else "conv"
    return "other"
