"""What networks that answer for every pixel share: blocks that take earlier maps, logits as large as the picture."""

from abc import ABC
from collections.abc import Mapping, Sequence
from typing import Any, ClassVar

import torch.nn.functional as F
from torch import Tensor

from separable.blocks.pixel_head import PixelHead
from separable.blocks.upsample import resize_to
from separable.errors import UsageError
from separable.models.base import ImageModel, Tap
from separable.models.contract import InputContract

__all__ = ["SegmentationModel", "demand_classifier", "demand_segmenter", "pixel_logits"]


class SegmentationModel(ImageModel, ABC):
    """An encoder, a decoder's blocks, and a classifier of pixels.

    A block of the chain that `feeds` names gets further maps beside the one before it: of earlier blocks, or of an
    encoder's pyramid ("encoder.block3"). A block `encoder` is a network of the catalogue with `features_only`; its last
    map goes on.

    Shapes: (N, in_channels, H, W) -> (N, num_classes, H, W) logits, or where `raw` as large as the decoder leaves them.
    """

    task: ClassVar[str] = "segment"
    feeds: dict[str, tuple[str, ...]]
    raw: bool
    """Whether the logits have the size that the decoder leaves them; else they are brought to the picture's."""
    multiple: int
    """Pictures whose sides are multiples of this have logits of their own size, without any fitting."""
    align_corners: bool

    def finish_segmentation(
        self,
        *,
        name: str,
        options: Mapping[str, Any],
        contract: InputContract,
        chain: Sequence[str],
        feeds: Mapping[str, Sequence[str]],
        last: Tap,
        head: PixelHead,
        raw: bool = False,
        multiple: int = 1,
        align_corners: bool = False,
    ) -> None:
        """As `finish`; `last` is the decoder's last map, the only one of `taps`."""
        self.feeds = {block: tuple(sources) for block, sources in feeds.items()}
        self.raw, self.multiple, self.align_corners = raw, multiple, align_corners
        self.finish(
            name=name,
            options=options,
            contract=contract,
            chain=chain,
            taps=(last,),
            head=head,
            features_only=False,
        )

    def forward(self, x: Tensor) -> Tensor:
        logits = self.forward_head(self.forward_features(x))
        if self.raw:
            return logits
        return resize_to(logits, (x.shape[2], x.shape[3]), align_corners=self.align_corners)

    def _run(self, x: Tensor, wanted: tuple[str, ...]) -> tuple[Tensor, dict[str, Tensor]]:
        self._check_size(x)
        needed = {source for sources in self.feeds.values() for source in sources} | set(wanted)
        kept: dict[str, Tensor] = {}
        for name in self.chain:
            block = self.get_submodule(name)
            if isinstance(block, ImageModel):
                maps = block(x)
                kept |= {f"{name}.{tap.block}": grid for tap, grid in zip(block.taps, maps, strict=True)}
                x = maps[-1]
            else:
                x = self._call(block, x, *(kept[source] for source in self.feeds.get(name, ())))
            if name in needed:
                kept[name] = x
        return x, {place: grid for place, grid in kept.items() if place in wanted}


def demand_classifier(network: object, what: str) -> None:
    """Refuse one of the networks here, or a line of the catalogue, that answers for every pixel.

    Args:
        what: "Training", "Predicting": what is only there for networks that classify pictures.

    Raises:
        UsageError: it is one; anybody else's network passes.
    """
    if getattr(network, "task", "classify") == "segment":
        raise UsageError(
            f"{what} is for networks that classify pictures",
            got=f"{getattr(network, 'name', 'a network')}, which answers for every pixel",
            expected="one of `separable.list_models('classify')`",
            fix="In Python, separable.models.pixel_logits(model, x) gives the logits of every pixel",
        )


def demand_segmenter(network: object, what: str) -> None:
    """Refuse what does not answer for every pixel, as `demand_classifier` refuses what does.

    Raises:
        UsageError: it classifies pictures, or nothing says that it does not.
    """
    if getattr(network, "task", "classify") != "segment":
        raise UsageError(
            f"{what} is for networks that answer for every pixel",
            got=f"{getattr(network, 'name', 'a network')}, which classifies pictures",
            expected="one of `separable.list_models('segment')`",
            fix="unet_xception is one to start with",
        )


def pixel_logits(model: SegmentationModel, x: Tensor) -> Tensor:
    """The logits of every pixel of `x` (N, C, H, W): (N, num_classes, H, W), whatever the sides.

    A network that leaves its logits as they are (`raw`) gets the picture with its last row and column repeated up to
    the next multiple of `model.multiple`, where its maps line up, and what belongs to those is cut off again.
    """
    height, width = x.shape[2], x.shape[3]
    below, right = -height % model.multiple, -width % model.multiple
    logits: Tensor = model(F.pad(x, (0, right, 0, below), mode="replicate") if model.raw else x)
    return logits[:, :, :height, :width]
