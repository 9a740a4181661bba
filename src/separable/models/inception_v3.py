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
from separable.blocks.init import init_truncated_normal, init_variance_scaling
from separable.models.base import ImageModel, Tap
from separable.models.contract import InputContract
from separable.models.options import check_fraction

__all__ = ["INCEPTION_V3_INPUT", "InceptionV3"]

INCEPTION_V3_INPUT = InputContract(size=(299, 299), mean=(0.5, 0.5, 0.5), std=(0.5, 0.5, 0.5), min_size=75)
"""Keras' "tf" mode; below 75 pixels the second grid reduction has nothing left to reduce."""


class InceptionV3(ImageModel):
    """Section 6 of the paper as TF-slim sizes it; 23,817,352 trainable parameters with the defaults.

    Args:
        num_classes: 0 leaves out the classifier.
        aux_head: add the auxiliary classifier of figure 8; in training mode the output is then (logits, auxiliary).
        gamma: give batch normalisation its scale, as torchvision does; Keras and slim have none.
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
        dropout: float = 0.2,
        features_only: bool = False,
    ) -> None:
        super().__init__()
        check_fraction("dropout", dropout)
        # Stem
        self.conv1a = ConvBN(in_channels, 32, 3, stride=2, padding="valid", gamma=gamma)
        self.conv2a = ConvBN(32, 32, 3, padding="valid", gamma=gamma)
        self.conv2b = ConvBN(32, 64, 3, gamma=gamma)
        self.pool3a = MaxPool("valid")
        self.conv3b = ConvBN(64, 80, 1, gamma=gamma)
        self.conv4a = ConvBN(80, 192, 3, padding="valid", gamma=gamma)
        self.pool5a = MaxPool("valid")
        # 35x35
        self.mixed0 = InceptionA(192, 32, gamma=gamma)
        self.mixed1 = InceptionA(256, 64, gamma=gamma)
        self.mixed2 = InceptionA(288, 64, gamma=gamma)
        # 17x17
        self.mixed3 = InceptionB(288, gamma=gamma)
        self.mixed4 = InceptionC(768, 128, gamma=gamma)
        self.mixed5 = InceptionC(768, 160, gamma=gamma)
        self.mixed6 = InceptionC(768, 160, gamma=gamma)
        self.mixed7 = InceptionC(768, 192, gamma=gamma)
        # 8x8
        self.mixed8 = InceptionD(768, gamma=gamma)
        self.mixed9 = InceptionE(1280, gamma=gamma)
        self.mixed10 = InceptionE(2048, gamma=gamma)

        aux = InceptionAux(768, num_classes, gamma=gamma) if aux_head else None
        self.finish(
            name="inception_v3",
            options={
                "in_channels": in_channels,
                "aux_head": aux_head,
                "gamma": gamma,
                "dropout": dropout,
                "features_only": features_only,
            },
            contract=INCEPTION_V3_INPUT,
            chain=(
                *("conv1a", "conv2a", "conv2b", "pool3a", "conv3b", "conv4a", "pool5a"),
                *(f"mixed{number}" for number in range(11)),
            ),
            taps=(
                Tap("conv2b", 64, 2),
                Tap("conv4a", 192, 4),
                Tap("mixed2", 288, 8),
                Tap("mixed7", 768, 16),
                Tap("mixed10", 2048, 32),
            ),
            head=ClassifierHead(2048, num_classes, dropout=dropout),
            features_only=features_only,
            aux=("mixed7", aux) if aux else None,
        )
        init_variance_scaling(self)
        if aux is not None:
            init_truncated_normal(aux.conv1, 0.01)
            init_truncated_normal(aux.classifier, 0.001)
