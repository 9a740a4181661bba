"""The heads of the networks from before global average pooling, and of the one that introduced a convolution there."""

from collections.abc import Sequence

import torch.nn.functional as F
from torch import Tensor, nn

from separable.blocks.dropout import KeyedDropout
from separable.blocks.head import Head, linear_classifier

__all__ = ["ConvHead", "DenseHead"]


class DenseHead(Head):
    """A feature map of fixed size, flattened -> dense layers with ReLU -> logistic regression (arXiv:1409.1556, table
    1; arXiv:1404.5997, section 3).

    A map of another size is averaged to `grid` x `grid` first, as torchvision does; at the published size that changes
    nothing. With `sliding` the first dense layer is instead slid over a larger map as a convolution, and its answers
    are averaged: the dense evaluation of arXiv:1409.1556, section 3.2, and what timm does.

    Args:
        grid: side of the map that the first dense layer was made for.
        fc_layers: widths of the dense layers.
        dropout_first: dropout before every dense layer (AlexNet's order), rather than after every one (VGG's).

    Shapes: (N, in_channels, H, W) -> (N, num_classes) logits; with `num_classes` 0, what the classifier would get.
    State: `fc1`, `fc2`, ... and `classifier`. A map is flattened channel by channel.
    """

    def __init__(
        self,
        in_channels: int,
        num_classes: int,
        *,
        grid: int,
        fc_layers: Sequence[int] = (4096, 4096),
        dropout: float = 0.5,
        dropout_first: bool = False,
        sliding: bool = False,
    ) -> None:
        super().__init__()
        self.grid, self.in_channels, self.dropout_first, self.sliding = grid, in_channels, dropout_first, sliding
        self.fc_names = tuple(f"fc{number}" for number in range(1, len(fc_layers) + 1))
        inputs = in_channels * grid * grid
        for number, (name, width) in enumerate(zip(self.fc_names, fc_layers, strict=True), start=1):
            self.add_module(name, nn.Linear(inputs, width))
            self.add_module(f"dropout{number}", KeyedDropout(dropout))
            inputs = width
        self.num_inputs, self.num_classes = inputs, num_classes
        self.classifier = self.make_classifier(num_classes)

    def make_classifier(self, num_classes: int) -> nn.Module:
        return linear_classifier(self.num_inputs, num_classes)

    def forward(self, x: Tensor, pre_logits: bool = False) -> Tensor:
        if self.sliding:
            smallest = (max(self.grid, x.shape[-2]), max(self.grid, x.shape[-1]))
            y = F.adaptive_avg_pool2d(x, smallest)
        else:
            y = F.adaptive_avg_pool2d(x, self.grid).flatten(1)
        last = len(self.fc_names)
        for number, name in enumerate(self.fc_names, start=1):
            drop = self.get_submodule(f"dropout{number}")
            if self.dropout_first:
                y = drop(y)
            y = F.relu(self._slide(name, y) if self.sliding and number == 1 else self.get_submodule(name)(y))
            if not self.dropout_first and number < last:
                y = drop(y)
        if self.sliding:
            y = y.mean((1, 2))
        if pre_logits:
            return y
        if not self.dropout_first:
            y = self.get_submodule(f"dropout{last}")(y)
        logits: Tensor = self.classifier(y)
        return logits

    def _slide(self, name: str, x: Tensor) -> Tensor:
        """The dense layer `name` at every place of `x` (N, C, H, W): (N, H', W', width)."""
        dense = self.get_submodule(name)
        assert isinstance(dense, nn.Linear)
        kernel = dense.weight.view(dense.out_features, self.in_channels, self.grid, self.grid)
        return F.conv2d(x, kernel, dense.bias).movedim(1, -1)


class ConvHead(Head):
    """Dropout -> 1x1 convolution to the classes -> ReLU -> global average (conv10 and avgpool10 of arXiv:1602.07360,
    table 1; the idea is that of arXiv:1312.4400, section 3.2).

    The logits are never below 0. What `pre_logits` gives, and 0 classes leave, is the average of the features.

    Shapes: (N, in_channels, H, W) -> (N, num_classes) logits. State: `classifier`, of shape (num_classes, in_channels,
    1, 1).
    """

    def __init__(self, in_channels: int, num_classes: int, *, dropout: float = 0.5) -> None:
        super().__init__()
        self.dropout = KeyedDropout(dropout)
        self.num_inputs, self.num_classes = in_channels, num_classes
        self.classifier = self.make_classifier(num_classes)

    def make_classifier(self, num_classes: int) -> nn.Module:
        return nn.Conv2d(self.num_inputs, num_classes, 1) if num_classes else nn.Identity()

    def silence(self) -> None:
        """Zero weights and biases of 1: at 0 the ReLU behind them would pass no gradient, and nothing be learnt."""
        super().silence()
        if isinstance(self.classifier, nn.Conv2d) and self.classifier.bias is not None:
            nn.init.ones_(self.classifier.bias)

    def forward(self, x: Tensor, pre_logits: bool = False) -> Tensor:
        if pre_logits:
            return x.mean((2, 3))
        return F.relu(self.classifier(self.dropout(x))).mean((2, 3))
