"""The classifier of every pixel of a map."""

from torch import Tensor, nn

from separable.blocks.dropout import KeyedDropout
from separable.blocks.head import Head

__all__ = ["PixelHead"]


class PixelHead(Head):
    """Dropout, then a convolution to the classes.

    Shapes: (N, in_channels, H, W) -> (N, num_classes, H, W) logits; with `num_classes` 0, the map itself. State:
    `classifier`, of shape (num_classes, in_channels, kernel, kernel).
    """

    def __init__(self, in_channels: int, num_classes: int, *, kernel: int = 1, dropout: float = 0.0) -> None:
        super().__init__()
        self.dropout = KeyedDropout(dropout)
        self.num_inputs, self.num_classes, self.kernel = in_channels, num_classes, kernel
        self.classifier = self.make_classifier(num_classes)

    def make_classifier(self, num_classes: int) -> nn.Module:
        if not num_classes:
            return nn.Identity()
        return nn.Conv2d(self.num_inputs, num_classes, self.kernel, padding=self.kernel // 2)

    def forward(self, x: Tensor, pre_logits: bool = False) -> Tensor:
        """With `pre_logits` the map that the classifier would get."""
        if pre_logits:
            return x
        logits: Tensor = self.classifier(self.dropout(x))
        return logits
