"""What timm writes beside a file of weights: `config.json`, which says how their pictures are prepared."""

import json
from collections.abc import Collection, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

from separable.errors import WeightsFormatError, WeightsMismatchError
from separable.models.contract import InputContract

__all__ = ["HubConfig", "read_hub_config"]

_FILTERS = ("bilinear", "bicubic")
_FORMER = {  # names that timm had, or has for another width, and the network that it is a set of weights or a width of
    "adv_inception_v3": "inception_v3",
    "ens_adv_inception_resnet_v2": "inception_resnet_v2",
    "gluon_inception_v3": "inception_v3",
    **{f"gluon_resnet{depth}_v1b": f"resnet{depth}" for depth in (50, 101, 152)},
    "mobilenetv1_125": "mobilenetv1_100",
    "ssl_resnet50": "resnet50",
    "swsl_resnet50": "resnet50",
    "tf_inception_v3": "inception_v3",
    **{f"tv_resnet{depth}": f"resnet{depth}" for depth in (50, 101, 152)},
    "xception": "legacy_xception",
}
_TRAINING = ("drop_block_rate", "drop_path_rate", "drop_rate")
"""Arguments of timm's constructors that change nothing once a network is trained."""
_SHOWN = ("aux_logits", "in_chans", "num_classes")
"""Those that names and shapes of the tensors show."""
_FIXED: Mapping[str, tuple[Any, ...]] = {
    "features_only": (False, None),
    "global_pool": ("avg", "fast", None),
    "output_stride": (32, None),
    "pretrained": (False, None),
    "scriptable": (False, None),
}
"""Those that have one value in the networks here, and how timm writes it."""


class HubConfig:
    """The `config.json` of a model folder of timm or the Hugging Face hub."""

    def __init__(self, path: Path, stored: Mapping[str, Any]) -> None:
        self.path, self._stored = path, stored
        cfg = stored.get("pretrained_cfg", stored)
        self._cfg: Mapping[str, Any] = cfg if isinstance(cfg, dict) else {}
        self.architecture = str(stored["architecture"])
        tag = self._cfg.get("tag")
        self.network = _FORMER.get(self.architecture, self.architecture)
        """What timm calls it today."""
        self.release = f"{self.architecture}.{tag}" if isinstance(tag, str) and tag else self.architecture

    def check(self, networks: Collection[str]) -> None:
        """See to it that it describes one of timm's `networks`, as timm builds it without further arguments.

        Raises:
            WeightsMismatchError: another network, or arguments that make it another function of the same tensors.
        """
        fix = "If that file does not belong to these weights, move it away"
        if self.network not in networks:
            raise WeightsMismatchError(
                f"{self.path} says that the weights are of a network that is not read from such tensors",
                got=f"timm's {self.architecture}",
                expected=" or ".join(f"timm's {name}" for name in sorted(networks)) or "no network of timm's",
                fix=fix,
            )
        given = self._stored.get("model_args") or {}
        arguments = dict(given) if isinstance(given, dict) else {"model_args": given}
        pool = self._cfg.get("global_pool") or self._stored.get("global_pool")
        arguments.setdefault("global_pool", pool)
        wrong = {
            key: value
            for key, value in sorted(arguments.items())
            if key not in (*_TRAINING, *_SHOWN) and not any(value is one or value == one for one in _FIXED.get(key, ()))
        }
        if wrong:
            raise WeightsMismatchError(
                f"{self.path} builds {self.architecture} with arguments that are not read here",
                got=", ".join(f"{key}={value!r}" for key, value in wrong.items()),
                expected=", ".join(f"{key}={_FIXED[key][0]!r}" for key in wrong if key in _FIXED)
                or "none of that kind",
                fix=fix,
            )

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
