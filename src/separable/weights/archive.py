"""Zip files with weights: Keras 3 `.keras` and numpy `.npz`. Nothing is unpacked beyond what its size allows."""

import io
import lzma
import re
import struct
import tokenize
import zipfile
import zlib
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np

from separable.errors import WeightsFormatError
from separable.weights.stored import Budget, StoredLayer, StoredLayers, kind_of

__all__ = ["archive_members", "keras_weights", "read_arrays", "read_keras_archive", "read_npz", "refuse_compressed"]

_KERAS_MEMBER = "model.weights.h5"
# What zipfile and the decompressors below it raise on damaged files: a bad stream, an unknown method, a password.
_UNREADABLE = (
    *(zipfile.BadZipFile, zlib.error, lzma.LZMAError, struct.error, NotImplementedError, RuntimeError),
    *(OSError, EOFError, ValueError, KeyError),
)
# What numpy raises on a header that is not the literal it should be.
_NO_HEADER = (
    *(ValueError, TypeError, SyntaxError, tokenize.TokenError, struct.error, KeyError, AttributeError),
    *(OverflowError, RecursionError, MemoryError),
)


@contextmanager
def _opened(path: Path) -> Iterator[zipfile.ZipFile]:
    try:
        with zipfile.ZipFile(path) as archive:
            yield archive
    except _UNREADABLE as error:
        raise WeightsFormatError(
            f"{path} is not a readable zip file",
            got=str(error) or type(error).__name__,
            fix="It is truncated or damaged: get it again",
        ) from error


def archive_members(path: Path) -> list[str]:
    """Names of the members.

    Raises:
        WeightsFormatError: not a zip file, or truncated.
    """
    with _opened(path) as archive:
        return archive.namelist()


def refuse_compressed(path: Path, limit: int) -> None:
    """Refuse a torch zip file whose records are compressed, or overlap: torch stores them as they are, for mapping.

    A file that is no zip, as torch wrote until version 1.6, has no records and passes.

    Raises:
        WeightsFormatError: compressed records, more than `limit` bytes of them, or a damaged zip file.
    """
    with open(path, "rb") as handle:
        if handle.read(4) != b"PK\x03\x04":
            return
    budget = Budget(path, limit)
    with _opened(path) as archive:
        for info in archive.infolist():
            budget.take(info.file_size, info.filename)
            if info.compress_type != zipfile.ZIP_STORED or info.compress_size != info.file_size:
                raise WeightsFormatError(
                    f"{path} has compressed records, and was not read",
                    got=f"{info.filename} of {info.file_size:,} bytes in {info.compress_size:,}",
                    expected="records as torch.save writes them",
                    fix="Load it where it is trusted, and save it again",
                )


def _member(archive: zipfile.ZipFile, name: str, budget: Budget) -> bytes:
    info = archive.getinfo(name)
    budget.take(info.file_size, name)
    with archive.open(info) as member:  # reads no more than file_size, and checks the CRC at the end
        return member.read()


def keras_weights(path: Path, limit: int) -> bytes:
    """The HDF5 file of weights in a Keras 3 `.keras` file; its configuration, which may name code, is not read.

    Raises:
        WeightsFormatError: no zip, no `model.weights.h5` in it, damaged, or unfolding to more than `limit` bytes.
    """
    with _opened(path) as archive:
        if _KERAS_MEMBER not in archive.namelist():
            raise WeightsFormatError(
                f"{path} has no weights", got=f"members {archive.namelist()[:5]}", expected=f"a member {_KERAS_MEMBER}"
            )
        return _member(archive, _KERAS_MEMBER, Budget(path, limit))


def read_keras_archive(path: Path, limit: int) -> StoredLayers:
    """Read the weights of a Keras 3 `.keras` file.

    Raises:
        WeightsFormatError: as `keras_weights`, or the weights are damaged.
    """
    from separable.weights.hdf5 import read_hdf5  # h5py takes 50 ms to import, and most starts need none

    stored = read_hdf5(path, limit, io.BytesIO(keras_weights(path, limit)))
    return StoredLayers(path, "keras-3 archive", stored.layers, stored.ordered, stored.named)


def read_npz(path: Path, limit: int) -> StoredLayers:
    """Read an `.npz` of arrays called `layer/kernel`, `layer/bias`, ... in Keras' layouts.

    Raises:
        WeightsFormatError: no zip, damaged, other names, pickled objects, or unfolding to more than `limit` bytes.
    """
    budget = Budget(path, limit)
    found: dict[str, dict[str, Any]] = {}
    with _opened(path) as archive:
        for member in archive.namelist():
            match = re.fullmatch(r"(.+)/([a-z_]+)\.npy", member)
            if match is None:
                raise WeightsFormatError(f"{path} is not a file of layers", got=member, expected="layer/variable.npy")
            found.setdefault(match[1], {})[match[2]] = _array(_member(archive, member, budget), path, member)
    layers = []
    for name, variables in found.items():
        kernel = variables.get("kernel")
        kind = kind_of(variables, kernel.shape if kernel is not None else None)
        if kind == "depthwise":
            variables = {"depthwise_kernel" if key == "kernel" else key: value for key, value in variables.items()}
        layers.append(StoredLayer(name, kind, variables))
    return StoredLayers(path, "npz", tuple(layers))


def read_arrays(path: Path, names: Iterable[str], limit: int) -> dict[str, Any]:
    """The arrays of an `.npz` that are called by one of `names`, in single precision.

    Raises:
        WeightsFormatError: no zip, damaged, pickled objects, or unfolding to more than `limit` bytes.
    """
    budget, wanted = Budget(path, limit), set(names)
    with _opened(path) as archive:
        members = [name for name in archive.namelist() if name.removesuffix(".npy") in wanted]
        return {name.removesuffix(".npy"): _array(_member(archive, name, budget), path, name) for name in members}


def _array(content: bytes, path: Path, member: str) -> Any:
    """The array in the bytes of an `.npy` file, whose header must say exactly as much as there is."""
    stream = io.BytesIO(content)
    shape, dtype = _header(stream, path, member)
    if dtype.kind != "f":  # objects would be pickles
        raise WeightsFormatError(f"{path} has no numbers at {member}", got=f"type {dtype}", expected="floats")
    size = int(np.prod(shape, dtype=object)) * dtype.itemsize
    if size != len(content) - stream.tell():
        raise WeightsFormatError(
            f"{path} is damaged at {member}", got=f"{len(content) - stream.tell():,} bytes", expected=f"{size:,}"
        )
    stream.seek(0)
    return np.lib.format.read_array(stream, allow_pickle=False).astype(np.float32)


def _header(stream: io.BytesIO, path: Path, member: str) -> tuple[tuple[int, ...], np.dtype[Any]]:
    """Shape and type that an `.npy` file says it has."""
    try:
        version = np.lib.format.read_magic(stream)
        read = np.lib.format.read_array_header_1_0 if version == (1, 0) else np.lib.format.read_array_header_2_0
        shape, _, dtype = read(stream)
        if not all(type(side) is int and side >= 0 for side in shape):  # numpy lets True and -1 through
            raise ValueError(f"shape {shape}")
    except _NO_HEADER as error:
        raise WeightsFormatError(
            f"{path} is damaged at {member}",
            got=" ".join(str(error).split())[:200] or type(error).__name__,
            expected="the header of an .npy file",
            fix="Get it again",
        ) from error
    return shape, dtype
