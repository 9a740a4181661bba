"""MobileNet V1 (A. G. Howard et al., "MobileNets: Efficient Convolutional Neural Networks for Mobile Vision
Applications", arXiv:1704.04861), table 1, with Keras' paddings and ReLU6.

At 224x224; every unit is a 3x3 depthwise convolution and a 1x1, each with batch normalisation and ReLU6.

    conv1        3x3/2      32        112
    block1                  64        112
    block2, 3    /2, /1     128       56
    block4, 5    /2, /1     256       28
    block6..11   /2, 5 x /1 512       14
    block12, 13  /2, /1     1024      7      (table 1 prints "s2" for the last one, whose sizes say s1)
    head         global average pooling - dropout - logistic regression

Its tables 3 to 7 are this network with `separable`, `shallow`, `width` and `resolution`.
"""

from dataclasses import replace

from torch import nn

from separable.blocks import ClassifierHead, ConvBN, MobileNetUnit
from separable.blocks.init import init_glorot_uniform
from separable.models.base import ImageModel, Tap
from separable.models.contract import InputContract
from separable.models.options import check_choice, check_common, check_flag, check_minimum, given

__all__ = ["MOBILENET_V1_INPUT", "MobileNetV1"]

MOBILENET_V1_INPUT = InputContract(
    size=(224, 224), mean=(0.5, 0.5, 0.5), std=(0.5, 0.5, 0.5), padding="keras_mobilenet", min_size=32
)
"""Keras' "tf" mode; 32 pixels end as one."""

_UNITS = (  # (stride, channels) of block1..13, table 1
    *((1, 64), (2, 128), (1, 128), (2, 256), (1, 256), (2, 512)),
    *((1, 512), (1, 512), (1, 512), (1, 512), (1, 512)),
    *((2, 1024), (1, 1024)),
)
_SHALLOW = range(7, 12)  # what table 5's shallow network lacks, "the 5 layers of ... feature size 14 x 14 x 512"


class MobileNetV1(ImageModel):
    """Table 1 at any width multiplier; 4,231,976 trainable parameters with the defaults.

    Args:
        num_classes: 0 leaves out the classifier.
        width: the paper's alpha (section 3.3) on every number of channels, rounded down as Keras does.
        resolution: side in pixels of the pictures it is meant for, into which the paper's rho (section 3.4) is
            translated: 224, 192, 160 or 128 in table 7. The input contract says it; any side from 32 up still fits.
        stem_stride: 1 for small pictures, from 16 pixels up; 2 in the paper. Ours. Every map is then twice as large.
        separable: False for full 3x3 convolutions in place of depthwise and pointwise ones (table 4).
        shallow: leave out block7 to block11 (table 5).
        activation: "relu6" as TensorFlow's and Keras' files have it, or the paper's plain "relu".
        dropout: before the classifier, Keras' 0.001.
        features_only: return the feature pyramid in place of logits.

    Weights start as Keras' do: Glorot uniform.
    """

    def __init__(
        self,
        num_classes: int = 1000,
        in_channels: int = 3,
        *,
        width: float = 1.0,
        resolution: int = 224,
        stem_stride: int = 2,
        separable: bool = True,
        shallow: bool = False,
        activation: str = "relu6",
        dropout: float = 1e-3,
        features_only: bool = False,
    ) -> None:
        options = given(locals())
        super().__init__()
        check_common(num_classes, in_channels, width, dropout, features_only)
        check_choice("activation", activation, ("relu6", "relu"))
        check_choice("stem_stride", stem_stride, (1, 2))
        smallest = MOBILENET_V1_INPUT.min_size * stem_stride // 2
        check_minimum("resolution", resolution, smallest)
        check_flag("separable", separable)
        check_flag("shallow", shallow)

        def channels(published: int) -> int:
            return max(1, int(published * width))

        self.conv1 = ConvBN(in_channels, channels(32), 3, stride=stem_stride, activation=activation)
        previous = channels(32)
        chain = ["conv1"]
        for number, (stride, published) in enumerate(_UNITS, start=1):
            if shallow and number in _SHALLOW:
                continue
            chain.append(f"block{number}")  # as in the whole network, whichever are left out
            if separable:
                unit: nn.Module = MobileNetUnit(previous, channels(published), stride=stride, activation=activation)
            else:
                unit = ConvBN(previous, channels(published), 3, stride=stride, activation=activation)
            self.add_module(chain[-1], unit)
            previous = channels(published)

        self.finish(
            name="mobilenet_v1",
            options=options,
            contract=replace(MOBILENET_V1_INPUT, size=(resolution, resolution), min_size=smallest),
            chain=chain,
            taps=(
                Tap("block1", channels(64), stem_stride),
                Tap("block3", channels(128), 2 * stem_stride),
                Tap("block5", channels(256), 4 * stem_stride),
                Tap("block6" if shallow else "block11", channels(512), 8 * stem_stride),
                Tap("block13", channels(1024), 16 * stem_stride),
            ),
            head=ClassifierHead(previous, num_classes, dropout=dropout),
            features_only=features_only,
        )
        init_glorot_uniform(self)
