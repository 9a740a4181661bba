"""The classifier on top of a feature map."""

from abc import ABC, abstractmethod
from collections.abc import Sequence

import torch.nn.functional as F
from torch import Tensor, nn

from separable.blocks.dropout import KeyedDropout

__all__ = ["ClassifierHead", "Head", "linear_classifier"]


class Head(nn.Module, ABC):
    """What turns the last feature map into logits, ending in `classifier`."""

    classifier: nn.Module
    num_inputs: int
    """Of the classifier."""
    num_classes: int

    @abstractmethod
    def forward(self, x: Tensor, pre_logits: bool = False) -> Tensor:
        """(N, C, H, W) -> (N, num_classes), or what the classifier would get."""

    @abstractmethod
    def make_classifier(self, num_classes: int) -> nn.Module:
        """A fresh classifier for this head; `nn.Identity` for 0 classes."""

    def silence(self) -> None:
        """Make the classifier answer alike for every picture: a new one then sends no noise into trained layers."""
        for parameter in self.classifier.parameters():
            nn.init.zeros_(parameter)


class ClassifierHead(Head):
    """Global average pooling -> optional dense layers -> dropout -> logistic regression (bottom of figure 5,
    arXiv:1610.02357; the dense layers are the "optional fully-connected layers" of its JFT network, section 4.3).

    Shapes: (N, in_channels, H, W) -> (N, num_classes) logits; with `num_classes` 0, what the classifier would get.
    State: `fc1`, `fc2`, ... and `classifier`.
    """

    def __init__(
        self, in_channels: int, num_classes: int, *, fc_layers: Sequence[int] = (), dropout: float = 0.0
    ) -> None:
        super().__init__()
        self.fc_names = tuple(f"fc{number}" for number in range(1, len(fc_layers) + 1))
        for name, width in zip(self.fc_names, fc_layers, strict=True):
            self.add_module(name, nn.Linear(in_channels, width))
            in_channels = width
        self.dropout = KeyedDropout(dropout)
        self.num_inputs, self.num_classes = in_channels, num_classes
        self.classifier = self.make_classifier(num_classes)

    def make_classifier(self, num_classes: int) -> nn.Module:
        return linear_classifier(self.num_inputs, num_classes)

    def forward(self, x: Tensor, pre_logits: bool = False) -> Tensor:
        y = x.mean((2, 3))
        for name in self.fc_names:
            y = F.relu(self.get_submodule(name)(y))
        if pre_logits:
            return y
        logits: Tensor = self.classifier(self.dropout(y))
        return logits


def linear_classifier(num_inputs: int, num_classes: int) -> nn.Module:
    """Logistic regression, or the identity for 0 classes."""
    return nn.Linear(num_inputs, num_classes) if num_classes else nn.Identity()
