"""Keras' HDF5 files: the generic names of Keras 1, the legacy layout of Keras 2 and 3, and `.weights.h5` of Keras 3.

A file may come from anywhere, so only what lies in the file itself is followed: links that lead out of it, datasets
stored elsewhere, and arrays larger than the model can need are refused by name before anything is read.
"""

import json
import re
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import IO, Any

import h5py
import numpy as np

from separable.errors import WeightsFormatError
from separable.weights.stored import Budget, Kind, StoredLayer, StoredLayers, kind_of

__all__ = ["read_hdf5"]

# Keras 1 wrote W and b, and called the running *variance* running_std (keras 1.2 BatchNormalization.build).
_KERAS_1 = {"W": "kernel", "b": "bias", "running_mean": "moving_mean", "running_std": "moving_variance"}
# Order of `vars/0, vars/1, ...` in Keras 3, by the class in the group's name.
_CLASSES: dict[str, tuple[Kind, tuple[str, ...]]] = {
    "conv2d": ("conv", ("kernel", "bias")),
    "conv2d_transpose": ("transposed", ("kernel", "bias")),
    "depthwise_conv2d": ("depthwise", ("depthwise_kernel", "bias")),
    "separable_conv2d": ("separable", ("depthwise_kernel", "pointwise_kernel", "bias")),
    "batch_normalization": ("norm", ("gamma", "beta", "moving_mean", "moving_variance")),
    "dense": ("dense", ("kernel", "bias")),
}
_LINK_COST = 16384  # bytes that following a link counts as: links may go in circles, so their number is bounded too
_KERAS_3_ROOTS = ("layers", "_layer_checkpoint_dependencies")


def read_hdf5(path: Path, limit: int, content: IO[bytes] | None = None) -> StoredLayers:
    """Read the layers of a Keras HDF5 file.

    Args:
        path: the file, named in every message.
        limit: most bytes that its weights may unfold to.
        content: the HDF5 bytes where they are a member of another file (`.keras`).

    Raises:
        WeightsFormatError: not HDF5, truncated, damaged, not written by Keras, or with links out of the file.
    """
    try:
        with h5py.File(content if content is not None else path, "r") as file:
            return _read(file, Budget(path, limit))
    except (OSError, KeyError, RuntimeError, ValueError, TypeError, AttributeError) as error:
        # h5py raises any of these on damaged files; ours are none of them.
        raise WeightsFormatError(
            f"{path} is not a readable HDF5 file", got=str(error), fix="It is truncated or damaged: download it again"
        ) from error


def _read(file: h5py.File, budget: Budget) -> StoredLayers:
    for name in _KERAS_3_ROOTS:
        if name in file:
            return _read_keras_3(_group(file, name, budget), budget)
    root = _group(file, "model_weights", budget) if "model_weights" in file else file
    names = _names(root, "layer_names")
    ordered = names is not None
    if names is None:
        names = [name for name in root if name not in ("optimizer_weights", "top_level_model_weights")]
    layers: list[StoredLayer] = []
    transposed = {config.get("name") for kind, config in _configured_layers(file) if kind == "Conv2DTranspose"}
    for name in names:
        for layer in _legacy_layers(_group(root, name, budget), name, budget):
            turned = layer.kind == "conv" and (layer.name in transposed or layer.name.startswith("conv2d_transpose"))
            layers.append(replace(layer, kind="transposed") if turned else layer)
    if not layers:
        raise WeightsFormatError(f"{budget.path} holds no Keras layers", got=f"groups {sorted(file)[:5]}")
    version = root.attrs.get("keras_version", file.attrs.get("keras_version", "1"))
    major = str(version.decode() if isinstance(version, bytes) else version).split(".")[0]
    activation, input_size = _configuration(file)
    return StoredLayers(
        budget.path,
        f"keras-{major} h5",
        tuple(layers),
        ordered=ordered,
        activation=activation,
        input_size=input_size,
    )


def _configuration(file: h5py.File) -> tuple[str | None, tuple[int, int] | None]:
    """The one kind of ReLU and the input's height and width of the stored model, where it is stored and tells."""
    activations, size = set(), None
    for kind, config in _configured_layers(file):
        if kind == "InputLayer":
            shape = config.get("batch_input_shape") or config.get("batch_shape")
            if isinstance(shape, list) and len(shape) == 4 and isinstance(shape[1], int) and isinstance(shape[2], int):
                size = (shape[1], shape[2])
        if kind == "ReLU":
            activations.add("relu6" if config.get("max_value") == 6 else "relu")
        if kind == "Activation" and config.get("activation") != "softmax":
            activations.add(str(config.get("activation")))
    return activations.pop() if len(activations) == 1 else None, size


def _configured_layers(file: h5py.File) -> list[tuple[str, dict[str, Any]]]:
    """Class and settings of each layer in the stored configuration: a hint, so what is strange in it is passed over."""
    try:
        config = json.loads(file.attrs.get("model_config", "{}"))["config"]
    except (ValueError, TypeError, KeyError, RecursionError):
        return []
    layers = config.get("layers") if isinstance(config, dict) else config  # Sequential's was a list until Keras 2.2
    found = [layer for layer in layers if isinstance(layer, dict)] if isinstance(layers, list) else []
    return [(str(layer.get("class_name")), layer["config"]) for layer in found if isinstance(layer.get("config"), dict)]


