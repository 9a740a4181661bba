"""A network as timm and the Hugging Face hub keep theirs: `model.safetensors` in timm's names, and `config.json`."""

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import safetensors.torch
import torch
from torch import Tensor

from separable.errors import MissingExtraError, WeightsMismatchError
from separable.files import make_directory, write_bytes_atomically
from separable.models.base import ImageModel
from separable.models.build import build_model
from separable.models.contract import InputContract
from separable.weights.folder import refuse_existing
from separable.weights.ports import PORTS
from separable.weights.ports.port import Port
from separable.weights.ports.read import check_fixed, port_tensors
from separable.weights.reference import Reference, torch_reference
from separable.weights.refit import Refitted, refit
from separable.weights.remainder import Written, check_writable, measure_remainder, twin_reference
from separable.weights.verify import Difference

__all__ = ["save_timm"]


def save_timm(
    model: ImageModel, folder: Path | str, *, allow_difference: bool = False, license: str | None = None
) -> dict[str, Any]:
    """Write `model` into `folder` for `timm.create_model("local-dir:FOLDER", pretrained=True)`.

    An epsilon that timm's network does not have is folded (see `refit`). What differs for all that, such as borders and
    averages, is measured at the network's size and at one of the other parity: against timm itself where it is
    installed, else against our own network with timm's numerics.

    Args:
        folder: made where it is not there; empty.
        license: as the Hugging Face hub calls it, such as "apache-2.0"; left out where it is not known.

    Returns:
        What was written, as in `Written`: how to load it, what was folded, what differs.

    Raises:
        UsageError: there is something in `folder`.
        WeightsMismatchError: timm has no such network, or one that answers differently beyond the tolerance.
        OutputError: it cannot be written.
    """
    folder = Path(folder)
    _check_folder(folder)
    port = _port(model)
    check_writable(model, "timm")
    refitted = _twin(port, model)
    twin, exact = refitted.model, refitted.same and refitted.model.input_contract == model.input_contract
    tensors = _tensors(port, twin)
    reference, differences = None, tuple[Difference, ...]()
    if not exact:
        reference = _reference(port, twin, tensors, folder)
        differences = measure_remainder(model, reference, "timm", one_size=False, allow_difference=allow_difference)
    config = _config(port, twin, license)
    make_directory(folder)
    # The hub's tools look for this one key, and two would be written in random order.
    write_bytes_atomically(folder / "model.safetensors", safetensors.torch.save(tensors, {"format": "pt"}))
    text = json.dumps(config, indent=2, ensure_ascii=False) + "\n"
    write_bytes_atomically(folder / "config.json", text.encode(errors="backslashreplace"))
    return Written(
        framework="timm",
        network=port.models[model.name],
        load=f'timm.create_model("local-dir:{folder}", pretrained=True)',
        exact=exact,
        notes=refitted.notes,
        against="" if reference is None else f"{reference.framework} {reference.version}'s {reference.network}",
        differences=differences,
    ).to_json()


def _check_folder(folder: Path) -> None:
    refuse_existing(folder)


def _port(model: ImageModel) -> Port:
    ports = [port for port in PORTS if port.framework == "timm"]
    found = next((port for port in ports if model.name in port.models), None)
    if found is None:
        names = sorted({name for port in ports for name in port.models})
        raise WeightsMismatchError(
            f"timm has no {model.name}", expected=f"one of {', '.join(names)}", fix="Keep it in separable's own format"
        )
    return found


def _twin(port: Port, model: ImageModel) -> Refitted:
    """The network that timm has for `model`, as one of ours, with its weights."""
    options = dict(model.options)
    if "aux_head" in options:  # with one, timm's inception_v3 answers a pair
        options["aux_head"] = False
    stand_in = _on_meta(model, options)
    check_fixed(port, stand_in)
    tensors = port_tensors(port, stand_in)
    theirs = {key: value for key, value in port.options(tensors).items() if key in options}
    contract = port.contract(_on_meta(model, options | theirs), tensors)
    numerics = {name: getattr(contract, name) for name in ("padding", "batch_norm_eps", "counts_padding")}
    refitted = refit(model, options | theirs, replace(_for_timm(model.input_contract), **numerics))
    silent = ("aux_head", "gamma")  # told by `refit`, where it did something about them
    changed = {key: value for key, value in theirs.items() if value != options[key] and key not in silent}
    notes = tuple(f"timm's network has {key}={value!r}" for key, value in changed.items())
    if model.input_contract.colour_order == "BGR":
        _turn_colours(refitted.model)
        notes += ("the first convolution's channels were turned round, from BGR to timm's RGB",)
    return replace(refitted, notes=(*refitted.notes, *notes), same=refitted.same and not notes)


def _on_meta(model: ImageModel, options: dict[str, Any]) -> ImageModel:
    with torch.device("meta"):
        return build_model(model.name, model.num_classes, **options)


def _for_timm(contract: InputContract) -> InputContract:
    """The same pictures in RGB from 0 to 255: all that timm prepares."""
    scale = contract.pixel_range[1] / 255
    mean, std = ((scale * one, scale * two, scale * three) for one, two, three in (contract.mean, contract.std))
    if contract.colour_order == "BGR":
        mean, std = mean[::-1], std[::-1]
    return replace(contract, mean=mean, std=std, colour_order="RGB", pixel_range=(0.0, 255.0))


@torch.no_grad()
def _turn_colours(twin: ImageModel) -> None:
    weight = next(value for value in twin.parameters() if value.dim() == 4 and value.shape[1] == 3)
    weight.data = weight.flip(1)  # not in place: the network that is written still has the old one


def _tensors(port: Port, twin: ImageModel) -> dict[str, Tensor]:
    """timm's state dict, its counters of batches with it."""
    tensors, names = port_tensors(port, twin), port.names(twin)
    for name, value in twin.state_dict().items():
        if name.endswith(".num_batches_tracked"):
            theirs = names[name.replace(".num_batches_tracked", ".running_mean")]
            tensors[theirs.removesuffix("running_mean") + "num_batches_tracked"] = value
    return {name: value.clone() for name, value in tensors.items()}  # safetensors refuses tensors that share memory


def _reference(port: Port, twin: ImageModel, tensors: dict[str, Tensor], folder: Path) -> Reference:
    try:
        return torch_reference(port, twin, tensors, folder / "model.safetensors")
    except MissingExtraError:
        return twin_reference(twin, "timm")


def _config(port: Port, twin: ImageModel, license: str | None) -> dict[str, Any]:
    """What timm's `create_model`, its transforms and the hub's pages read (timm 1.0, models/_hub.py)."""
    contract, names = twin.input_contract, port.names(twin)
    squash = contract.resize == "squash"
    first = next(name for name, value in twin.named_parameters() if value.dim() == 4)
    pretrained = {
        "input_size": [3, *contract.size],
        "fixed_input_size": False,
        "interpolation": contract.filter,
        "crop_pct": 1.0 if squash else contract.crop_fraction,
        "crop_mode": "squash" if squash else "center",
        "mean": list(contract.mean),
        "std": list(contract.std),
        "num_classes": twin.num_classes,
        "first_conv": names[first].removesuffix(".weight"),
        "classifier": port.classifier,
        **({} if license is None else {"license": license}),
    }
    arguments = port.arguments(twin)
    return {
        "architecture": port.models[twin.name],
        "num_classes": twin.num_classes,
        "num_features": twin.num_features,
        "global_pool": "avg",
        **({"label_names": list(contract.class_names)} if contract.class_names else {}),
        **({"model_args": arguments} if arguments else {}),
        "pretrained_cfg": pretrained,
    }
