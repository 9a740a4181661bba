"""Stored layers to tensors of ours: layouts turned round, biases and folded batch normalisation carried over."""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from torch import Tensor, nn

from separable.errors import WeightsMismatchError
from separable.models.base import ImageModel
from separable.weights.keras_names import Plan, Target, Unit
from separable.weights.match import Pairing
from separable.weights.stored import StoredLayer

__all__ = ["Converted", "convert_layers"]


@dataclass(frozen=True)
class Converted:
    """Tensors by state-dict name, and what had to be done beyond copying."""

    tensors: dict[str, Tensor]
    notes: tuple[str, ...]
    folded: bool
    """The file lacks batch normalisation that the model has: it was folded into kernels and biases."""
    biased: bool
    """Its convolutions have biases."""


def convert_layers(model: ImageModel, plan: Plan, pairing: Pairing, path: Path) -> Converted:
    """Turn the paired layers into tensors that `model.load_state_dict` would take.

    Raises:
        WeightsMismatchError: a layer lacks a variable, has one of a shape that it cannot have, or has a gamma that the
            model has no place for.
    """
    tensors: dict[str, Tensor] = {}
    notes = list(pairing.notes)
    folded, biased, no_gamma = 0, 0, 0
    state = model.state_dict()
    for unit in plan.created:
        if unit.conv.prefix not in pairing.layers:
            continue
        conv = pairing.layers[unit.conv.prefix]
        kernels, bias = _conv(unit, conv, state, path)
        tensors.update(kernels)
        if unit.norm is None:
            continue
        norm = pairing.layers.get(unit.norm.prefix)
        folded += norm is None
        biased += bias is not None
        no_gamma += norm is not None and "gamma" not in norm.variables
        tensors.update(_norm(model, unit.norm, norm, bias, path))
    for target in plan.dense:
        if target.prefix in pairing.layers:
            tensors.update(_dense(target, pairing.layers[target.prefix], path))
    if pairing.classifier is not None and plan.classifier is not None:
        convolution = plan.classifier.kind == "conv"
        tensors.update((_pixel_classifier if convolution else _dense)(plan.classifier, pairing.classifier, path))
    if folded:
        notes.append("batch normalisation was folded into the kernels: mean 0, variance 1 - epsilon, gamma 1")
    elif biased:
        notes.append(f"{biased} convolution biases moved into the running means that follow them")
    if no_gamma and any(name.endswith(".bn.weight") for name in state):
        notes.append("the file has no gamma (scale=False): 1 everywhere")
    return Converted(tensors, tuple(notes), bool(folded), bool(biased))


def _variable(layer: StoredLayer, name: str, path: Path) -> Tensor:
    if name not in layer.variables:
        raise WeightsMismatchError(
            f"{path} lacks a variable", got=f"{layer.name} with {sorted(layer.variables)}", expected=name
        )
    return torch.from_numpy(layer.variables[name])


def _conv(
    unit: Unit, layer: StoredLayer, state: Mapping[str, Tensor], path: Path
) -> tuple[dict[str, Tensor], np.ndarray | None]:
    """The convolution's tensors; its bias apart where the model has no such bias, for the normalisation to take in."""
    found = _kernels(unit, layer, path)
    bias = layer.variables.get("bias")
    outputs = list(found.values())[-1].shape[:1]
    if bias is not None:
        _check_bias(layer, torch.from_numpy(bias), outputs, path)
    last = f"{unit.conv.prefix}.pointwise" if unit.conv.kind == "separable" else unit.conv.prefix
    ours = f"{last}.bias"
    if ours not in state:
        return found, bias
    return {**found, ours: torch.zeros(outputs) if bias is None else torch.from_numpy(bias)}, None


def _kernels(unit: Unit, layer: StoredLayer, path: Path) -> dict[str, Tensor]:
    if layer.kind == "separable":
        name = unit.conv.prefix
        return {
            f"{name}.depthwise.weight": _oihw(layer, "depthwise_kernel", path, depthwise=True),
            f"{name}.pointwise.weight": _oihw(layer, "pointwise_kernel", path),
        }
    if layer.kind == "depthwise":
        return {f"{unit.conv.prefix}.weight": _oihw(layer, "depthwise_kernel", path, depthwise=True)}
    if layer.kind == "transposed":
        return {f"{unit.conv.prefix}.weight": _turned(layer, path)}
    return {f"{unit.conv.prefix}.weight": _oihw(layer, "kernel", path)}


def _turned(layer: StoredLayer, path: Path) -> Tensor:
    """The kernel (H, W, out, in) of a transposed convolution of stride 1 to that of the convolution that it is.

    y[p] = sum over k of x[p + 1 - k] kernel[k] is a sum over j = 2 - k of x[p - 1 + j] kernel[2 - j].
    """
    return _oihw(layer, "kernel", path, depthwise=True).flip(2, 3)


