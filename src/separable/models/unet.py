"""The U-Net (O. Ronneberger, P. Fischer, T. Brox, arXiv:1505.04597, figure 1) over any encoder of the catalogue.

    encoder  a network that classifies, without its head: one map of each size, the last at 1/32 of the side
    up1..    each brings the map before it to the size of the encoder's next finer one, concatenates both, and
             convolves twice, 3x3 with batch normalisation and ReLU; the last doubles the side with nothing to add
    head     3x3 convolution to the classes, brought to the picture's size where it is not that yet

Beside the paper's: batch normalisation, padded convolutions, and separable ones unless told otherwise. Channels are
those that users of segmentation_models_pytorch know: 256, 128, 64, 32, 16.
"""

from collections.abc import Mapping, Sequence
from typing import Any

from separable.blocks import PixelHead, UNetUp
from separable.blocks.init import init_glorot_uniform
from separable.blocks.upsample import UPSAMPLINGS, Upsampling
from separable.models.base import Tap
from separable.models.encoder import check_encoder, dense_contract, make_encoder
from separable.models.options import check_choice, check_common, check_flag, check_length, check_widths, given
from separable.models.segmentation import SegmentationModel
from separable.models.xception import XCEPTION_INPUT

__all__ = ["UNET_INPUT", "UNet"]

_SIZE = (256, 256)

UNET_INPUT = dense_contract(XCEPTION_INPUT, _SIZE)
"""Over Xception, the default; over another encoder it is that one's."""

_CHANNELS = (256, 128, 64, 32, 16)


class UNet(SegmentationModel):
    """A U-Net whose contracting path is a network of the catalogue.

    Args:
        num_classes: 0 leaves out the classifier.
        encoder: its name.
        encoder_options: options of the encoder, such as {"middle_blocks": 4}.
        decoder_channels: of the steps up, coarsest first; None for 256, 128, 64, 32, 16, as many as there are steps.
        separable: depthwise separable convolutions in the decoder; False for regular ones.
        upsampling: "nearest", "bilinear", or "learned", the up-convolution of the paper.
        width: multiplies every number of channels, the encoder's too. Ours.
        dropout: before the classifier.

    Weights start as the encoder's own do, the decoder's as Keras' do: Glorot uniform.
    """

    def __init__(
        self,
        num_classes: int = 21,
        in_channels: int = 3,
        *,
        encoder: str = "xception",
        encoder_options: Mapping[str, Any] | None = None,
        decoder_channels: Sequence[int] | None = None,
        separable: bool = True,
        upsampling: Upsampling = "nearest",
        width: float = 1.0,
        dropout: float = 0.0,
    ) -> None:
        options = given(locals())
        super().__init__()
        check_common(num_classes, in_channels, width, dropout, False)
        check_encoder(encoder, encoder_options)
        check_flag("separable", separable)
        check_choice("upsampling", upsampling, UPSAMPLINGS)

        self.encoder = make_encoder(encoder, in_channels, width, encoder_options)
        *finer, lowest = self.encoder.taps
        skips: list[Tap | None] = [*reversed(finer), *([None] if finer[0].stride > 1 else [])]
        if decoder_channels is not None:
            check_widths("decoder_channels", decoder_channels)
            check_length("decoder_channels", decoder_channels, len(skips))
        sizes = [max(8, round(size * width / 8) * 8) for size in decoder_channels or _CHANNELS[: len(skips)]]
        feeds, previous, reached = {}, lowest.channels, lowest.stride
        for number, (skip, size) in enumerate(zip(skips, sizes, strict=True), start=1):
            name, skipped = f"up{number}", skip.channels if skip else 0
            self.add_module(name, UNetUp(previous, skipped, size, upsampling=upsampling, separable=separable))
            if skip:
                feeds[name] = (f"encoder.{skip.block}",)
            previous, reached = size, skip.stride if skip else reached // 2
            init_glorot_uniform(self.get_submodule(name))

        steps = [f"up{number}" for number in range(1, 1 + len(skips))]
        head = PixelHead(previous, num_classes, kernel=3, dropout=dropout)
        init_glorot_uniform(head)
        self.finish_segmentation(
            name="unet",
            options=options,
            contract=dense_contract(self.encoder.input_contract, _SIZE),
            chain=("encoder", *steps),
            feeds=feeds,
            last=Tap(steps[-1], previous, reached),
            head=head,
        )
