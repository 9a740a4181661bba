"""The one format of our own: a folder with `model.safetensors` and `config.json`, which rebuild the model exactly."""

import json
from pathlib import Path
from typing import Any

import safetensors.torch

from separable.errors import WeightsFormatError
from separable.files import make_directory, write_atomically
from separable.models.base import ImageModel
from separable.models.build import build_model
from separable.models.contract import InputContract
from separable.weights.load import load_weights
from separable.weights.tensors import read_metadata

__all__ = ["load_model", "save_model"]

_VERSION = 1


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
    write_atomically(folder / "model.safetensors", lambda temporary: _write(temporary, content))
    text = json.dumps(config, indent=2, ensure_ascii=False) + "\n"
    write_atomically(folder / "config.json", lambda temporary: _write(temporary, text.encode()))


def load_model(path: Path | str) -> ImageModel:
    """Rebuild what `save_model` wrote, in evaluation mode.

    Args:
        path: the folder, or a `.safetensors` file of it.

    Raises:
        WeightsFormatError: not such a folder, damaged, or half of one model and half of another.
    """
    path = Path(path)
    file = path / "model.safetensors" if path.is_dir() else path
    if not file.is_file():
        raise WeightsFormatError(f"There is no model in {path}", expected="model.safetensors, as save_model writes it")
    config = read_metadata(file)
    if path.is_dir():
        config = _agreed(path / "config.json", config)
    try:
        if config["format_version"] > _VERSION:
            raise WeightsFormatError(f"{path} was written by a newer separable", fix="Upgrade separable to read it")
        model = build_model(config["name"], config["num_classes"], **config["options"])
        load_weights(model, file)
        model.input_contract = InputContract.from_json(config["input"])
    except (KeyError, TypeError) as error:
        raise WeightsFormatError(
            f"{path} does not say which model it holds",
            got=f"{type(error).__name__} {error}",
            fix="If it is a plain file of tensors, build the model and use load_weights",
        ) from error
    return model.eval()


def _agreed(path: Path, header: dict[str, Any]) -> dict[str, Any]:
    """`config.json`, which people may edit, so far as it describes the model that the weights belong to."""
    try:
        config = json.loads(path.read_text(encoding="utf-8"))
        pairs = [(key, config[key], header.get(key, config[key])) for key in ("name", "num_classes", "options")]
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise WeightsFormatError(f"{path} cannot be read", got=str(error), expected="what save_model wrote") from error
    for key, ours, theirs in pairs:
        if ours != theirs:
            raise WeightsFormatError(
                f"{path} and the weights beside it belong to different models",
                got=f"{key} {ours}",
                expected=f"{theirs}, as model.safetensors says",
                fix="Save the model again, or load model.safetensors alone",
            )
    found: dict[str, Any] = config
    return found


def _write(path: Path, content: bytes) -> None:
    path.write_bytes(content)