def _legacy_layers(group: h5py.Group, name: str, budget: Budget) -> list[StoredLayer]:
    """One group is one layer, or a nested model whose weights' names tell the layers apart."""
    weight_names = _names(group, "weight_names")
    if weight_names is None:
        weight_names = [key for key, _ in _datasets(group, budget)]
    found: dict[str, dict[str, Any]] = {}
    for weight_name in weight_names:
        *prefix, last = weight_name.split("/")
        layer = prefix[-1] if prefix else name
        variable = last.removesuffix(":0").removeprefix(f"{layer}_")
        found.setdefault(layer, {})[_KERAS_1.get(variable, variable)] = _array(group, weight_name, budget)
    return [_layer(layer, variables) for layer, variables in found.items()]


def _layer(name: str, variables: dict[str, Any]) -> StoredLayer:
    kernel = variables.get("kernel")
    kind = kind_of(variables, kernel.shape if kernel is not None else None)
    if kind == "depthwise" and kernel is not None:
        variables = {"depthwise_kernel" if key == "kernel" else key: value for key, value in variables.items()}
    return StoredLayer(name, kind, variables)


def _read_keras_3(root: h5py.Group, budget: Budget) -> StoredLayers:
    """Groups are called by class and counted in the order of `model.layers`; `vars` may carry the layer's own name."""
    layers: list[tuple[tuple[object, ...], StoredLayer]] = []
    named = True
    for group_path, group in _variable_groups(root, budget):
        values = {int(key): _array(group, key, budget) for key in group if key.isdigit()}
        class_name, counter = _numbered(group_path[-1])
        kind, variables = _CLASSES.get(class_name, ("other", ()))
        if kind == "norm" and len(values) == 3:  # scale=False
            variables = variables[1:]
        if len(values) > len(variables):
            kind, variables = "other", tuple(str(index) for index in sorted(values))
        own = group.attrs.get("name")
        named = named and own is not None
        name = str(own) if own is not None else "/".join(group_path)
        content = {variables[place]: values[index] for place, index in enumerate(sorted(values))}
        layers.append(((group_path[:-1], class_name, counter), StoredLayer(name, kind, content)))
    if not layers:
        raise WeightsFormatError(f"{budget.path} holds no Keras layers", got=f"groups {sorted(root)[:5]}")
    layers.sort(key=lambda item: item[0])
    return StoredLayers(budget.path, "keras-3 weights", tuple(layer for _, layer in layers), ordered=True, named=named)


def _variable_groups(
    group: h5py.Group, budget: Budget, at: tuple[str, ...] = ()
) -> Iterator[tuple[tuple[str, ...], Any]]:
    """Every (path of the layer, its `vars` group with arrays), nested models included."""
    for key in group:
        child = _child(group, key, budget)
        if not isinstance(child, h5py.Group):
            continue
        if key == "vars":
            if at and any(name.isdigit() for name in child):
                yield at, child
        elif len(at) < 8:
            yield from _variable_groups(child, budget, (*at, key))


def _numbered(name: str) -> tuple[str, int]:
    match = re.fullmatch(r"(.*?)(?:_(\d+))?", name)
    assert match is not None
    return match[1], int(match[2] or 0)


def _names(group: h5py.Group, attribute: str) -> list[str] | None:
    """A list of names kept as an attribute; Keras splits a long one into `layer_names0`, `layer_names1`, ..."""
    parts = [group.attrs[attribute]] if attribute in group.attrs else []
    while f"{attribute}{len(parts)}" in group.attrs and attribute not in group.attrs:
        parts.append(group.attrs[f"{attribute}{len(parts)}"])
    if not parts:
        return None
    return [name.decode() if isinstance(name, bytes) else str(name) for part in parts for name in part]


def _child(group: h5py.Group, name: str, budget: Budget) -> Any:
    """`group[name]`, one hard link at a time."""
    budget.take(_LINK_COST, name)
    found: Any = group
    for step in name.split("/"):
        with _explained(budget.path, name):
            if not isinstance(found.get(step, getlink=True), h5py.HardLink):
                raise WeightsFormatError(
                    f"{budget.path} links to something outside itself, and was not read",
                    got=f"a link at {name}",
                    fix="A weight file needs no such links: get it from another place",
                )
            found = found[step]
    return found


@contextmanager
def _explained(path: Path, name: str) -> Iterator[None]:
    try:
        yield
    except (KeyError, AttributeError) as error:
        raise WeightsFormatError(f"{path} names {name} and does not hold it", fix="It is damaged") from error


def _group(parent: h5py.Group, name: str, budget: Budget) -> h5py.Group:
    found = _child(parent, name, budget)
    if not isinstance(found, h5py.Group):
        raise WeightsFormatError(f"{budget.path} is not laid out as Keras does", got=f"{name} is no group")
    return found


def _datasets(group: h5py.Group, budget: Budget, at: str = "") -> Iterator[tuple[str, h5py.Dataset]]:
    for key in group:
        child = _child(group, key, budget)
        if isinstance(child, h5py.Dataset):
            yield f"{at}{key}", child
        elif at.count("/") < 8:
            yield from _datasets(child, budget, f"{at}{key}/")


def _array(group: h5py.Group, name: str, budget: Budget) -> Any:
    """The array at `name`, in single precision, native byte order, after every check that needs no reading."""
    found = _child(group, name, budget)
    if not isinstance(found, h5py.Dataset):
        raise WeightsFormatError(f"{budget.path} is not laid out as Keras does", got=f"{group.name}/{name} is no array")
    if found.external or found.is_virtual:
        raise WeightsFormatError(f"{budget.path} keeps {name} in another file, and was not read")
    if found.dtype.kind != "f":
        raise WeightsFormatError(
            f"{budget.path} has no numbers at {name}", got=f"type {found.dtype}", expected="floats"
        )
    budget.take(int(np.prod(found.shape, dtype=object)) * max(found.dtype.itemsize, 4), name)
    return np.asarray(found[()], dtype=np.float32)
