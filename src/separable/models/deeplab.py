"""DeepLabv3+ (L.-C. Chen et al., "Encoder-Decoder with Atrous Separable Convolution for Semantic Image Segmentation",
arXiv:1802.02611, figure 2; DeepLab's `model.py`).

    encoder  a network that classifies, dilated so that its last map keeps 1/16 or 1/8 of the side; one of its finer
             maps, at 1/4, goes to the decoder
    aspp     image pooling, 1x1, and separable 3x3 at three rates, 256 channels each - concatenated - 1x1 256 - dropout
    decoder  to 1/4 of the side - concatenated with 1x1 48 of the finer map - (sep 3x3 256) x 2
    head     1x1 convolution to the classes, brought to the picture's size

Maps are resized with their corners aligned, as DeepLab does: it pads alike on both sides, so that pixel i of a map at
stride s lies at pixel s i of the picture, exactly so for the sides 16 n + 1 that it is trained with.
"""

from collections.abc import Mapping, Sequence
from typing import Any

from torch import nn

from separable.blocks import AtrousPyramid, DeepLabDecoder, PixelHead
from separable.blocks.init import init_glorot_uniform, init_truncated_normal
from separable.blocks.norm import keep_own_eps
from separable.blocks.separable import SeparableConv2d
from separable.errors import ModelOptionError
from separable.models.base import Tap
from separable.models.encoder import check_encoder, dense_contract, encoder_dilates, make_encoder
from separable.models.options import check_choice, check_common, check_widths, given
from separable.models.segmentation import SegmentationModel
from separable.models.xception import XCEPTION_INPUT
from separable.models.xception_aligned import XCEPTION_ALIGNED_INPUT

__all__ = ["DEEPLAB_INPUT", "DEEPLAB_XCEPTION_INPUT", "DeepLab"]

_SIZE = (513, 513)
"""The crop that DeepLab is trained with on PASCAL VOC."""

DEEPLAB_XCEPTION_INPUT = dense_contract(XCEPTION_ALIGNED_INPUT, _SIZE)

DEEPLAB_INPUT = dense_contract(XCEPTION_INPUT, _SIZE)
"""Over Xception, the default; over another encoder it is that one's."""

_FINER = {"xception41": "entry2.sepconv2", "xception65": "entry2.sepconv2", "xception71": "entry3.sepconv2"}
"""Where DeepLab's decoder takes its finer map, inside of a module; of other encoders it is the map at 1/4."""

_EPS = 1e-5
"""Of the batch normalisation in what stands on the encoder, whatever the encoder's own is (`model.py`)."""


class DeepLab(SegmentationModel):
    """DeepLabv3+ over any encoder; over Xception-41, -65 and -71 it is called `deeplab_xception65` and so on.

    Args:
        num_classes: 0 leaves out the classifier; PASCAL VOC has 21.
        encoder: its name.
        encoder_options: options of the encoder, such as {"multi_grid": (1, 2, 4)}.
        output_stride: of the encoder's last map: 16, 8, or 32 without dilation. None for 16 where the encoder can trade
            strides for dilation, which the Xceptions can, and 32 for the others.
        rates: of the pyramid's convolutions; None for DeepLab's own, (6, 12, 18) at stride 16, (12, 24, 36) at 8.
        width: multiplies every number of channels, rounded to a multiple of 8, the encoder's too. Ours.
        dropout: after the pyramid; DeepLab drops 0.1.

    Weights start as the encoder's own and DeepLab's do.
    """

    def __init__(
        self,
        num_classes: int = 21,
        in_channels: int = 3,
        *,
        encoder: str = "xception",
        encoder_options: Mapping[str, Any] | None = None,
        output_stride: int | None = None,
        rates: Sequence[int] | None = None,
        width: float = 1.0,
        dropout: float = 0.1,
    ) -> None:
        options = given(locals())
        super().__init__()
        check_common(num_classes, in_channels, width, dropout, False)
        check_encoder(encoder, encoder_options)
        stride = _check_stride(encoder, output_stride)
        if rates is not None:
            check_widths("rates", rates)

        name = "deeplab"
        if encoder in _FINER:
            name = f"deeplab_{options.pop('encoder')}"
        dilated = {"output_stride": stride} if encoder_dilates(encoder) else {}
        self.encoder = make_encoder(encoder, in_channels, width, encoder_options, **dilated)
        finer, last = _FINER.get(encoder) or _quarter(self.encoder.taps), self.encoder.taps[-1]
        self.encoder.tap_at(finer, last.block)
        low = self.encoder.taps[0]
        channels, projected = (max(8, round(size * width / 8) * 8) for size in (256, 48))
        self.aspp = AtrousPyramid(
            last.channels,
            channels,
            [96 // stride * step for step in (1, 2, 3)] if rates is None else rates,
            dropout=dropout,
        )
        self.decoder = DeepLabDecoder(channels, low.channels, channels, projected=projected)
        for part in (self.aspp, self.decoder):
            keep_own_eps(part, _EPS)
            _init_deeplab(part)

        head = PixelHead(channels, num_classes)
        init_truncated_normal(head, 0.01)
        self.finish_segmentation(
            name=name,
            options=options,
            contract=dense_contract(self.encoder.input_contract, _SIZE),
            chain=("encoder", "aspp", "decoder"),
            feeds={"decoder": (f"encoder.{finer}",)},
            last=Tap("decoder", channels, low.stride),
            head=head,
            align_corners=True,
        )


def _check_stride(encoder: str, output_stride: object) -> int:
    check_choice("output_stride", output_stride, (None, 8, 16, 32))
    if encoder_dilates(encoder):
        return 16 if output_stride is None else int(output_stride)  # type: ignore[call-overload]
    if output_stride not in (None, 32):
        raise ModelOptionError(
            f"Bad model option output_stride: {encoder} cannot trade strides for dilation",
            got=str(output_stride),
            expected="32, or an encoder that can: xception, xception41, xception65 or xception71",
        )
    return 32


def _quarter(taps: Sequence[Tap]) -> str:
    """The last map at 1/4 of the side or finer, the deepest one of all left out."""
    return [tap for tap in taps[:-1] if tap.stride <= 4][-1].block


def _init_deeplab(part: nn.Module) -> None:
    """TF-slim's Xavier for regular convolutions; cut normals of deviation 0.33 and 0.06 for both halves of others."""
    init_glorot_uniform(part)
    for module in part.modules():
        if isinstance(module, SeparableConv2d):
            init_truncated_normal(module.depthwise, 0.33)
            init_truncated_normal(module.pointwise, 0.06)
