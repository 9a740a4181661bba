"""What every network here shares: a chain of blocks, a head, and the conventions that timm's users know."""

from abc import ABC
from collections.abc import Mapping, Sequence
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass, replace
from typing import Any

import torch
from torch import Tensor, nn
from torch.utils.checkpoint import checkpoint

from separable.blocks import ClassifierHead, InceptionAux
from separable.blocks.init import init_glorot_uniform
from separable.blocks.norm import frozen_running_statistics
from separable.errors import InputSizeError, ModelOptionError
from separable.models.contract import InputContract

__all__ = ["ImageModel", "Tap"]


@dataclass(frozen=True)
class Tap:
    """A place of the feature pyramid: after `block`, `channels` maps at 1 / `stride` of the picture's side."""

    block: str
    channels: int
    stride: int


class ImageModel(nn.Module, ABC):
    """A chain of named blocks, then a classifier head.

    A subclass makes its blocks in `__init__` and calls `finish` at the end; nothing here is overridden.

    Shapes: (N, in_channels, H, W) -> (N, num_classes) logits. With `features_only` the list of the maps at `taps`. In
    training mode with an auxiliary head, (logits, auxiliary logits).
    """

    name: str
    options: dict[str, Any]
    input_contract: InputContract
    num_classes: int
    num_features: int
    taps: tuple[Tap, ...]
    head: ClassifierHead | None
    aux_head: InceptionAux | None

    def finish(
        self,
        *,
        name: str,
        options: Mapping[str, Any],
        contract: InputContract,
        chain: Sequence[str],
        taps: Sequence[Tap],
        head: ClassifierHead,
        features_only: bool,
        aux: tuple[str, InceptionAux] | None = None,
    ) -> None:
        """Set what the shared methods read. `chain` names the blocks in order; `aux` is (block it follows, module)."""
        self.name, self.options, self.input_contract = name, dict(options), contract
        self.chain, self.taps = tuple(chain), tuple(taps)
        self.num_classes, self.num_features = head.num_classes, taps[-1].channels
        self.head = None if features_only else head
        self.aux_block = aux[0] if aux and not features_only else ""
        self.aux_head = aux[1] if aux and not features_only else None
        self.grad_checkpointing = False

    def forward(self, x: Tensor) -> Tensor | tuple[Tensor, Tensor] | list[Tensor]:
        if self.head is None:
            return self.forward_pyramid(x)
        if self.aux_head is not None and self.training:
            features, kept = self._run(x, (self.aux_block,))
            return self.head(features), self.aux_head(kept[0])
        logits: Tensor = self.head(self.forward_features(x))
        return logits

    def forward_features(self, x: Tensor) -> Tensor:
        """The last feature map, after its activation and before pooling: (N, num_features, h, w)."""
        return self._run(x, ())[0]

    def forward_head(self, features: Tensor, pre_logits: bool = False) -> Tensor:
        """Logits of `features`, or with `pre_logits` the pooled vector that the classifier would get."""
        if self.head is None:
            raise ModelOptionError(f"This {self.name} has no head", fix="Build it without features_only=True")
        y: Tensor = self.head(features, pre_logits)
        return y

    def forward_pyramid(self, x: Tensor) -> list[Tensor]:
        """The feature maps at `taps`, finest first."""
        return self._run(x, tuple(tap.block for tap in self.taps))[1]

    def get_classifier(self) -> nn.Module:
        """The last layer: `nn.Linear`, or `nn.Identity` without classes."""
        if self.head is None:
            return nn.Identity()
        return self.head.classifier

    def reset_classifier(self, num_classes: int) -> None:
        """Put fresh classifiers (the auxiliary one too) for `num_classes` in place; 0 leaves the pooled features."""
        if self.head is None:
            raise ModelOptionError(f"This {self.name} has no classifier", fix="Build it without features_only=True")
        old = next(self.parameters())
        self.num_classes = num_classes
        self.input_contract = _without_class_names(self.input_contract, num_classes)
        self.head.classifier = _fresh_linear(self.head.num_inputs, num_classes, old)
        if self.aux_head is not None:
            self.aux_head.classifier = _fresh_linear(self.aux_head.num_inputs, num_classes, old)

    def set_grad_checkpointing(self, enable: bool = True) -> None:
        """In training, keep only the blocks' inputs and compute the rest again in the backward pass."""
        self.grad_checkpointing = enable

    def _run(self, x: Tensor, wanted: tuple[str, ...]) -> tuple[Tensor, list[Tensor]]:
        self._check_size(x)
        kept = []
        recompute = self.grad_checkpointing and self.training and torch.is_grad_enabled()
        for name in self.chain:
            block = self.get_submodule(name)
            if recompute:
                x = checkpoint(block, x, use_reentrant=False, context_fn=_Recompute(block))
            else:
                x = block(x)
            if name in wanted:
                kept.append(x)
        return x, kept

    def _check_size(self, x: Tensor) -> None:
        smallest = self.input_contract.min_size
        if x.shape[-2] < smallest or x.shape[-1] < smallest:
            raise InputSizeError(
                f"Pictures of {x.shape[-2]}x{x.shape[-1]} are too small for {self.name}: "
                f"the smallest side that works is {smallest}"
            )


class _Recompute:
    """The pair of contexts `checkpoint` asks for: nothing in the first run, frozen statistics in the second."""

    def __init__(self, block: nn.Module) -> None:
        self.block = block

    def __call__(self) -> tuple[AbstractContextManager[None], AbstractContextManager[None]]:
        return nullcontext(), frozen_running_statistics(self.block)


def _fresh_linear(inputs: int, num_classes: int, like: Tensor) -> nn.Module:
    if num_classes == 0:
        return nn.Identity()
    layer = nn.Linear(inputs, num_classes, device=like.device, dtype=like.dtype)
    init_glorot_uniform(layer)
    return layer


def _without_class_names(contract: InputContract, num_classes: int) -> InputContract:
    return contract if len(contract.class_names) == num_classes else replace(contract, class_names=())
