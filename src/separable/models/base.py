"""What every network here shares: a chain of blocks, a head, and the conventions that timm's users know."""

import operator
from abc import ABC
from collections.abc import Mapping, Sequence
from contextlib import AbstractContextManager, nullcontext
from dataclasses import replace
from typing import Any, ClassVar

import torch
from torch import Tensor, nn
from torch.utils.checkpoint import checkpoint

from separable.blocks.checks import check_choice, check_minimum
from separable.blocks.head import Head
from separable.blocks.init import init_glorot_uniform
from separable.blocks.norm import frozen_running_statistics
from separable.blocks.numerics import set_numerics
from separable.errors import InputSizeError, ModelOptionError, UsageError
from separable.models.contract import InputContract
from separable.models.feature_info import FeatureInfo, Tap
from separable.models.options import with_plain_arguments

__all__ = ["ImageModel", "Tap"]


class ImageModel(nn.Module, ABC):
    """A chain of named blocks, then a classifier head.

    A subclass makes its blocks in `__init__` and calls `finish` at the end; networks that classify override nothing of
    this. Those that segment (`SegmentationModel`) have blocks that take more than the map before them.

    Shapes: (N, in_channels, H, W) -> (N, num_classes) logits. With `features_only` the list of the maps at `taps`. In
    training mode with auxiliary heads, (logits, auxiliary logits, ...).
    """

    task: ClassVar[str] = "classify"
    """What the network answers: one answer per picture, or for "segment" one per pixel."""
    name: str
    options: dict[str, Any]
    input_contract: InputContract
    num_classes: int
    num_features: int
    """Channels of the last feature map."""
    head_hidden_size: int
    """Width of what the classifier gets: `num_features`, but for heads with dense layers."""
    taps: tuple[Tap, ...]
    inner_taps: tuple[Tap, ...] = ()
    """Places inside of blocks that `tap_at` can choose too, such as `entry2.sepconv2`."""
    head: Head | None

    def __init_subclass__(cls, **kwargs: Any) -> None:
        super().__init_subclass__(**kwargs)
        if "__init__" in vars(cls):
            cls.__init__ = with_plain_arguments(cls.__init__)  # type: ignore[method-assign]

    def finish(
        self,
        *,
        name: str,
        options: Mapping[str, Any],
        contract: InputContract,
        chain: Sequence[str],
        taps: Sequence[Tap],
        head: Head,
        features_only: bool,
        aux: Mapping[str, Head] | None = None,
    ) -> None:
        """Set what the shared methods read.

        `chain` names the blocks in order. `aux` has auxiliary heads by the block they follow, in the chain's order:
        one becomes `aux_head`, several `aux_head1`, `aux_head2`, ...
        """
        self.name, self.options = name, dict(options)
        self.chain, self.taps = tuple(chain), tuple(taps)
        self.num_classes, self.num_features = head.num_classes, taps[-1].channels
        self.head_hidden_size = head.num_inputs
        self.head = None if features_only else head
        self.aux_names: dict[str, str] = {}
        for number, (block, module) in enumerate({} if features_only or not aux else aux.items(), start=1):
            self.aux_names[block] = "aux_head" if len(aux or ()) == 1 else f"aux_head{number}"
            self.add_module(self.aux_names[block], module)
        self.grad_checkpointing = False
        self.adopt(contract)

    def adopt(self, contract: InputContract) -> None:
        """Take over `contract`, and with it the numerics of the weights it belongs to: border, epsilon, averages."""
        self.input_contract = contract
        for part in self.children():
            if isinstance(part, ImageModel):  # an encoder
                part.input_contract = contract
        set_numerics(
            self,
            padding=contract.padding,
            batch_norm_eps=contract.batch_norm_eps,
            counts_padding=contract.counts_padding,
        )

    @property
    def aux_heads(self) -> dict[str, Head]:
        """The auxiliary heads by the block they follow."""
        heads = {block: self.get_submodule(name) for block, name in self.aux_names.items()}
        return {block: head for block, head in heads.items() if isinstance(head, Head)}

    @property
    def feature_info(self) -> FeatureInfo:
        """The maps of the feature pyramid, `.channels()`, `.reduction()` and `.module_name()`, as timm has it."""
        return FeatureInfo(self.taps)

    def forward(self, x: Tensor) -> Tensor | tuple[Tensor, ...] | list[Tensor]:
        if self.head is None:
            return self.forward_pyramid(x)
        if self.aux_names and self.training:
            features, kept = self._run(x, tuple(self.aux_names))
            heads = ((block, self.get_submodule(name)) for block, name in self.aux_names.items())
            return (self.head(features), *(head(kept[block]) for block, head in heads))
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
        places = tuple(tap.block for tap in self.taps)
        kept = self._run(x, places)[1]
        return [kept[place] for place in places]

    def tap_at(self, *places: str) -> None:
        """Let the pyramid have the maps at `places` from now on: some of `taps` and `inner_taps`, finest first.

        Raises:
            ModelOptionError: there is no such place; nothing is changed.
        """
        known = {tap.block: tap for tap in (*self.taps, *self.inner_taps)}
        if strangers := [place for place in places if place not in known]:
            raise ModelOptionError(
                f"{self.name} has no feature map there",
                got=", ".join(strangers),
                expected=f"some of {', '.join(known)}",
            )
        self.taps = tuple(known[place] for place in places)

    def get_classifier(self) -> nn.Module:
        """The last layer, `nn.Linear` in most networks, or `nn.Identity` without classes."""
        if self.head is None:
            return nn.Identity()
        return self.head.classifier

    def reset_classifier(self, num_classes: int, global_pool: str | None = None) -> None:
        """Put fresh classifiers (auxiliary ones too) for `num_classes` in place; 0 leaves the pooled features.

        Args:
            global_pool: None or "avg", which is what every head here does, so that calls written for timm work.

        Raises:
            ModelOptionError: no such number of classes or pooling, or no classifier; nothing is changed.
        """
        if self.head is None:
            raise ModelOptionError(f"This {self.name} has no classifier", fix="Build it without features_only=True")
        check_minimum("num_classes", num_classes, 0)
        check_choice("global_pool", global_pool, (None, "avg"))
        classes = operator.index(num_classes)  # numpy's integers have no place in a file
        old = next(self.parameters())
        heads = (self.head, *self.aux_heads.values())
        classifiers = [head.make_classifier(classes).to(old.device, old.dtype) for head in heads]
        self.num_classes = classes
        self.input_contract = _without_class_names(self.input_contract, classes)
        for head, classifier in zip(heads, classifiers, strict=True):
            head.num_classes, head.classifier = classes, classifier
            init_glorot_uniform(classifier)

    def set_grad_checkpointing(self, enable: bool = True) -> None:
        """In training, keep only the blocks' inputs and compute the rest again in the backward pass."""
        self.grad_checkpointing = enable
        for part in self.children():
            if isinstance(part, ImageModel):
                part.set_grad_checkpointing(enable)

    def _run(self, x: Tensor, wanted: tuple[str, ...]) -> tuple[Tensor, dict[str, Tensor]]:
        """The last map, and those at `wanted`: after a block, or inside one that can give such a map out (`keep`)."""
        self._check_size(x)
        kept = {}
        inside = dict(place.split(".", 1) for place in wanted if "." in place)
        for name in self.chain:
            block = self.get_submodule(name)
            if name in inside:
                x, kept[f"{name}.{inside[name]}"] = self._call(block, x, keep=inside[name])
            else:
                x = self._call(block, x)
            if name in wanted:
                kept[name] = x
        return x, kept

    def _call(self, block: nn.Module, *inputs: Tensor, **settings: Any) -> Any:
        """`block(*inputs)`, its inside computed once more in the backward pass where that is asked for."""
        if self.grad_checkpointing and self.training and torch.is_grad_enabled():
            return checkpoint(block, *inputs, use_reentrant=False, context_fn=_Recompute(block), **settings)
        return block(*inputs, **settings)

    def _check_size(self, x: Tensor) -> None:
        if x.dim() != 4:
            raise UsageError(
                f"{self.name} takes pictures in batches",
                got=f"a tensor of shape {tuple(x.shape)}",
                expected="(N, C, H, W), for example (1, 3, 224, 224)",
                fix="x.unsqueeze(0) makes a batch of one picture" if x.dim() == 3 else None,
            )
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


def _without_class_names(contract: InputContract, num_classes: int) -> InputContract:
    return contract if len(contract.class_names) == num_classes else replace(contract, class_names=())
