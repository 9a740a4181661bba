"""A network as a `.weights.h5` of Keras 3 that the network of that name in keras.applications loads.

Keras finds the layers of such a file by class and number, counted in the order of `model.layers`, and their variables
by number (keras 3.15, saving_lib._save_container_state). h5py alone writes it.
"""

from collections import Counter
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import h5py
import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from separable.errors import UsageError, WeightsMismatchError
from separable.files import make_directory, write_atomically
from separable.models.base import ImageModel
from separable.models.build import build_model, model_spec
from separable.models.contract import InputContract
from separable.weights.certificate import changed_options
from separable.weights.contracts import contract_for
from separable.weights.convert import Converted
from separable.weights.folder import refuse_existing
from separable.weights.keras_names import Plan, Target, plan_for
from separable.weights.reference import KERAS_NETWORKS
from separable.weights.refit import refit
from separable.weights.remainder import Written, check_writable, measure_remainder, twin_reference
from separable.weights.stored import Kind, StoredLayers
from separable.weights.verify import Difference

__all__ = ["save_keras"]

Layer = tuple[str, str, tuple[NDArray[np.float32], ...]]
"""Class in snake case, name, variables."""

_FREE = {"aux_head", "bias", "dropout", "features_only", "gamma", "resolution"}
"""Options that Keras' network need not share: what they add is folded in or left out, or changes nothing here."""
_WITHOUT_GAMMA = ("inception_resnet_v2", "inception_v3")  # scale=False
_WITH_BIAS = ("resnet101", "resnet152", "resnet50")
_CLASSES: dict[Kind, str] = {
    "conv": "conv2d",
    "transposed": "conv2d_transpose",
    "depthwise": "depthwise_conv2d",
    "separable": "separable_conv2d",
    "norm": "batch_normalization",
    "dense": "dense",
}


def save_keras(model: ImageModel, path: Path | str, *, allow_difference: bool = False) -> dict[str, Any]:
    """Write the weights of `model` to `path`, for `load_weights` of Keras' own network.

    Biases, gammas and an epsilon that Keras' network lacks are folded (see `refit`); what differs for all that, such as
    borders, is measured at the network's size and at one of the other parity.

    Returns:
        What was written, as in `Written`: how to load it, what was folded, what differs.

    Raises:
        UsageError: `path` does not end in .weights.h5, or is already there.
        WeightsMismatchError: Keras has no such network, or one that answers differently beyond the tolerance.
        OutputError: it cannot be written.
    """
    path = Path(path)
    _check_path(path)
    if model.name == "unet_xception":
        return _save_example(model, path)
    if model.name not in KERAS_NETWORKS:
        raise WeightsMismatchError(f"Keras has no {model.name}", expected=" or ".join(sorted(KERAS_NETWORKS)))
    check_writable(model, "Keras")
    _check_options(model)
    theirs = _contract(model, path)
    options = {**model.options, "aux_head": False} if "aux_head" in model.options else dict(model.options)
    for name in ("gamma", "bias"):
        if model.name in _WITHOUT_GAMMA and name in options:
            options[name] = False
    numerics = {name: getattr(theirs, name) for name in ("padding", "batch_norm_eps", "counts_padding")}
    contract = replace(model.input_contract, **numerics)
    refitted = refit(model, options, contract, convolutions=_convolutions(plan_for(model)))
    twin, exact = refitted.model, refitted.same and contract == model.input_contract
    differences: tuple[Difference, ...] = ()
    reference = twin_reference(twin, "Keras")
    if not exact:
        differences = measure_remainder(
            model, reference, "Keras", one_size=model.name == "vgg16", allow_difference=allow_difference
        )
    _write(path, list(_layers(twin)))
    return Written(
        framework="keras",
        network=KERAS_NETWORKS[model.name][1],
        load=_loading(twin, path),
        exact=exact,
        notes=(*refitted.notes, _pictures(model, theirs)),
        against="" if exact else reference.network,
        differences=differences,
    ).to_json()


