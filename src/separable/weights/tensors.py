"""Files of named tensors: safetensors, and torch pickles so far as they hold tensors alone."""

import json
import pickle
import re
import struct
import warnings
from pathlib import Path
from typing import Any

import safetensors
import safetensors.torch
import torch
from torch import Tensor

from separable.errors import WeightsFormatError

__all__ = ["read_metadata", "read_safetensors", "read_shapes", "read_torch"]

_MAX_HEADER = 100 << 20  # the format's own limit
_CHECKPOINT_KEYS = ("state_dict", "model", "net")
# What torch's reader of tensors alone raises where a damaged pickle hands it other arguments than it counts on.
_BAD_PICKLE = (
    *(OSError, RuntimeError, EOFError, ValueError, LookupError, TypeError, AttributeError, AssertionError),
    *(ArithmeticError, MemoryError, struct.error),
)


def read_safetensors(path: Path) -> dict[str, Tensor]:
    """The tensors of a safetensors file, on the CPU.

    Raises:
        WeightsFormatError: truncated or damaged.
    """
    try:
        return safetensors.torch.load_file(path)
    except (safetensors.SafetensorError, OSError, ValueError, KeyError, RuntimeError) as error:
        raise _damaged(path, error) from error


def read_metadata(path: Path) -> dict[str, Any]:
    """The JSON that `save_model` puts under `separable` in a safetensors file's header; empty if it is another's.

    Raises:
        WeightsFormatError: truncated or damaged.
    """
    try:
        with open(path, "rb") as handle:
            (length,) = struct.unpack("<Q", handle.read(8))
            if length > _MAX_HEADER:
                raise ValueError(f"a header of {length:,} bytes")
            header = json.loads(handle.read(length))
        text = header.get("__metadata__", {}).get("separable", "{}")
        found = json.loads(text)
    except (OSError, ValueError, struct.error, AttributeError, TypeError, RecursionError) as error:
        raise _damaged(path, error) from error
    return found if isinstance(found, dict) else {}


def read_shapes(path: Path) -> dict[str, tuple[int, ...]]:
    """The shapes of the tensors in a safetensors file, from its header, which is held against the file's length.

    Raises:
        WeightsFormatError: truncated or damaged.
    """
    try:
        with safetensors.safe_open(path, framework="pt") as file:
            return {name: tuple(file.get_slice(name).get_shape()) for name in file.keys()}  # noqa: SIM118 - no mapping
    except (safetensors.SafetensorError, OSError, ValueError, KeyError, RuntimeError) as error:
        raise _damaged(path, error) from error


def read_torch(path: Path) -> dict[str, Tensor]:
    """The tensors of a `torch.save` file: a state dict, or one under `state_dict`, `model` or `net` of a checkpoint.

    Raises:
        WeightsFormatError: damaged, not tensors by name, or a pickle that runs code when read.
    """
    try:
        with warnings.catch_warnings(action="ignore"):  # it warns of pickle protocols that it then refuses
            found = torch.load(path, map_location="cpu", weights_only=True)
    except pickle.UnpicklingError as error:
        called = re.search(r"GLOBAL (\S+)", str(error))
        what = "a pickle that would run code when read" if called else "damaged, or a pickle of more than tensors"
        raise WeightsFormatError(
            f"{path} is {what}, and was not read",
            got=f"a call of {called[1]}" if called else None,
            expected="a state dict",
            fix="Save its state_dict() as safetensors where the file is trusted",
        ) from error
    except _BAD_PICKLE as error:
        raise _damaged(path, error) from error
    while isinstance(found, dict):
        inner = next((found[key] for key in _CHECKPOINT_KEYS if isinstance(found.get(key), dict)), None)
        if inner is None:
            break
        found = inner
    if not isinstance(found, dict) or not found or not all(_is_plain(value) for value in found.values()):
        raise WeightsFormatError(f"{path} is not a state dict", got=type(found).__name__, expected="tensors by name")
    return {str(name): value for name, value in found.items()}


def _is_plain(value: object) -> bool:
    """A tensor whose numbers are all there: not sparse, quantised, or (device "meta") a shape alone."""
    return (
        isinstance(value, Tensor)
        and value.device.type == "cpu"
        and value.layout is torch.strided
        and not value.is_quantized
    )


def _damaged(path: Path, error: Exception) -> WeightsFormatError:
    return WeightsFormatError(
        f"{path} cannot be read",
        got=" ".join(str(error).split())[:200] or type(error).__name__,
        fix="It is truncated or damaged: copy or download it again",
    )
