"""Networks of timm and torchvision as oracles: weights that make differences visible, and how far outputs are apart."""

import torch
from torch import Tensor, nn

from tests.parity.pictures import structured_pictures

__all__ = ["calibrate", "distance", "pictures", "spread"]


def pictures(height: int, width: int, count: int = 2, seed: int = 0) -> Tensor:
    """Structured pictures in [-1, 1], (count, 3, height, width)."""
    return torch.from_numpy(structured_pictures(count, height, width, seed)).permute(0, 3, 1, 2).contiguous()


def calibrate(network: nn.Module, side: int = 128, *, count: int = 4, seed: int = 0) -> nn.Module:
    """Give `network` weights with which a picture reaches the logits, in evaluation mode.

    Random weights with random batch-norm statistics drown the picture. So gamma and beta are random, and mean and
    variance come from one training-mode forward that keeps nothing of the old ones. beta is mostly positive: centred on
    0, a deep random network is chaotic and multiplies rounding. Convolutions keep the network's own initial weights.
    """
    torch.manual_seed(seed)
    norms = [module for module in network.modules() if isinstance(module, nn.BatchNorm2d)]
    kept = [norm.momentum for norm in norms]
    with torch.no_grad():
        for norm in norms:
            norm.momentum = 1.0
            if norm.affine and isinstance(norm.weight, Tensor):
                norm.weight.uniform_(0.5, 1.5)
            norm.bias.uniform_(0.0, 2.0)
        if norms:
            network.train()(pictures(side, side, count, seed=1))
    for norm, momentum in zip(norms, kept, strict=True):
        norm.momentum = momentum
    return network.eval()


def distance(got: Tensor, expected: Tensor) -> float:
    """Largest difference over the largest expected value."""
    assert got.shape == expected.shape, f"{tuple(got.shape)} for {tuple(expected.shape)}"
    return float((got - expected).abs().max() / expected.abs().max())


def spread(logits: Tensor) -> float:
    """How far two pictures' logits are apart, over the largest: a parity test must see more than 100 tolerances."""
    return float((logits[0] - logits[1]).abs().max() / logits.abs().max())