def _save_example(model: ImageModel, path: Path) -> dict[str, Any]:
    """The U-Net of Keras' segmentation example, which no module of Keras has: its user has built it from the page."""
    check_writable(model, "Keras")
    _check_options(model)
    plain = model_spec(model.name).input
    contract = model.input_contract
    if (contract.padding, contract.batch_norm_eps) != (plain.padding, plain.batch_norm_eps):
        raise WeightsMismatchError(
            "Keras' example has other borders or another epsilon",
            got=f"{contract.padding}, {contract.batch_norm_eps:g}",
            expected=f"{plain.padding}, {plain.batch_norm_eps:g}",
        )
    _write(path, list(_layers(model)))
    return Written(
        framework="keras",
        network=f"the U-Net of {model_spec(model.name).paper}",
        load=f'get_model(({contract.size[0]}, {contract.size[1]}), {model.num_classes}).load_weights("{path.name}")',
        exact=True,
        notes=(_prepared(contract),),
        against="",
        differences=(),
    ).to_json()


def _check_path(path: Path) -> None:
    if not path.name.endswith(".weights.h5") or path.name == ".weights.h5":
        raise UsageError("Keras loads weights by their ending", got=str(path), expected="a name ending in .weights.h5")
    refuse_existing(path, folder=False)


def _check_options(model: ImageModel) -> None:
    """Keras' networks have few options: the number of classes, and MobileNet's width."""
    free = _FREE | {"mobilenet_v1": {"width"}, "unet_xception": {"depth", "width"}}.get(model.name, set())
    with torch.device("meta"):
        plain = build_model(model.name)
    if changed := {key: value for key, value in changed_options(model).items() if key not in free | {"in_channels"}}:
        raise WeightsMismatchError(
            f"Keras has no {model.name} like this",
            got=", ".join(f"{key}={value!r}" for key, value in changed.items()),
            expected=", ".join(f"{key}={plain.options[key]!r}" for key in changed),
            fix="Keep it in separable's own format",
        )
    if not model.num_classes and model.name == "vgg16":
        raise WeightsMismatchError(
            "Keras has no vgg16 with its dense layers and without its classifier",
            got="num_classes=0",
            fix="Build it with a classifier",
        )


def _contract(model: ImageModel, path: Path) -> InputContract:
    """What we would run such a file with."""
    return contract_for(model, StoredLayers(path, "keras-3 weights", ()), Converted({}, (), False, False))[0]


def _convolutions(plan: Plan) -> dict[str, str]:
    """By the prefix of a batch normalisation that of the convolution before it; the second of a separable one."""
    return {
        unit.norm.prefix: f"{unit.conv.prefix}.pointwise" if unit.conv.kind == "separable" else unit.conv.prefix
        for unit in plan.created
        if unit.norm is not None
    }


def _layers(model: ImageModel) -> Iterator[Layer]:
    """The layers of Keras' network in the order of its `layers`, one class after the other."""
    plan, state = plan_for(model), {name: value.float() for name, value in model.state_dict().items()}
    numbers = _numbers(plan)
    for kind in _CLASSES:
        for target in plan.targets(kind, listed=True):
            name = _name(model, target, numbers)
            yield _CLASSES[kind], name, tuple(_array(value) for value in _variables(model, target, state))
    if plan.classifier is None:
        return
    kernel, bias = (state[f"head.classifier.{part}"] for part in ("weight", "bias"))
    if plan.classifier.kind == "conv":
        name = _numbered("conv2d", len(plan.targets("conv")))
        yield "conv2d", name, (_array(kernel.permute(2, 3, 1, 0)), _array(bias))
    elif model.name == "mobilenet_v1":  # a 1x1 convolution
        yield "conv2d", "conv_preds", (_array(kernel.T[None, None]), _array(bias))
    else:
        yield "dense", "predictions", (_array(kernel.T), _array(bias))


