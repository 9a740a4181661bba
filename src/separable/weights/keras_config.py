"""What the stored configuration of a Keras model says beyond names and shapes; it is read as JSON, without Keras."""

import json
import zipfile
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from separable.errors import WeightsFormatError

__all__ = ["KerasConfig", "read_keras_config"]

_MOST_BYTES = 64 << 20
_UNREADABLE = (zipfile.BadZipFile, NotImplementedError, RecursionError, RuntimeError, OSError, ValueError, KeyError)
_STRIDED = ("Conv2D", "DepthwiseConv2D")


@dataclass(frozen=True)
class KerasConfig:
    """The layers of one stored model, those of models inside it included: (class, configuration)."""

    layers: tuple[tuple[str, dict[str, Any]], ...]

    @property
    def classes(self) -> frozenset[str]:
        """Names of the layers' classes."""
        return frozenset(name for name, _ in self.layers)

    @property
    def input_size(self) -> tuple[int, int] | None:
        """Height and width of the input, where all of its input layers agree on them."""
        found = set()
        for name, config in self.layers:
            shape = config.get("batch_shape") or config.get("batch_input_shape")
            if name == "InputLayer" and isinstance(shape, list) and len(shape) == 4:
                found.add((shape[1], shape[2]))
        if len(found) != 1:
            return None
        height, width = found.pop()
        return (height, width) if type(height) is int and type(width) is int else None

    @property
    def pads_alike(self) -> bool | None:
        """True where every strided convolution pads by itself ("same"), False where layers pad; None without any."""
        strided = [config for name, config in self.layers if name in _STRIDED and _strides(config) > 1]
        if not strided:
            return None
        return "ZeroPadding2D" not in self.classes and all(config.get("padding") == "same" for config in strided)

    @property
    def rescaling(self) -> tuple[tuple[object, object], ...]:
        """Scale and offset of each layer Rescaling."""
        return tuple(
            (config.get("scale"), config.get("offset", 0.0)) for name, config in self.layers if name == "Rescaling"
        )


def read_keras_config(path: Path) -> KerasConfig | None:
    """The configuration in a Keras `.h5` or `.keras` file; None where it has none, as files of weights alone.

    Raises:
        WeightsFormatError: it is there and cannot be read.
    """
    try:
        text = _zipped(path) if zipfile.is_zipfile(path) else _attribute(path)
        if text is None:
            return None
        found = tuple(_layers(json.loads(text)))
    except _UNREADABLE as error:
        raise WeightsFormatError(
            f"{path} has a configuration that cannot be read",
            got=" ".join(str(error).split())[:200],
            fix="It is damaged: get it again",
        ) from error
    return KerasConfig(found) if found else None


def _zipped(path: Path) -> str | None:
    with zipfile.ZipFile(path) as archive:
        if "config.json" not in archive.namelist():
            return None
        info = archive.getinfo("config.json")
        if info.file_size > _MOST_BYTES:
            raise ValueError(f"{info.file_size:,} bytes")
        return archive.read(info).decode("utf-8")


def _attribute(path: Path) -> str | None:
    import h5py  # takes 50 ms to import, and most starts need none

    with h5py.File(path, "r") as file:
        text = file.attrs.get("model_config")
    if isinstance(text, bytes):
        return text.decode("utf-8")
    return text if isinstance(text, str) else None


def _layers(stored: object) -> Iterator[tuple[str, dict[str, Any]]]:
    """The layers in a model's configuration: Keras 1's Sequential is a list, models nest."""
    config = stored.get("config") if isinstance(stored, dict) else None
    inner = config.get("layers") if isinstance(config, dict) else config
    for layer in inner if isinstance(inner, list) else ():
        if not isinstance(layer, dict):
            continue
        own = layer.get("config")
        if isinstance(own, list) or (isinstance(own, dict) and isinstance(own.get("layers"), list)):
            yield from _layers(layer)
        elif isinstance(own, dict):
            yield str(layer.get("class_name")), own


def _strides(config: dict[str, Any]) -> int:
    strides = config.get("strides", 1)
    sides = strides if isinstance(strides, list) else [strides]
    return max((side for side in sides if isinstance(side, int)), default=1)
