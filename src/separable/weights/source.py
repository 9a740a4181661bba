"""Opening a weight file: its format is told from its content, and what is in it is read under the file's own names."""

from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import torch
from torch import Tensor

from separable.errors import WeightsFormatError
from separable.weights.archive import archive_members, read_arrays, read_keras_archive, read_npz
from separable.weights.ports.find import find_ports
from separable.weights.stored import StoredLayers, unfolded_limit
from separable.weights.tensors import read_metadata, read_safetensors, read_torch

__all__ = ["Format", "Source", "detect_format", "odd_names", "open_source"]

Format = Literal["hdf5", "keras", "npz", "safetensors", "torch"]
# DistributedDataParallel, FaceForensics and Lightning, torch.compile, DeepfakeBench.
_WRAPPERS = ("module.", "model.", "_orig_mod.", "backbone.")
_FORMATS = "Keras .h5, .keras and .weights.h5, .safetensors, .npz of layers, a torch state dict"
_SLOTS = ("/ExponentialMovingAverage", "/Momentum", "/RMSProp", "/RMSProp_1", "/Adam", "/Adam_1", "global_step")
"""Ends of the names of what TF-slim's training keeps beside the weights."""


@dataclass(frozen=True)
class Source:
    """A weight file that was read: named tensors, or the layers of a Keras-like one."""

    path: Path
    kind: Format
    tensors: dict[str, Tensor] | None = None
    layers: StoredLayers | None = None
    own: object = None
    """The input contract that `save_model` put into it, if anything."""
    config: dict[str, Any] | None = None
    """All of what `save_model` put into it: empty for files of others."""
    notes: tuple[str, ...] = ()


def open_source(path: Path, limit: int | None = None) -> Source:
    """Read `path`.

    Args:
        limit: most bytes that a compressed file may unfold to; None for several times its size.

    Raises:
        WeightsFormatError: not a weight file, damaged, or one that would run code.
    """
    kind = detect_format(path)
    limit = unfolded_limit(path) if limit is None else limit
    if kind in ("safetensors", "torch"):
        config = read_metadata(path) if kind == "safetensors" else {}
        tensors, left_out = read_torch(path) if kind == "torch" else (read_safetensors(path), ())
        tensors, notes = _without_prefix(_widened(tensors))
        notes = (*left_out, *notes)
        own = config.get("input")
        return Source(path, kind, tensors, None, own if isinstance(own, dict) else None, config, notes)
    if kind == "npz" and (variables := _slim_variables(path)):
        arrays = read_arrays(path, variables.values(), limit)
        slim = {name: torch.from_numpy(arrays[stored]) for name, stored in variables.items()}
        return Source(path, kind, slim, notes=_slots_left_out(path, variables))
    return Source(path, kind, layers=_read_layers(path, kind, limit))


def _slim_variables(path: Path) -> dict[str, str]:
    """TF-slim's names of the variables in an `.npz`, and what each is called in it; empty where it has others."""
    stored = [member.removesuffix(".npy") for member in archive_members(path)]
    names = {name.removesuffix(":0"): name for name in stored}
    kept = {name: there for name, there in names.items() if not name.endswith(_SLOTS)}
    return kept if find_ports(kept) else {}


def _slots_left_out(path: Path, variables: dict[str, str]) -> tuple[str, ...]:
    count = len(archive_members(path)) - len(variables)
    return (f"{count} moving averages and optimiser slots were left out",) if count else ()


def _read_layers(path: Path, kind: Format, limit: int) -> StoredLayers:
    if kind == "hdf5":
        from separable.weights.hdf5 import read_hdf5  # h5py takes 50 ms to import, and most starts need none

        return read_hdf5(path, limit)
    return read_keras_archive(path, limit) if kind == "keras" else read_npz(path, limit)


def detect_format(path: Path) -> Format:
    """The format of a weight file, from its first bytes and not from its name.

    Raises:
        WeightsFormatError: no such file, empty, or none of the known formats.
    """
    try:
        with open(path, "rb") as handle:
            start = handle.read(10)
    except OSError as error:
        raise WeightsFormatError(f"Cannot read {path}", got=error.strerror, expected="a weight file") from error
    if start.startswith(b"\x89HDF\r\n\x1a\n"):
        return "hdf5"
    if start.startswith(b"PK\x03\x04"):
        members = archive_members(path)
        if any(member.endswith("data.pkl") for member in members):
            return "torch"
        return "npz" if all(member.endswith(".npy") for member in members) else "keras"
    if start[4:9] == b"\0\0\0\0{":  # before pickles: the length before it may begin with their \x80
        return "safetensors"
    if start.startswith(b"\x80"):
        return "torch"
    if len(start) > 8 and start[8:9] == b"{":  # of an absurd length, which its reader names
        return "safetensors"
    raise WeightsFormatError(
        f"{path} is no weight file",
        got=f"a file that starts with {start!r}" if start else "an empty file",
        expected=_FORMATS,
        fix="A web page saved under its name looks like this too: download it again",
    )


def _widened(tensors: dict[str, Tensor]) -> dict[str, Tensor]:
    """Without floats of 8 bits, with which torch does next to nothing."""
    return {
        name: value.float() if value.is_floating_point() and value.itemsize == 1 else value
        for name, value in tensors.items()
    }


def _without_prefix(tensors: dict[str, Tensor]) -> tuple[dict[str, Tensor], tuple[str, ...]]:
    """What a wrapper (DistributedDataParallel, torch.compile, Lightning) put before every name, taken off."""
    taken = ""
    while prefix := next((p for p in _WRAPPERS if tensors and all(name.startswith(p) for name in tensors)), ""):
        tensors = {name.removeprefix(prefix): value for name, value in tensors.items()}
        taken += prefix
    return tensors, (f"{taken!r} was taken off every name",) if taken else ()


def odd_names(names: Iterable[str]) -> tuple[str, tuple[str, ...]] | None:
    """The prefix that nearly all names share, and those that lack it; None where there is no such thing.

    A checkpoint of a whole training module has the network under one name, and its loss, say, under another: which of
    them belong to the network is not for us to guess.
    """
    found = tuple(names)
    firsts = Counter(name.partition(".")[0] for name in found if "." in name)
    if not firsts:
        return None
    prefix, count = firsts.most_common(1)[0]
    if not 0.8 * len(found) < count < len(found):
        return None
    return f"{prefix}.", tuple(name for name in found if not name.startswith(f"{prefix}."))
