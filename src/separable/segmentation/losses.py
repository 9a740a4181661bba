"""Losses over pixels, one value a picture: cross entropy, focal and Dice, with pixels that do not count.

Each loss is a mean over the pixels (or classes) of its own picture, so a picture counts the same whatever else is in
its batch, and a batch cut into parts gives the same sum. A picture without a labelled pixel costs 0.

Everything is computed in fp32 (fp64 for fp64 logits) from a table of which class each pixel has, not by gathering:
the backward pass of a gather adds in any order on a GPU, and of torch's own loss over pixels likewise.
"""

import re
from collections.abc import Sequence
from dataclasses import dataclass

import torch

from separable.errors import UsageError

__all__ = ["LossTerms", "cross_entropy_loss", "dice_loss", "focal_loss", "parse_loss", "segmentation_loss"]

_NAMES = ("cross_entropy", "dice", "focal")


@dataclass(frozen=True)
class LossTerms:
    """A weighted sum of losses; a term of weight 0 is not computed."""

    cross_entropy: float = 1.0
    dice: float = 0.0
    focal: float = 0.0
    gamma: float = 2.0
    """Of the focal loss: how much less a pixel counts that is right already."""
    class_weights: tuple[float, ...] | None = None
    """What a pixel of each class counts in cross entropy and focal loss; None: each 1."""

    def __post_init__(self) -> None:
        terms = {"cross_entropy": self.cross_entropy, "dice": self.dice, "focal": self.focal, "gamma": self.gamma}
        for name, value in terms.items():
            if not 0 <= value < float("inf"):
                raise UsageError(f"Loss setting {name} out of range", got=value, expected="0 or more")
        if not (self.cross_entropy or self.dice or self.focal):
            raise UsageError("A loss needs a term", got="every weight 0", expected="cross_entropy, dice or focal")
        weights = self.class_weights
        if weights is not None and not (all(0 <= one < float("inf") for one in weights) and any(weights)):
            raise UsageError("Class weights out of range", got=weights, expected="0 or more, one of them above 0")


def parse_loss(text: str, *, gamma: float = 2.0, class_weights: tuple[float, ...] | None = None) -> LossTerms:
    """ "cross_entropy + 0.5 dice", as a person writes it; "*" between a weight and its term may stand too.

    Raises:
        UsageError: an unknown term, one that comes twice, or a weight that is no number.
    """
    weights = dict.fromkeys(_NAMES, 0.0)
    for part in text.split("+"):
        found = re.fullmatch(rf"\s*(?:(\d*\.?\d+)\s*\*?\s*)?({'|'.join(_NAMES)})\s*", part)
        if found is None or weights[found[2]]:
            raise UsageError(
                "Cannot read this loss", got=repr(text), expected="such as: cross_entropy + 0.5 dice, or focal"
            )
        weights[found[2]] = float(found[1] or 1)
    return LossTerms(**weights, gamma=gamma, class_weights=class_weights)


def segmentation_loss(logits: torch.Tensor, targets: torch.Tensor, terms: LossTerms) -> torch.Tensor:
    """The weighted sum of the terms.

    Args:
        logits: (N, C, height, width), C at least 2.
        targets: (N, height, width) integers: class indices, or negative (`IGNORE`) where a pixel does not count.
        terms: which losses.

    Returns:
        (N,) fp32, or fp64 for fp64 logits.

    Raises:
        UsageError: shapes that do not fit.
    """
    parts = (
        (terms.cross_entropy, lambda: cross_entropy_loss(logits, targets, terms.class_weights)),
        (terms.focal, lambda: focal_loss(logits, targets, terms.gamma, terms.class_weights)),
        (terms.dice, lambda: dice_loss(logits, targets)),
    )
    return torch.stack([weight * loss() for weight, loss in parts if weight]).sum(dim=0)


def cross_entropy_loss(
    logits: torch.Tensor, targets: torch.Tensor, class_weights: Sequence[float] | None = None
) -> torch.Tensor:
    """Of each picture: sum over labelled pixels of w(class) * -log p(class), over their number.

    Weights do not enter the divisor, unlike torch's: a picture of nothing but the background then costs little where
    the background's weight is low, rather than as much as any other. Shapes as in `segmentation_loss`.
    """
    log_p, truth = _prepare(logits, targets)
    return _mean_over_pixels(-(truth * log_p).sum(dim=1), truth, class_weights)


def focal_loss(
    logits: torch.Tensor, targets: torch.Tensor, gamma: float = 2.0, class_weights: Sequence[float] | None = None
) -> torch.Tensor:
    """Cross entropy times (1 - p)^gamma, p that of the right class (1708.02002, equation 5; w is its alpha)."""
    log_p, truth = _prepare(logits, targets)
    own = (truth * log_p).sum(dim=1)
    # 1 - p without cancellation; kept off 0, where a power below 1 has no slope.
    missing = (-torch.expm1(own)).clamp_min(torch.finfo(own.dtype).tiny)
    return _mean_over_pixels(-(missing**gamma) * own, truth, class_weights)


def dice_loss(logits: torch.Tensor, targets: torch.Tensor) -> torch.Tensor:
    """Of each picture: 1 - mean over its classes of 2 sum(p t) / (sum(p) + sum(t)), over labelled pixels.

    p are probabilities and t is 1 or 0 (the linear form of 1606.04797, equation 1). Classes that the labelled pixels
    of a picture do not show are left out: their term would be 1 however small p is, without a slope. No smoothing
    constant is needed then. Shapes as in `segmentation_loss`.
    """
    log_p, truth = _prepare(logits, targets)
    counted = truth.sum(dim=1, keepdim=True)
    shown = truth.sum(dim=(2, 3))
    p = log_p.exp() * counted
    both = (p * truth).sum(dim=(2, 3))
    present = shown > 0
    # The divisor of an absent class is replaced, not its quotient: a NaN would come back in the gradient.
    dice = 2 * both / torch.where(present, p.sum(dim=(2, 3)) + shown, torch.ones_like(shown))
    classes = present.sum(dim=1)
    return (classes - dice.sum(dim=1)) / classes.clamp_min(1)


def _prepare(logits: torch.Tensor, targets: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
    """Log-probabilities and one-hot truth, both (N, C, height, width); no class where a pixel does not count."""
    if logits.dim() != 4 or logits.shape[1] < 2 or targets.shape != (logits.shape[0], *logits.shape[2:]):
        raise UsageError(
            "Logits and masks do not fit each other",
            got=f"{tuple(logits.shape)} and {tuple(targets.shape)}",
            expected="(pictures, at least 2 classes, height, width) and (pictures, height, width)",
        )
    wide = logits if logits.dtype == torch.float64 else logits.float()
    classes = torch.arange(logits.shape[1], device=targets.device)
    truth = (targets[:, None] == classes[:, None, None]).to(wide.dtype)
    return torch.log_softmax(wide, dim=1), truth


def _mean_over_pixels(losses: torch.Tensor, truth: torch.Tensor, class_weights: Sequence[float] | None) -> torch.Tensor:
    """Mean of losses (N, height, width), which are 0 where no pixel counts, over the pixels that do."""
    if class_weights is not None:
        if len(class_weights) != truth.shape[1]:
            raise UsageError(
                "Class weights and classes differ in number",
                got=len(class_weights),
                expected=f"{truth.shape[1]}, one for each class",
            )
        weights = torch.tensor(class_weights, dtype=truth.dtype, device=truth.device)
        losses = losses * (truth * weights[:, None, None]).sum(dim=1)
    return losses.sum(dim=(1, 2)) / truth.sum(dim=(1, 2, 3)).clamp_min(1)
