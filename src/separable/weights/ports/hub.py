"""What timm writes beside a file of weights: `config.json`, which says how their pictures are prepared."""

import json
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

from separable.errors import WeightsFormatError
from separable.models.contract import InputContract

__all__ = ["HubConfig", "read_hub_config"]

_FILTERS = ("bilinear", "bicubic")


class HubConfig:
    """The `config.json` of a model folder of timm or the Hugging Face hub."""

    def __init__(self, path: Path, stored: Mapping[str, Any]) -> None:
        self.path, self._stored = path, stored
        cfg = stored.get("pretrained_cfg", stored)
        self._cfg: Mapping[str, Any] = cfg if isinstance(cfg, dict) else {}
        self.architecture = str(stored["architecture"])
        tag = self._cfg.get("tag")
        self.release = f"{self.architecture}.{tag}" if isinstance(tag, str) and tag else self.architecture

    def apply(self, contract: InputContract) -> InputContract:
        """`contract` with the preparation of pictures that the file states; numerics are not in it.

        Raises:
            WeightsFormatError: it states what no picture can be prepared by.
        """
        cfg = self._cfg
        changes: dict[str, Any] = {key: tuple(cfg[key]) for key in ("mean", "std") if isinstance(cfg.get(key), list)}
        size = cfg.get("input_size")
        if isinstance(size, list) and len(size) == 3:
            changes["size"] = (size[1], size[2])
        if cfg.get("crop_pct") is not None:
            changes["crop_fraction"] = cfg["crop_pct"]
        if cfg.get("interpolation") in _FILTERS:
            changes["filter"] = cfg["interpolation"]
        if cfg.get("crop_mode") == "squash":
            changes["resize"] = "squash"
        changed = replace(contract, **changes)
        names = self._stored.get("label_names")
        if isinstance(names, list) and all(isinstance(name, str) for name in names):
            changed = replace(changed, class_names=tuple(names))
        try:
            return InputContract.from_json(changed.to_json())
        except WeightsFormatError as error:
            raise WeightsFormatError(
                f"{self.path}: {error.what}", got=error.got, expected=error.expected, fix=error.fix
            ) from error


def read_hub_config(weights: Path) -> HubConfig | None:
    """The configuration beside `weights`, or None where there is none of timm's.

    Raises:
        WeightsFormatError: it is there and cannot be read.
    """
    path = weights.parent / "config.json"
    if not path.is_file():
        return None
    try:
        stored = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError, RecursionError) as error:
        raise WeightsFormatError(
            f"{path} cannot be read", got=str(error), fix="Move it away to load the weights without it"
        ) from error
    return HubConfig(path, stored) if isinstance(stored, dict) and isinstance(stored.get("architecture"), str) else None
