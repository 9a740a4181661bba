"""Giving folded batch normalisation its statistics back, so that a network can be trained on."""

from collections.abc import Iterable
from contextlib import ExitStack

import torch
from torch import Tensor, nn

from separable.errors import ModelOptionError, UsageError

__all__ = ["unfold_batch_norm"]


def unfold_batch_norm(model: nn.Module, batches: Iterable[Tensor]) -> int:
    """Set every batch normalisation's running statistics to those of its input, and leave the evaluated function alone.

    Weights that were published with batch normalisation folded into the kernels load as mean 0, variance 1 - eps,
    gamma 1. That evaluates right, and breaks as soon as the network is trained: normalising by a batch's own
    statistics is then another function altogether. In evaluation mode a layer computes s x + o with
    s = gamma / sqrt(var + eps) and o = beta - s mean; for the measured mean m and variance v,
    gamma = s sqrt(v + eps) and beta = o + s m give the same s and o.

    Args:
        model: evaluated on `batches`; its modes are put back afterwards.
        batches: network inputs (N, C, H, W), as normalised as in use; a few hundred pictures settle the statistics.

    Returns:
        How many layers were rewritten.

    Raises:
        UsageError: no batches.
        ModelOptionError: a layer without gamma, which has no place for s.
    """
    norms = {name: module for name, module in model.named_modules() if isinstance(module, nn.BatchNorm2d)}
    for name, norm in norms.items():
        if not isinstance(norm.get_parameter("weight") if "weight" in norm.state_dict() else None, Tensor):
            raise ModelOptionError(f"{name} has no gamma to unfold into", fix="Build the model with gamma=True")
    moments = {name: _Moments() for name in norms}
    training = {module: module.training for module in model.modules()}
    model.eval()
    try:
        with ExitStack() as hooks, torch.no_grad():
            for name, norm in norms.items():
                hooks.callback(norm.register_forward_pre_hook(moments[name].add).remove)
            for batch in batches:
                model(batch)
    finally:
        for module, mode in training.items():
            module.training = mode
    if any(moment.count == 0 for moment in moments.values()):
        raise UsageError("Unfolding batch normalisation needs pictures", got="no batches")
    for name, norm in norms.items():
        _rewrite(norm, moments[name])
    return len(norms)


class _Moments:
    """Mean and variance per channel over everything seen, in double precision, batches merged pairwise."""

    def __init__(self) -> None:
        self.count = 0
        self.mean = torch.zeros((), dtype=torch.float64)
        self.square = torch.zeros((), dtype=torch.float64)

    def add(self, _module: nn.Module, inputs: tuple[Tensor, ...]) -> None:
        values = inputs[0].double().transpose(0, 1).flatten(1)
        count, mean = values.shape[1], values.mean(1)
        self.mean, self.square = self.mean.to(mean.device), self.square.to(mean.device)
        square = ((values - mean[:, None]) ** 2).sum(1)
        total = self.count + count
        delta = mean - self.mean
        self.square = self.square + square + delta**2 * (self.count * count / total)
        self.mean = self.mean + delta * (count / total)
        self.count = total


@torch.no_grad()
def _rewrite(norm: nn.BatchNorm2d, moments: _Moments) -> None:
    old_mean, old_variance = norm.get_buffer("running_mean"), norm.get_buffer("running_var")
    scale = norm.weight.double() / (old_variance.double() + norm.eps).sqrt()
    offset = norm.bias.double() - scale * old_mean.double()
    # Rounded to what is stored first, so that gamma and beta make up for that rounding too.
    old_mean.copy_(moments.mean)
    old_variance.copy_(moments.square / moments.count)
    norm.weight.copy_(scale * (old_variance.double() + norm.eps).sqrt())
    norm.bias.copy_(offset + scale * old_mean.double())
