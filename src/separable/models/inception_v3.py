"""Inception V3 (C. Szegedy et al., "Rethinking the Inception Architecture for Computer Vision", arXiv:1512.00567).

The paper's table 1 with its misprints mended as in TF-slim's `inception_v3.py`, which its authors call the reference.
At 299x299; every convolution is followed by batch normalisation and ReLU.

    stem     conv1a 3x3/2 32 - conv2a 3x3 32 - conv2b 3x3 64 (padded) - max pool 3x3/2      149 147 147 73
             conv3b 1x1 80 - conv4a 3x3 192 - max pool 3x3/2                                73 71 35
    mixed0   figure 5, pooling branch 32      256 channels                                  35
    mixed1,2 figure 5, pooling branch 64      288                                           35
    mixed3   figure 10                        768                                           17
    mixed4   figure 6, 7x7 branches of 128    768                                           17
    mixed5,6 figure 6, 160                    768                                           17
    mixed7   figure 6, 192                    768; the auxiliary head looks here            17
    mixed8   figure 10                        1280                                          8
    mixed9,10 figure 7                        2048                                          8
    head     global average pooling - dropout - logistic regression
"""

from functools import partial

from separable.blocks import (
    ClassifierHead,
    ConvBN,
    InceptionA,
    InceptionAux,
    InceptionB,
    InceptionC,
    InceptionD,
    InceptionE,
    MaxPool,
)
from separable.blocks.inception import scaled
from separable.blocks.init import init_truncated_normal, init_variance_scaling
from separable.models.base import ImageModel, Tap
from separable.models.contract import InputContract
from separable.models.options import check_common, check_flag, given

__all__ = ["INCEPTION_V3_INPUT", "InceptionV3"]

INCEPTION_V3_INPUT = InputContract(size=(299, 299), mean=(0.5, 0.5, 0.5), std=(0.5, 0.5, 0.5), min_size=75)
"""Keras' "tf" mode; below 75 pixels the second grid reduction has nothing left to reduce."""


class InceptionV3(ImageModel):
    """Section 6 of the paper as TF-slim sizes it; 23,817,352 trainable parameters with the defaults.

    Args:
        num_classes: 0 leaves out the classifier.
        aux_head: add the auxiliary classifier of figure 8; in training mode the output is then (logits, auxiliary).
        gamma: give batch normalisation its scale, as torchvision does; Keras and slim have none.
        width: multiplies every number of channels, at least 16 remain: slim's `depth_multiplier`.
        dropout: before the classifier; slim keeps 0.8. (arXiv:1610.02357, section 4.2.2, uses 0.5.)
        features_only: return the feature pyramid in place of logits.

    Weights start as slim's do: cut normal of variance 2 / fan_in; in the auxiliary head of deviation 0.01 and 0.001.
    """

    def __init__(
        self,
        num_classes: int = 1000,
        in_channels: int = 3,
        *,
        aux_head: bool = False,
        gamma: bool = False,
        width: float = 1.0,
        dropout: float = 0.2,
        features_only: bool = False,
    ) -> None:
        options = given(locals())
        super().__init__()
        check_common(num_classes, in_channels, width, dropout, features_only)
        check_flag("aux_head", aux_head)
        check_flag("gamma", gamma)
        c = partial(scaled, width=width)
        conv = partial(ConvBN, gamma=gamma)
        # Stem
        self.conv1a = conv(in_channels, c(32), 3, stride=2, padding="valid")
        self.conv2a = conv(c(32), c(32), 3, padding="valid")
        self.conv2b = conv(c(32), c(64), 3)
        self.pool3a = MaxPool("valid")
        self.conv3b = conv(c(64), c(80), 1)
        self.conv4a = conv(c(80), c(192), 3, padding="valid")
        self.pool5a = MaxPool("valid")
        # 35x35
        self.mixed0 = InceptionA(c(192), 32, gamma=gamma, width=width)
        self.mixed1 = InceptionA(self.mixed0.out_channels, 64, gamma=gamma, width=width)
        self.mixed2 = InceptionA(self.mixed1.out_channels, 64, gamma=gamma, width=width)
        # 17x17
        self.mixed3 = InceptionB(self.mixed2.out_channels, gamma=gamma, width=width)
        self.mixed4 = InceptionC(self.mixed3.out_channels, 128, gamma=gamma, width=width)
        self.mixed5 = InceptionC(self.mixed4.out_channels, 160, gamma=gamma, width=width)
        self.mixed6 = InceptionC(self.mixed5.out_channels, 160, gamma=gamma, width=width)
        self.mixed7 = InceptionC(self.mixed6.out_channels, 192, gamma=gamma, width=width)
        # 8x8
        self.mixed8 = InceptionD(self.mixed7.out_channels, gamma=gamma, width=width)
        self.mixed9 = InceptionE(self.mixed8.out_channels, gamma=gamma, width=width)
        self.mixed10 = InceptionE(self.mixed9.out_channels, gamma=gamma, width=width)

        aux = InceptionAux(self.mixed7.out_channels, num_classes, gamma=gamma, width=width) if aux_head else None
        self.finish(
            name="inception_v3",
            options=options,
            contract=INCEPTION_V3_INPUT,
            chain=(
                *("conv1a", "conv2a", "conv2b", "pool3a", "conv3b", "conv4a", "pool5a"),
                *(f"mixed{number}" for number in range(11)),
            ),
            taps=(
                Tap("conv2b", c(64), 2),
                Tap("conv4a", c(192), 4),
                Tap("mixed2", self.mixed2.out_channels, 8),
                Tap("mixed7", self.mixed7.out_channels, 16),
                Tap("mixed10", self.mixed10.out_channels, 32),
            ),
            head=ClassifierHead(self.mixed10.out_channels, num_classes, dropout=dropout),
            features_only=features_only,
            aux={"mixed7": aux} if aux else None,
        )
        init_variance_scaling(self)
        if aux is not None:
            init_truncated_normal(aux.conv1, 0.01)
            init_truncated_normal(aux.classifier, 0.001)
