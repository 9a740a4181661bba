"""The one format of our own: a folder with `model.safetensors` and `config.json`, which rebuild the model exactly."""

import json
from pathlib import Path
from typing import Any

import safetensors.torch
import torch

from separable.errors import UsageError, WeightsFormatError
from separable.files import make_directory, write_bytes_atomically
from separable.models.base import ImageModel
from separable.models.build import build_model
from separable.weights.compare import Content, compare
from separable.weights.contracts import stored_contract
from separable.weights.hub_files import HUB_PREFIX
from separable.weights.load import load_weights
from separable.weights.tensors import read_metadata, read_shapes

__all__ = ["load_model", "save_model"]

_VERSION = 1
# What building a network raises for a configuration that nobody could have saved: sizes of the wrong type, or such that
# a tensor's number of elements overflows.
_NO_MODEL = (UsageError, KeyError, TypeError, ValueError, AttributeError, ArithmeticError, RuntimeError, MemoryError)


def save_model(model: ImageModel, folder: Path | str) -> None:
    """Write `model.safetensors` and `config.json` (name, options, number of classes, input contract) into `folder`.

    The safetensors file carries the configuration in its header too, so that it can travel alone. Each file is replaced
    in one step.

    Raises:
        OutputError: the folder cannot be written, or the disk is full; files that were there stay whole.
    """
    folder = Path(folder)
    make_directory(folder)
    config = {
        "format_version": _VERSION,
        "name": model.name,
        "num_classes": model.num_classes,
        "options": model.options,
        "input": model.input_contract.to_json(),
    }
    tensors = {name: value.detach().cpu().contiguous() for name, value in model.state_dict().items()}
    # One key only: safetensors writes several in random order, and the same model would give different files.
    content = safetensors.torch.save(tensors, {"separable": json.dumps(config)})
    write_bytes_atomically(folder / "model.safetensors", content)
    text = json.dumps(config, indent=2, ensure_ascii=False) + "\n"
    # A class called after a folder whose name is not UTF-8 has lone surrogates: as \\udc80 they are JSON's own escapes.
    written = text.encode(errors="backslashreplace")
    write_bytes_atomically(folder / "config.json", written)


def load_model(path: Path | str) -> ImageModel:
    """Rebuild what `save_model` wrote, in evaluation mode.

    Args:
        path: the folder, a `.safetensors` file of it, or "hf-hub:owner/name" for a repository of the Hugging Face hub,
            which may also be timm's.

    Raises:
        WeightsFormatError: not such a folder, damaged, or half of one model and half of another.
        WeightsMismatchError: it describes a network that its tensors do not fit.
    """
    if str(path).startswith(HUB_PREFIX):
        from separable.weights.hub import from_pretrained

        return from_pretrained(str(path))
    path = Path(path)
    file = path / "model.safetensors" if path.is_dir() else path
    if not file.is_file():
        raise WeightsFormatError(f"There is no model in {path}", expected="model.safetensors, as save_model writes it")
    config = read_metadata(file)
    if path.is_dir():
        config = _agreed(path / "config.json", config)
    model = _described(config, file)
    contract = stored_contract(path, config["input"])
    load_weights(model, file)
    model.adopt(contract)
    return model.eval()


def _described(config: dict[str, Any], file: Path) -> ImageModel:
    """The network that `config` describes, its weights still to be filled in.

    A file may describe a network that no memory could hold, so its shapes are held against those of the tensors that
    are there before anything is allocated. That also spares the drawing of initial weights, which takes seconds.
    """
    shapes = read_shapes(file)
    try:
        if config["format_version"] > _VERSION:
            raise WeightsFormatError(f"{file} was written by a newer separable", fix="Upgrade separable to read it")
        name, num_classes, options, _ = config["name"], config["num_classes"], config["options"], config["input"]
        if (blocks := _repeated_blocks(options)) > len(shapes):  # building them would take for ever
            raise ValueError(f"{blocks} blocks or layers in a file of {len(shapes)} tensors")
        with torch.device("meta"):
            model = build_model(name, num_classes, **options)
    except _NO_MODEL as error:
        raise WeightsFormatError(
            f"{file} does not say which model it holds",
            got=" ".join(f"{type(error).__name__} {error}".split())[:300].rstrip("."),
            expected="a configuration as save_model writes it",
            fix="If it is a plain file of tensors, build the model and use load_weights",
        ) from error
    stand_ins = {key: torch.empty(shape, device="meta") for key, shape in shapes.items()}
    compare(model, file, Content("safetensors", stand_ins), new_classifier=False)
    if shapes.keys() >= model.state_dict().keys():
        model._apply(lambda tensor: torch.empty(tensor.shape, dtype=tensor.dtype))  # to_empty would import sympy
        return model
    return build_model(name, num_classes, **options)  # what the file may lack keeps its initial weights


def _repeated_blocks(options: dict[str, Any]) -> int:
    """At least as many layers as the options ask for, by numbers of blocks (None is a network's own) and in lists."""
    counts = [options.get("middle_blocks"), *_flat(options.get("repeats"))]
    lists = sum(len(_flat(value)) for name, value in options.items() if name != "repeats")
    return lists + sum(count for count in counts if isinstance(count, int))


def _flat(value: object) -> list[object]:
    """What is in a list, and in the lists in it."""
    return [entry for item in value for entry in (item, *_flat(item))] if isinstance(value, list) else []


def _agreed(path: Path, header: dict[str, Any]) -> dict[str, Any]:
    """`config.json`, which people may edit, so far as it describes the model that the weights belong to."""
    try:
        config = json.loads(path.read_text(encoding="utf-8"))
        pairs = [(key, config[key], header.get(key, config[key])) for key in ("name", "num_classes", "options")]
    except (OSError, ValueError, KeyError, TypeError, RecursionError) as error:
        raise WeightsFormatError(f"{path} cannot be read", got=str(error), expected="what save_model wrote") from error
    for key, ours, theirs in pairs:
        if ours != theirs:
            raise WeightsFormatError(
                f"{path} and the weights beside it belong to different models",
                got=f"{key} {ours}"[:300],
                expected=f"{str(theirs)[:300]}, as model.safetensors says",
                fix="Save the model again, or load model.safetensors alone",
            )
    found: dict[str, Any] = config
    return found
