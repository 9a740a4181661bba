"""The training loss: soft targets, label smoothing, the auxiliary head's share; and that of several labels a picture.

Sigmoid cross entropy is summed over the classes: so it is the negative logarithm of the probability of a picture's
labels, with each class a decision of its own, as softmax cross entropy is for one class a picture. Section 2 of
1610.02357 calls the top a logistic regression and prints no scale. The mean over classes would be 17,000 times smaller
on JFT: with RMSProp's epsilon of 1 and the rate of 0.001 (section 4.2) no weight would move but by its decay.
"""

from collections.abc import Callable

import torch
from torch import nn

__all__ = ["sigmoid_cross_entropy", "soft_cross_entropy", "soft_targets", "tag_targets", "training_loss"]


def soft_targets(labels: torch.Tensor, num_classes: int, smoothing: float = 0.0) -> torch.Tensor:
    """Labels (N,) to probabilities (N, C): q' = (1 - e) one-hot + e / C (1512.00567 section 7)."""
    targets = torch.full((len(labels), num_classes), smoothing / num_classes, device=labels.device)
    # Written as a sum, so that the row adds up to 1 in the same order for every class.
    return targets.scatter_(1, labels[:, None], 1 - smoothing + smoothing / num_classes)


def soft_cross_entropy(logits: torch.Tensor, targets: torch.Tensor) -> torch.Tensor:
    """Sum over the batch of the cross entropy of logits (N, C) with targets (N, C), in fp32. The caller divides."""
    return -(targets * nn.functional.log_softmax(logits.float(), dim=1)).sum()


def tag_targets(labels: torch.Tensor, num_classes: int) -> torch.Tensor:
    """Padded labels (N, most), -1 after a picture's last one, to (N, C) of 0 and 1."""
    # One column more takes what is padding.
    places = torch.where(labels < 0, num_classes, labels).long()
    targets = torch.zeros((len(labels), num_classes + 1), device=labels.device)
    return targets.scatter_(1, places, 1.0)[:, :num_classes].contiguous()


def sigmoid_cross_entropy(logits: torch.Tensor, targets: torch.Tensor) -> torch.Tensor:
    """Of each picture, (N,): the sum over classes of the cross entropy of sigmoid(logits) (N, C) with targets (N, C)
    of 0 to 1, in fp32."""
    losses = nn.functional.binary_cross_entropy_with_logits(logits.float(), targets, reduction="none")
    return losses.sum(dim=1)


def training_loss(
    output: torch.Tensor | tuple[torch.Tensor, ...],
    targets: torch.Tensor,
    auxiliary_weight: float,
    loss_of: Callable[[torch.Tensor, torch.Tensor], torch.Tensor] = soft_cross_entropy,
) -> tuple[torch.Tensor, torch.Tensor]:
    """Summed loss and main logits; each auxiliary head's loss enters with its weight (TF-slim's Inception V3: 0.4).

    `loss_of` logits and targets gives one number for each picture, or their sum.
    """
    if isinstance(output, tuple):
        logits, *auxiliary = output
        loss = loss_of(logits, targets).sum()
        for side in auxiliary:
            loss = loss + auxiliary_weight * loss_of(side, targets).sum()
        return loss, logits
    return loss_of(output, targets).sum(), output
