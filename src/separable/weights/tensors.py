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
from separable.weights.archive import refuse_compressed
from separable.weights.stored import Budget, unfolded_limit

__all__ = ["read_metadata", "read_safetensors", "read_shapes", "read_torch"]

_MAX_HEADER = 100 << 20  # the format's own limit
# Where trainings keep the weights: timm and Lightning, PyTorch's tutorials, many, DeepSpeed.
_WEIGHTS = ("state_dict", "model_state_dict", "model", "net", "network", "module", "weights")
_AVERAGED = ("state_dict_ema", "model_ema", "ema", "ema_state_dict", "model_ema_state_dict")
_MOST_WRAPPERS = 4  # a dict may hold itself
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


def read_torch(path: Path) -> tuple[dict[str, Tensor], tuple[str, ...]]:
    """The tensors of a `torch.save` file: a state dict, or the one in a checkpoint; and what was left out of that.

    Raises:
        WeightsFormatError: damaged, not tensors by name, a pickle that runs code when read, or a small file that
            unfolds to a large one.
    """
    limit = unfolded_limit(path)
    refuse_compressed(path, limit)
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
    found, notes = _unwrapped(path, found)
    if not isinstance(found, dict) or not found or not all(_is_plain(value) for value in found.values()):
        raise WeightsFormatError(
            f"{path} is not a state dict",
            got=_kind(found),
            expected=f"tensors by name, alone or under one of {', '.join(_WEIGHTS)}",
            fix="Load it where it was made, and save the state dict of its network alone",
        )
    _refuse_repeated(path, found, Budget(path, limit))
    return {str(name): value for name, value in found.items()}, notes


def _unwrapped(path: Path, found: object) -> tuple[object, tuple[str, ...]]:
    """The state dict in a checkpoint, whose other entries are counters and optimisers."""
    notes: list[str] = []
    for _ in range(_MOST_WRAPPERS):
        if not isinstance(found, dict):
            break
        inner = [key for key in _WEIGHTS if _has_tensors(found.get(key))]
        averaged = [key for key in _AVERAGED if _has_tensors(found.get(key))]
        if inner and averaged:
            notes.append(f"the averaged weights under {averaged[0]!r} were left out")
        inner = inner or averaged
        if len(inner) > 1:
            raise WeightsFormatError(
                f"{path} holds more than one network's weights",
                got=f"state dicts under {' and '.join(inner)}",
                expected="one",
                fix="Load it where it was made, and save the one that is meant alone",
            )
        if not inner:
            break
        found = found[inner[0]]
    return found, tuple(notes)


def _has_tensors(value: object, deep: int = _MOST_WRAPPERS) -> bool:
    """Whether it is a state dict, or a checkpoint around one."""
    if not isinstance(value, dict):
        return False
    return any(isinstance(entry, Tensor) for entry in value.values()) or (
        deep > 0 and any(_has_tensors(value.get(key), deep - 1) for key in (*_WEIGHTS, *_AVERAGED))
    )


def _kind(found: object) -> str:
    """What is there instead of tensors by name."""
    if not isinstance(found, dict):
        return type(found).__name__
    others = [str(name)[:60] for name, value in found.items() if not _is_plain(value)]
    more = f" and {len(others) - 8} more" if len(others) > 8 else ""
    return f"no plain tensors under {', '.join(others[:8])}{more}" if others else "an empty dict"


def _refuse_repeated(path: Path, tensors: dict[Any, Tensor], budget: Budget) -> None:
    """One stored number can stand for any number of equal ones, by a stride of 0, and fill the memory when copied."""
    for name, value in tensors.items():
        size, stored = value.numel() * value.itemsize, value.untyped_storage().nbytes()
        if size > stored:
            raise WeightsFormatError(
                f"{path} has a tensor that is larger than the data stored for it, and was not read",
                got=f"{name!s:.100} {tuple(value.shape)} of {size:,} bytes, with {stored:,} stored",
                fix="If it is meant, save value.clone() of each tensor",
            )
        budget.take(size, f"{name!s:.100}")


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
