"""Parameters and multiply-adds of arms, exact and without memory for weights."""

import functools
import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import torch

from separable.analysis import profile
from separable.experiments.schema import Arm, Setup
from separable.models import ImageModel, build_model, model_spec
from separable.training.foreign import foreign_model, is_foreign

__all__ = ["Counts", "published_counts", "scaled_counts"]


@dataclass(frozen=True)
class Counts:
    """Of a network without its auxiliary heads, which are not there when it answers, at pictures of `side`."""

    parameters: int
    macs: int
    side: int


def published_counts(arm: Arm) -> Counts | None:
    """Of the arm's published network, with as many classes as the paper has (`num_classes` among its options, else the
    network's own); None of one that nobody published."""
    if is_foreign(arm.model) or not arm.published_network:
        return None
    return _counted(arm.model, arm.options, None, arm.image_size)


def scaled_counts(setup: Setup, arm: Arm, num_classes: int) -> Counts:
    """Of what is trained at a scale.

    Raises:
        UsageError: there is no such network, or it cannot take such pictures.
    """
    return _counted(arm.model, setup.options_of(arm), num_classes, setup.size_of(arm))


def _counted(name: str, options: Mapping[str, Any], num_classes: int | None, side: int | None) -> Counts:
    given = dict(options)
    if is_foreign(name):
        assert num_classes is not None
        return _count(name, json.dumps(given, sort_keys=True), num_classes, side)
    classes = given.pop("num_classes", model_spec(name).num_classes) if num_classes is None else num_classes
    given.pop("num_classes", None)
    return _count(name, json.dumps(given, sort_keys=True), classes, side)


@functools.lru_cache(maxsize=512)
def _count(name: str, options: str, num_classes: int, side: int | None) -> Counts:
    if is_foreign(name):  # what it does when it is built is its own affair: no meta device
        side_by_side = None if side is None else (side, side)
        model: ImageModel = foreign_model(name, num_classes, size=side_by_side, **json.loads(options))
    else:
        with torch.device("meta"):
            model = build_model(name, num_classes, **json.loads(options))
    size = model.input_contract.size[0] if side is None else side
    counted = profile(model, (1, 3, size, size))
    return Counts(counted.parameters, counted.macs, size)
