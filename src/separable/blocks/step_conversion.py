"""The same weights through the steps of arXiv:1610.02357, section 1.1, where two steps are one function."""

from collections.abc import Iterable
from copy import deepcopy

import torch
from torch import nn

from separable.blocks.conv import ConvBN
from separable.blocks.inception_steps import ExtremeInception, RegroupedInception, SimplifiedInception
from separable.errors import ModelOptionError

__all__ = ["regroup", "to_extreme"]


def regroup(module: SimplifiedInception) -> RegroupedInception:
    """Figure 2 as figure 3 ("strictly equivalent"): the same function, with copies of the same weights."""
    regrouped = RegroupedInception(module.in_channels, module.widths, module.units)
    regrouped.pointwise = _join(regrouped.pointwise, [tower.get_submodule("pointwise") for tower in module.towers])
    regrouped.segments = nn.ModuleList(deepcopy(tower.get_submodule("spatial")) for tower in module.towers)
    return regrouped.train(module.training)


def to_extreme(module: RegroupedInception) -> ExtremeInception:
    """Figure 3 with one channel in each segment as figure 4: the same function, with copies of the same weights.

    Raises:
        ModelOptionError: a segment of several channels, which no depthwise convolution can be.
    """
    if set(module.widths) != {(1, 1)}:
        raise ModelOptionError(
            "Segments of several channels are no depthwise convolution",
            got=f"towers={module.widths}",
            expected="(1, 1) for each",
        )
    extreme = ExtremeInception(module.in_channels, len(module.widths), module.units)
    extreme.pointwise = deepcopy(module.pointwise)
    extreme.spatial = _join(extreme.spatial, module.segments)
    return extreme.train(module.training)


def _join(target: ConvBN, parts: Iterable[nn.Module]) -> ConvBN:
    """`target` with the weights and statistics of `parts`, whose output channels it has in their order."""
    states = [part.state_dict() for part in parts]
    joined = {  # the number of batches seen is one number, and the same in all
        name: torch.cat([state[name] for state in states]) if value.dim() else value
        for name, value in states[0].items()
    }
    weight = states[0]["conv.weight"]
    target.to(weight.device, weight.dtype).load_state_dict(joined)
    return target
