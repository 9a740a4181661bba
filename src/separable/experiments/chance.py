"""What a network gets right that has learnt nothing of the pictures."""

import functools
import math
from collections.abc import Mapping

import numpy as np

from separable.analysis.average_precision import MeanAveragePrecision
from separable.data.manifest_set import TagData
from separable.errors import SeparableError
from separable.experiments.sources import Source, open_source

__all__ = ["chance_levels"]

_ROWS = 4096


@functools.lru_cache(maxsize=8)
def chance_levels(source: Source) -> Mapping[str, float]:
    """By measure, the share that needs no look at a picture; none of masks, nor where the pictures are gone.

    Of classes one in so many; of tags the mean average precision of one order for all, by how often a class is among
    the training pictures.
    """
    if source.task == "classify" and source.class_names:
        one = 1 / len(source.class_names)
        return {"top1": one, "early_top1": one, "top1_error": one} | dict.fromkeys(
            ("top5", "top5_error"), min(1.0, 5 * one)
        )
    if source.task != "tag":
        return {}
    try:
        data = open_source(source)
    except SeparableError:
        return {}
    assert isinstance(data, TagData)
    return _by_frequency(data)


def _by_frequency(data: TagData) -> dict[str, float]:
    order = data.train.counts().astype(np.float32)
    scorer, held_out = MeanAveragePrecision(len(order)), data.val
    for start in range(0, len(held_out), _ROWS):
        offsets = held_out.offsets[start : start + _ROWS + 1]
        indices = held_out.indices[offsets[0] : offsets[-1]]
        scorer.add(np.tile(order, (len(offsets) - 1, 1)), indices, offsets - offsets[0])
    found = scorer.result(data.weights)
    levels = {"map100": found.mean, "weighted_map100": found.weighted_mean}
    return {name: level for name, level in levels.items() if math.isfinite(level)}
