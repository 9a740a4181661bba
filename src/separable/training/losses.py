"""The training loss: soft targets, label smoothing, the auxiliary head's share."""

import torch
from torch import nn

__all__ = ["soft_cross_entropy", "soft_targets", "training_loss"]


def soft_targets(labels: torch.Tensor, num_classes: int, smoothing: float = 0.0) -> torch.Tensor:
    """Labels (N,) to probabilities (N, C): q' = (1 - e) one-hot + e / C (1512.00567 section 7)."""
    targets = torch.full((len(labels), num_classes), smoothing / num_classes, device=labels.device)
    # Written as a sum, so that the row adds up to 1 in the same order for every class.
    return targets.scatter_(1, labels[:, None], 1 - smoothing + smoothing / num_classes)


def soft_cross_entropy(logits: torch.Tensor, targets: torch.Tensor) -> torch.Tensor:
    """Sum over the batch of the cross entropy of logits (N, C) with targets (N, C), in fp32. The caller divides."""
    return -(targets * nn.functional.log_softmax(logits.float(), dim=1)).sum()


def training_loss(
    output: torch.Tensor | tuple[torch.Tensor, ...], targets: torch.Tensor, auxiliary_weight: float
) -> tuple[torch.Tensor, torch.Tensor]:
    """Summed loss and main logits; each auxiliary head's loss enters with its weight (TF-slim's Inception V3: 0.4)."""
    if isinstance(output, tuple):
        logits, *auxiliary = output
        loss = soft_cross_entropy(logits, targets)
        for side in auxiliary:
            loss = loss + auxiliary_weight * soft_cross_entropy(side, targets)
        return loss, logits
    return soft_cross_entropy(output, targets), output
