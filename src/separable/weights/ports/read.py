"""A port's file to tensors of ours, and a network of ours to the tensors of a port's file."""

from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path

import torch
from torch import Tensor, nn

from separable.errors import WeightsMismatchError
from separable.models.base import ImageModel
from separable.weights.compare import Content
from separable.weights.contracts import slim_size
from separable.weights.ports.find import canonical
from separable.weights.ports.port import Port
from separable.weights.ports.release import choose_release

__all__ = ["check_fixed", "port_tensors", "read_port"]

_FACE_FORENSICS = "named as FaceForensics does: that its pictures are cropped and resized as timm's is assumed"


def read_port(
    port: Port, model: ImageModel, path: Path, tensors: Mapping[str, Tensor], release: str | None = None
) -> Content:
    """The tensors of a file in the names and layouts of `model`, with the input contract that belongs to them.

    Args:
        tensors: by the file's names, whatever wraps them already taken off.
        release: which of the port's releases the file is; None to tell it from the file's name.

    Raises:
        WeightsMismatchError: the file has a gamma that this network has no place for.
    """
    stored = canonical(port, tensors)
    names, transforms = port.names(model), port.transforms(model)
    notes: list[str] = []
    found = {}
    for ours, theirs in names.items():
        if theirs in stored:
            found[ours] = transforms[ours].read_or_keep(stored[theirs]) if ours in transforms else stored[theirs]
    found |= _ones(model, names, found, notes)
    rest = sorted(set(stored) - set(names.values()))
    rest = [name for name in rest if name not in _idle_gammas(port, model, names, stored, path, notes)]
    dropped = [name for name in rest if name in _classifier(port) or name.startswith(_ignored(port, names))]
    notes += _dropping(port, dropped)
    missing = [theirs for ours, theirs in names.items() if ours not in found and not _may_miss(ours)]
    fitting = port.contract(model, stored)
    if port.framework == "tf-slim" and model.name == "mobilenet_v1":
        fitting = replace(fitting, size=slim_size(path, fitting.size))
    contract, release_notes = choose_release(port, path, fitting, release)
    if any(name.startswith("last_linear.1.") for name in tensors):
        notes.append(_FACE_FORENSICS)
    return Content(
        port.name,
        found,
        tuple(missing),
        tuple(name for name in rest if name not in dropped),
        tuple(dropped),
        (*notes, *release_notes),
        contract,
        port.background,
    )


def port_tensors(port: Port, model: ImageModel) -> dict[str, Tensor]:
    """The weights of `model` under the names and in the layouts of the port's files.

    Batch normalisation without gamma gets one of 1, as those files have it.
    """
    transforms, state = port.transforms(model), model.state_dict()
    names = port.names(model)
    found = {
        theirs: (transforms[ours].write(state[ours]) if ours in transforms else state[ours]).detach().contiguous()
        for ours, theirs in names.items()
    }
    for norm, theirs in _without_gamma(model, names).items():
        found[theirs] = torch.ones_like(state[f"{norm}.bias"])
    return found


def check_fixed(port: Port, model: ImageModel) -> None:
    """See to it that the port's framework has a network like `model`.

    Raises:
        WeightsMismatchError: an option has a value that it knows nothing of.
    """
    wrong = {
        key: model.options[key]
        for key, value in port.fixed.items()
        if key in model.options and model.options[key] != value
    }
    if wrong:
        raise WeightsMismatchError(
            f"{port.framework} has no {port.models.get(model.name, model.name)} like this",
            got=", ".join(f"{key}={value}" for key, value in wrong.items()),
            expected=", ".join(f"{key}={port.fixed[key]}" for key in wrong),
        )


def _classifier(port: Port) -> tuple[str, ...]:
    """Names of the classifier's tensors: those of anything else below it are no part of these networks."""
    return tuple(f"{port.classifier}{end}" for end in (".weight", ".bias", "/weights", "/biases"))


def _ignored(port: Port, names: Mapping[str, str]) -> tuple[str, ...]:
    """Beginnings of names that the file may have: of parts that this network has nothing of."""
    return tuple(part for part in port.ignored if not any(name.startswith(part) for name in names.values()))


def _dropping(port: Port, dropped: list[str]) -> list[str]:
    """Sentences on what the file has and this network does not want."""
    notes = []
    if any(name in _classifier(port) for name in dropped):
        notes.append("the file's classifier was left out")
    if parts := sorted(
        {
            beginning.removesuffix(".weight").removesuffix(".bias").strip("./")
            for name in dropped
            for beginning in port.ignored
            if name.startswith(beginning) and name not in _classifier(port)
        }
    ):
        notes.append(f"{', '.join(parts)}, which this network has no place for, was left out")
    return notes


def _may_miss(ours: str) -> bool:
    """What `compare` judges by itself: classifiers that may be new, auxiliary heads that may keep their weights."""
    return ours.startswith(("head.classifier.", "aux_head"))


def _ones(
    model: ImageModel, names: Mapping[str, str], found: Mapping[str, Tensor], notes: list[str]
) -> dict[str, Tensor]:
    """A gamma of 1 for each batch normalisation that the file has without one."""
    ours = [
        f"{name}.weight"
        for name, module in model.named_modules()
        if isinstance(module, nn.BatchNorm2d) and f"{name}.weight" in names
    ]
    lacking = [name for name in ours if name not in found and name.replace(".weight", ".bias") in found]
    if not lacking or any(name in found for name in ours):
        return {}
    notes.append("the file has no gamma (scale=False): 1 everywhere")
    return {name: torch.ones_like(found[name.replace(".weight", ".bias")]) for name in lacking}


def _without_gamma(model: ImageModel, names: Mapping[str, str]) -> dict[str, str]:
    """Batch normalisations of `model` that have no gamma, and where the file would have theirs."""
    return {
        name: names[f"{name}.bias"].removesuffix("bias") + "weight"
        for name, module in model.named_modules()
        if isinstance(module, nn.BatchNorm2d)
        and f"{name}.weight" not in names
        and names.get(f"{name}.bias", "").endswith("bias")
    }


def _idle_gammas(
    port: Port, model: ImageModel, names: Mapping[str, str], stored: Mapping[str, Tensor], path: Path, notes: list[str]
) -> set[str]:
    gammas = {theirs for theirs in _without_gamma(model, names).values() if theirs in stored}
    if not gammas:
        return set()
    if any(not bool((stored[name] == 1).all()) for name in gammas if not stored[name].is_meta):
        first = next(name for name in sorted(gammas) if not bool((stored[name] == 1).all()))
        raise WeightsMismatchError(
            f"{path} ({port.name}) has a gamma in {first}, and this {model.name} has none",
            fix="Build the model with gamma=True",
        )
    notes.append("the file's gamma is 1 everywhere, and was left out")
    return gammas