def _oihw(layer: StoredLayer, name: str, path: Path, *, depthwise: bool = False) -> Tensor:
    """(H, W, in, out) to (out, in, H, W); with `depthwise` the first two last, (H, W, C, 1) to (C, 1, H, W)."""
    kernel = _variable(layer, name, path)
    if kernel.ndim != 4:
        raise WeightsMismatchError(f"{path} has a kernel of another rank", got=f"{layer.name} {tuple(kernel.shape)}")
    return kernel.permute((2, 3, 0, 1) if depthwise else (3, 2, 0, 1)).contiguous()


def _dense(target: Target, layer: StoredLayer, path: Path) -> dict[str, Tensor]:
    """A dense kernel (in, out), or a 1x1 convolution used as one (1, 1, in, out), to (out, in).

    On a flattened map of `target.grid` pixels a side the inputs are put from (H, W, C) into the order (C, H, W).
    """
    kernel = _variable(layer, "kernel", path)
    if kernel.ndim != 2 and (kernel.ndim != 4 or kernel.shape[:2] != (1, 1)):
        raise WeightsMismatchError(
            f"{path} has a classifier that is no dense layer",
            got=f"{layer.name} with a kernel {tuple(kernel.shape)}",
            expected="(inputs, classes), or (1, 1, inputs, classes)",
            fix="It is damaged, or another network's: check the model's name",
        )
    bias = _variable(layer, "bias", path) if "bias" in layer.variables else torch.zeros(kernel.shape[-1])
    _check_bias(layer, bias, kernel.shape[-1:], path)
    weight = kernel.reshape(kernel.shape[-2:]).T
    pixels = target.grid**2
    if pixels and weight.shape[1] % pixels == 0:  # if not, `compare` refuses the shape
        weight = weight.unflatten(1, (pixels, -1)).transpose(1, 2).flatten(1)
    return {f"{target.prefix}.weight": weight.contiguous(), f"{target.prefix}.bias": bias}


def _pixel_classifier(target: Target, layer: StoredLayer, path: Path) -> dict[str, Tensor]:
    kernel, bias = _oihw(layer, "kernel", path), _variable(layer, "bias", path)
    _check_bias(layer, bias, kernel.shape[:1], path)
    return {f"{target.prefix}.weight": kernel, f"{target.prefix}.bias": bias}


def _check_bias(layer: StoredLayer, bias: Tensor, expected: torch.Size, path: Path) -> None:
    if bias.shape != expected:
        raise WeightsMismatchError(
            f"{path} has a bias of another shape",
            got=f"{layer.name} with a bias {tuple(bias.shape)}",
            expected=f"{tuple(expected)}, a number for each of its outputs",
            fix="It is damaged: get it again",
        )


def _norm(
    model: ImageModel, target: Target, layer: StoredLayer | None, bias: np.ndarray | None, path: Path
) -> dict[str, Tensor]:
    """Batch normalisation `target` of one unit, the bias of the convolution before it taken in.

    gamma (x + b - mean) / sqrt(var + eps) + beta has no b if the mean is made smaller by b. With no batch
    normalisation stored, gamma = 1, beta = b, mean = 0 and var = 1 - eps leave x + b.
    """
    ours = model.get_submodule(target.prefix)
    assert isinstance(ours, nn.BatchNorm2d)
    shift = torch.from_numpy(bias) if bias is not None else None
    if layer is None:
        channels = ours.num_features
        found = {"running_mean": torch.zeros(channels), "running_var": torch.full((channels,), 1.0 - ours.eps)}
        found["bias"] = shift if shift is not None else torch.zeros(channels)
        gamma = torch.ones(channels)
    else:
        mean = _variable(layer, "moving_mean", path)
        found = {
            # A mean of another shape is refused with all the others, in `compare`.
            "running_mean": mean - shift if shift is not None and shift.shape == mean.shape else mean,
            "running_var": _variable(layer, "moving_variance", path),
            "bias": _variable(layer, "beta", path),
        }
        gamma = _variable(layer, "gamma", path) if "gamma" in layer.variables else torch.ones_like(mean)
    if "weight" in ours.state_dict():
        found["weight"] = gamma
    elif not bool((gamma == 1).all()):
        raise WeightsMismatchError(
            f"{path} has a gamma in {layer.name if layer else target.prefix}, and this {model.name} has none",
            fix="Build the model with gamma=True",
        )
    return {f"{target.prefix}.{name}": value for name, value in found.items()}
