"""Xception (F. Chollet, "Xception: Deep Learning with Depthwise Separable Convolutions", arXiv:1610.02357).

Figure 5, at 299x299. Every convolution is followed by batch normalisation; "sep" is a separable 3x3 convolution.

    entry   block1       conv 32, 3x3/2 - ReLU - conv 64, 3x3 - ReLU          149 -> 147
            block2       sep 128 - ReLU - sep 128 - max pool 3x3/2            + 1x1/2 conv     74
            block3       ReLU - sep 256 - ReLU - sep 256 - max pool 3x3/2     + 1x1/2 conv     37
            block4       ReLU - sep 728 - ReLU - sep 728 - max pool 3x3/2     + 1x1/2 conv     19
    middle  block5..12   (ReLU - sep 728) x 3                                 + identity       19
    exit    block13      ReLU - sep 728 - ReLU - sep 1024 - max pool 3x3/2    + 1x1/2 conv     10
            block14      sep 1536 - ReLU - sep 2048 - ReLU                                     10
    head    global average pooling - optional dense layers - dropout - logistic regression
"""

from collections.abc import Sequence
from dataclasses import replace
from functools import partial

from separable.blocks import ClassifierHead, XceptionDown, XceptionMiddle, XceptionStem, XceptionTail
from separable.blocks.init import init_glorot_uniform
from separable.blocks.spectrum import ORDERS
from separable.blocks.xception import SeparableOptions
from separable.models.base import ImageModel, Tap
from separable.models.contract import InputContract
from separable.models.dilation import strides_and_dilations
from separable.models.options import check_choice, check_common, check_flag, check_minimum, check_widths, given

__all__ = ["XCEPTION_INPUT", "Xception"]

XCEPTION_INPUT = InputContract(size=(299, 299), mean=(0.5, 0.5, 0.5), std=(0.5, 0.5, 0.5), min_size=71)
"""Keras' "tf" mode; 71 is Keras' own lower bound."""

_SMALL_INPUT = replace(XCEPTION_INPUT, size=(64, 64), min_size=32)


class Xception(ImageModel):
    """Figure 5 and its ablations; 22,855,952 trainable parameters with the defaults.

    Args:
        num_classes: 0 leaves out the classifier.
        residual: False for the network without shortcuts of figure 9.
        intermediate_activation: None, "relu" or "elu" between depthwise and pointwise (figure 10).
        segments: of the channels that each 3x3 works on (section 1.2): None for one channel in each; 1 for regular
            convolutions, 3 or 4 as in an Inception module. At most a layer's channels, so that the first layers may be
            depthwise where wider ones are not. See `blocks.SpectrumConv2d`.
        order: "spatial_first", the 3x3 and then the 1x1, or "pointwise_first" as in figures 3 and 4.
        fc_layers: widths of dense layers before the classifier; (4096, 4096) for the JFT network (section 4.3).
        width: multiplies every number of channels, rounded to a multiple of 8. Ours.
        middle_blocks: how often the middle flow repeats, 8 in the paper.
        stem_stride: 1 for small pictures (32 pixels and up), 2 in the paper.
        output_stride: the largest stride of a feature map: 32, or 16 or 8 with dilation in place of strides, as
            arXiv:1802.02611 does (section 3.1). Every map is then, at the strides left out, exactly the original one.
        dropout: before the classifier; the paper's ImageNet value is 0.5 (section 4.2.2), none on JFT.
        features_only: return the feature pyramid in place of logits.

    Weights start as Keras' do: Glorot uniform.
    """

    def __init__(
        self,
        num_classes: int = 1000,
        in_channels: int = 3,
        *,
        residual: bool = True,
        intermediate_activation: str | None = None,
        segments: int | None = None,
        order: str = "spatial_first",
        fc_layers: Sequence[int] = (),
        width: float = 1.0,
        middle_blocks: int = 8,
        stem_stride: int = 2,
        output_stride: int = 32,
        dropout: float = 0.5,
        features_only: bool = False,
    ) -> None:
        options = given(locals())
        super().__init__()
        check_common(num_classes, in_channels, width, dropout, features_only)
        check_flag("residual", residual)
        check_widths("fc_layers", fc_layers)
        check_choice("intermediate_activation", intermediate_activation, (None, "relu", "elu"))
        if segments is not None:
            check_minimum("segments", segments, 1)
        check_choice("order", order, ORDERS)
        check_choice("stem_stride", stem_stride, (1, 2))
        check_choice("output_stride", output_stride, (8, 16, 32))
        check_minimum("middle_blocks", middle_blocks, 0)

        def channels(published: int) -> int:
            return max(8, round(published * width / 8) * 8)

        c32, c64, c128, c256, c728, c1024, c1536, c2048 = map(channels, (32, 64, 128, 256, 728, 1024, 1536, 2048))
        unit: SeparableOptions = {
            "intermediate_activation": intermediate_activation,
            "segments": segments,
            "order": order,
        }
        down, same = (
            partial(XceptionDown, residual=residual, **unit),
            partial(XceptionMiddle, residual=residual, **unit),
        )
        tail = partial(XceptionTail, **unit)
        # Of the stem, blocks 2 to 4, the middle flow, blocks 13 and 14; the first three never lose their stride.
        *_, (stride4, rate4), (_, middle_rate), (stride13, rate13), (_, rate14) = strides_and_dilations(
            (stem_stride, 2, 2, 2, 1, 2, 1), output_stride
        )
        middle = [f"block{number}" for number in range(5, 5 + middle_blocks)]
        # However short the middle flow, the exit flow keeps its published numbers, and with them its weights' names.
        exit1, exit2 = (f"block{max(13, 5 + middle_blocks) + step}" for step in (0, 1))

        # Entry flow
        self.block1 = XceptionStem(in_channels, c32, c64, stride=stem_stride)
        self.block2 = down(c64, c128, c128, leading_relu=False)
        self.block3 = down(c128, c256, c256)
        self.block4 = down(c256, c728, c728, stride=stride4, dilation=rate4)
        # Middle flow
        for name in middle:
            self.add_module(name, same(c728, dilation=middle_rate))
        # Exit flow
        self.add_module(exit1, down(c728, c728, c1024, stride=stride13, dilation=rate13))
        self.add_module(exit2, tail(c1024, c1536, c2048, dilation=rate14))

        finest = stem_stride
        self.finish(
            name="xception",
            options=options,
            contract=XCEPTION_INPUT if stem_stride == 2 else _SMALL_INPUT,
            chain=("block1", "block2", "block3", "block4", *middle, exit1, exit2),
            taps=(
                Tap("block1", c64, finest),
                Tap("block2", c128, 2 * finest),
                Tap("block3", c256, 4 * finest),
                Tap(middle[-1] if middle else "block4", c728, 4 * finest * stride4),
                Tap(exit2, c2048, 4 * finest * stride4 * stride13),
            ),
            head=ClassifierHead(c2048, num_classes, fc_layers=fc_layers, dropout=dropout),
            features_only=features_only,
        )
        init_glorot_uniform(self)