def _variables(model: ImageModel, target: Target, state: dict[str, Tensor]) -> Iterator[Tensor]:
    """One layer's variables in Keras' order and layouts."""
    prefix = target.prefix
    if target.kind == "norm":
        names = ("weight", "bias", "running_mean", "running_var")
        yield from (state[f"{prefix}.{name}"] for name in names if f"{prefix}.{name}" in state)
        return
    if target.kind == "separable":
        yield state[f"{prefix}.depthwise.weight"].permute(2, 3, 0, 1)
        yield state[f"{prefix}.pointwise.weight"].permute(2, 3, 1, 0)
        if f"{prefix}.pointwise.bias" in state:
            yield state[f"{prefix}.pointwise.bias"]
        return
    weight, bias = state[f"{prefix}.weight"], state.get(f"{prefix}.bias")
    if target.kind == "transposed":
        yield weight.flip(2, 3).permute(2, 3, 0, 1)
    elif target.kind == "depthwise":
        yield weight.permute(2, 3, 0, 1)
    elif target.kind == "conv":
        yield weight.permute(2, 3, 1, 0)
    else:
        yield _by_pixel(weight, target.grid**2).T
    if bias is None and target.kind == "conv" and model.name in _WITH_BIAS:
        bias = weight.new_zeros(weight.shape[0])
    if bias is not None:
        yield bias


def _by_pixel(weight: Tensor, pixels: int) -> Tensor:
    """Inputs in the order (C, H, W) to (H, W, C): Keras flattens a map pixel by pixel."""
    return weight.unflatten(1, (-1, pixels)).transpose(1, 2).flatten(1) if pixels else weight


def _array(value: Tensor) -> NDArray[np.float32]:
    found: NDArray[np.float32] = np.ascontiguousarray(value.numpy())
    return found


def _numbers(plan: Plan) -> dict[str, int]:
    """By prefix the number of each layer that Keras does not name: in the order in which it makes them."""
    found: dict[str, int] = {}
    for kind in _CLASSES:
        unnamed = [target for target in plan.targets(kind) if not target.names]
        found |= {target.prefix: number for number, target in enumerate(unnamed)}
    return found


def _name(model: ImageModel, target: Target, numbers: dict[str, int]) -> str:
    if target.names:  # the first convolution's last name is the ResNets'
        return target.names[-1 if model.name in _WITH_BIAS else 0]
    return _numbered(_CLASSES[target.kind], numbers[target.prefix])


def _numbered(name: str, number: int) -> str:
    return f"{name}_{number}" if number else name


def _write(path: Path, layers: list[Layer]) -> None:
    def write(temporary: Path) -> None:
        counts: Counter[str] = Counter()
        with h5py.File(temporary, "w") as file:
            for class_name, name, variables in layers:
                group = file.create_group(f"layers/{_numbered(class_name, counts[class_name])}/vars")
                group.attrs["name"] = name
                for number, value in enumerate(variables):
                    group[str(number)] = value
                counts[class_name] += 1

    make_directory(path.parent)
    write_atomically(path, write)


def _loading(model: ImageModel, path: Path) -> str:
    height, width = model.input_contract.size
    given = [f"weights=None, input_shape=({height}, {width}, 3)"]
    given.append(f"classes={model.num_classes}" if model.num_classes else 'include_top=False, pooling="avg"')
    if model.name == "mobilenet_v1":
        given.append(f"alpha={model.options['width']:g}")
    return f'keras.applications.{KERAS_NETWORKS[model.name][1]}({", ".join(given)}).load_weights("{path.name}")'


def _pictures(model: ImageModel, theirs: InputContract) -> str:
    """How to prepare pictures for it in Keras."""
    ours, module = model.input_contract, KERAS_NETWORKS[model.name][0]
    keys = ("mean", "std", "colour_order", "pixel_range")
    if all(getattr(ours, key) == getattr(theirs, key) for key in keys):
        return f"pictures are prepared by keras.applications.{module}.preprocess_input"
    return f"{_prepared(ours)}, not what preprocess_input makes"


def _prepared(contract: InputContract) -> str:
    mean, std = (", ".join(f"{value:.4g}" for value in values) for values in (contract.mean, contract.std))
    return f"give it (pixel / {contract.pixel_range[1]:g} - ({mean})) / ({std}) in {contract.colour_order}"
