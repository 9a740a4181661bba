"""Batch normalisation as scale and shift, and its running averages, as torch's own modules have them."""

import torch
from torch import Tensor, nn

__all__ = ["batch_affine", "running_affine", "take_in", "uses_batch"]


def uses_batch(bn: nn.BatchNorm2d) -> bool:
    """Whether `bn` normalises by the batch now, and not by its running averages."""
    return bn.training or bn.running_mean is None


def batch_affine(
    bn: nn.BatchNorm2d, z: Tensor, mean: Tensor, variance: Tensor, bias: Tensor | None = None
) -> tuple[Tensor, Tensor]:
    """Scale and shift that normalise z by the batch; the running averages take the batch in.

    `bias` is one that was left out of z. The mean takes it off again, so it has a gradient, of zeros; the running mean
    has it.
    """
    take_in(bn, z, mean if bias is None else mean + bias.detach(), variance)
    scale, shift = _affine(bn, mean, variance)
    return scale, shift if bias is None else torch.add(shift, bias, alpha=0)


def running_affine(bn: nn.BatchNorm2d, bias: Tensor | None = None) -> tuple[Tensor, Tensor]:
    """Scale and shift (C,) in fp32 by the running averages, for maps that `bias` was left out of."""
    assert bn.running_mean is not None
    assert bn.running_var is not None
    scale, shift = _affine(bn, bn.running_mean.float(), bn.running_var.float())
    return scale, shift if bias is None else torch.addcmul(shift, scale, bias.float())


@torch.no_grad()
def take_in(bn: nn.BatchNorm2d, z: Tensor, mean: Tensor, variance: Tensor) -> None:
    """Let the running averages take in the moments (C,) of z, where there are any and they are not frozen."""
    if not bn.training or not bn.track_running_stats or bn.running_mean is None or bn.running_var is None:
        return
    count, share = z.numel() // z.shape[1], _newest_share(bn)
    bn.running_mean.lerp_(mean.to(bn.running_mean.dtype), share)
    bn.running_var.lerp_((variance * (count / (count - 1))).to(bn.running_var.dtype), share)


def _newest_share(bn: nn.BatchNorm2d) -> float:
    """The weight of this batch in the running averages, as `nn.BatchNorm2d.forward` finds it."""
    if bn.num_batches_tracked is not None:
        bn.num_batches_tracked.add_(1)
    if bn.momentum is not None:
        return bn.momentum
    return 0.0 if bn.num_batches_tracked is None else 1.0 / float(bn.num_batches_tracked)


def _affine(bn: nn.BatchNorm2d, mean: Tensor, variance: Tensor) -> tuple[Tensor, Tensor]:
    scale = torch.rsqrt(variance + bn.eps)
    if bn.weight is not None:  # Keras' `scale=False` has none
        scale = scale * bn.weight.float()
    shift = -mean * scale
    return scale, shift if bn.bias is None else shift + bn.bias.float()
