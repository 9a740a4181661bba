"""Inception-ResNet-v2 (C. Szegedy et al., "Inception-v4, Inception-ResNet and the Impact of Residual Connections on
Learning", arXiv:1602.07261).

Figure 15 with the sizes of TF-slim's `inception_resnet_v2.py`, from which Keras' and timm's weights come, at 299x299.
Every convolution but the last of each residual module is followed by batch normalisation and ReLU.

    stem           conv1a 3x3/2 32 - conv2a 3x3 32 - conv2b 3x3 64 (padded) - max pool 3x3/2   149 147 147 73
                   conv3b 1x1 80 - conv4a 3x3 192 - max pool 3x3/2                             73 71 35
                   mixed5b                         320 channels                                35
    block35_1..10  figure 16, scaled by 0.17       320                                         35
    mixed6a        figure 7                       1088                                         17
    block17_1..20  figure 17, scaled by 0.10      1088; the auxiliary head looks at the last   17
    mixed7a        figure 18                      2080                                         8
    block8_1..10   figure 19, scaled by 0.20      2080; the last unscaled and without ReLU     8
    conv7b         1x1                            1536                                         8
    head           global average pooling - dropout - logistic regression

`form="paper", repeats=(5, 10, 5)` is the network that the paper prints, of 32,417,496 parameters: the stem of figure 3,
which gives 384 channels, residual modules that are all alike, no mixed5b and no conv7b. Its figures 17 and 19 print
1154 and 2048 channels where figures 7 and 18 add up to 384 + 384 + 384 = 1152 and 384 + 288 + 320 + 1152 = 2144; the
sums are built here.
"""

from collections.abc import Sequence
from functools import partial

from separable.blocks import ClassifierHead, ConvBN, InceptionAux, MaxPool
from separable.blocks.inception import scaled
from separable.blocks.inception_resnet import (
    InceptionResNetA,
    InceptionResNetB,
    InceptionResNetC,
    InceptionResNetEntry,
    InceptionResNetReduction,
)
from separable.blocks.inception_v4 import InceptionV4Stem1, InceptionV4Stem2, InceptionV4Stem3, ReductionA
from separable.blocks.init import init_glorot_uniform
from separable.models.base import ImageModel, Tap
from separable.models.contract import InputContract
from separable.models.options import (
    check_choice,
    check_common,
    check_flag,
    check_length,
    check_minimum,
    check_positive,
    given,
)

__all__ = ["INCEPTION_RESNET_V2_INPUT", "InceptionResNetV2"]

INCEPTION_RESNET_V2_INPUT = InputContract(size=(299, 299), mean=(0.5, 0.5, 0.5), std=(0.5, 0.5, 0.5), min_size=75)
"""Keras' "tf" mode; 75 is Keras' own lower bound."""


class InceptionResNetV2(ImageModel):
    """The published network; 55,813,192 trainable parameters with the defaults, 55,843,464 with `gamma`.

    Args:
        num_classes: 0 leaves out the classifier.
        form: "slim" for the published network, "paper" for the printed one.
        aux_head: add slim's auxiliary classifier; in training mode the output is then (logits, auxiliary).
        repeats: how often the residual modules A, B and C are repeated; figure 15 prints 5, 10, 5.
        residual_scale: of A, B and C; section 3.3 recommends 0.1 to 0.3. slim's last C is not scaled.
        gamma: give batch normalisation its scale, as timm does; Keras and slim have none.
        width: multiplies every number of channels, at least 16 remain.
        dropout: before the classifier; the paper and slim keep 0.8, Keras all.
        features_only: return the feature pyramid in place of logits.

    Weights start as slim's and Keras' do: Glorot uniform.
    """

    def __init__(
        self,
        num_classes: int = 1000,
        in_channels: int = 3,
        *,
        form: str = "slim",
        aux_head: bool = False,
        repeats: Sequence[int] = (10, 20, 10),
        residual_scale: Sequence[float] = (0.17, 0.1, 0.2),
        gamma: bool = False,
        width: float = 1.0,
        dropout: float = 0.2,
        features_only: bool = False,
    ) -> None:
        options = given(locals())
        super().__init__()
        check_common(num_classes, in_channels, width, dropout, features_only)
        check_choice("form", form, ("slim", "paper"))
        check_flag("aux_head", aux_head)
        check_flag("gamma", gamma)
        slim = form == "slim"
        check_length("repeats", repeats, 3)
        check_length("residual_scale", residual_scale, 3)
        for count, scale in zip(repeats, residual_scale, strict=True):
            check_minimum("repeats", count, 1)
            check_positive("residual_scale", scale)
        grid35, grid17, grid8 = (
            [f"{name}_{number}" for number in range(1, count + 1)]
            for name, count in zip(("block35", "block17", "block8"), repeats, strict=True)
        )
        a, b, c = residual_scale

        stem = (self._slim_stem if slim else self._printed_stem)(in_channels, gamma, width)
        # 35x35
        channels35 = stem[-1].channels
        for name in grid35:
            self.add_module(name, InceptionResNetA(channels35, scale=a, gamma=gamma, width=width))
        self.mixed6a = ReductionA(channels35, (256, 256, 384, 384), gamma=gamma, width=width)
        # 17x17
        channels17 = self.mixed6a.out_channels
        for name in grid17:
            self.add_module(name, InceptionResNetB(channels17, scale=b, gamma=gamma, width=width))
        self.mixed7a = InceptionResNetReduction(channels17, gamma=gamma, width=width)
        # 8x8
        channels8 = self.mixed7a.out_channels
        for name in grid8[:-1] if slim else grid8:
            self.add_module(name, InceptionResNetC(channels8, scale=c, gamma=gamma, width=width))
        if slim:
            unscaled = InceptionResNetC(channels8, scale=1.0, activation=None, gamma=gamma, width=width)
            self.add_module(grid8[-1], unscaled)
            self.conv7b = ConvBN(channels8, scaled(1536, width), 1, gamma=gamma)
            channels8 = scaled(1536, width)
        last = "conv7b" if slim else grid8[-1]

        aux = InceptionAux(channels17, num_classes, gamma=gamma, width=width) if aux_head else None
        self.finish(
            name="inception_resnet_v2",
            options=options,
            contract=INCEPTION_RESNET_V2_INPUT,
            chain=[name for name, _ in self.named_children()],
            taps=(
                *stem[:2],
                Tap(grid35[-1], channels35, 8),
                Tap(grid17[-1], channels17, 16),
                Tap(last, channels8, 32),
            ),
            head=ClassifierHead(channels8, num_classes, dropout=dropout),
            features_only=features_only,
            aux={grid17[-1]: aux} if aux else None,
        )
        init_glorot_uniform(self)

    def _slim_stem(self, in_channels: int, gamma: bool, width: float) -> tuple[Tap, Tap, Tap]:
        """Inception V3's stem and one plain module; where its three grids end."""
        c = partial(scaled, width=width)
        conv = partial(ConvBN, gamma=gamma)
        self.conv1a = conv(in_channels, c(32), 3, stride=2, padding="valid")
        self.conv2a = conv(c(32), c(32), 3, padding="valid")
        self.conv2b = conv(c(32), c(64), 3)
        self.pool3a = MaxPool("valid")
        self.conv3b = conv(c(64), c(80), 1)
        self.conv4a = conv(c(80), c(192), 3, padding="valid")
        self.pool5a = MaxPool("valid")
        self.mixed5b = InceptionResNetEntry(c(192), gamma=gamma, width=width)
        return Tap("conv2b", c(64), 2), Tap("conv4a", c(192), 4), Tap("mixed5b", self.mixed5b.out_channels, 8)

    def _printed_stem(self, in_channels: int, gamma: bool, width: float) -> tuple[Tap, Tap, Tap]:
        """Figure 3, Inception-v4's stem; where its three grids end."""
        c = partial(scaled, width=width)
        conv = partial(ConvBN, gamma=gamma)
        self.conv1a = conv(in_channels, c(32), 3, stride=2, padding="valid")
        self.conv2a = conv(c(32), c(32), 3, padding="valid")
        self.conv2b = conv(c(32), c(64), 3)
        self.mixed3a = InceptionV4Stem1(c(64), gamma=gamma, width=width)
        self.mixed4a = InceptionV4Stem2(self.mixed3a.out_channels, gamma=gamma, width=width)
        self.mixed5a = InceptionV4Stem3(self.mixed4a.out_channels, gamma=gamma, width=width)
        mixed4a, mixed5a = self.mixed4a.out_channels, self.mixed5a.out_channels
        return Tap("conv2b", c(64), 2), Tap("mixed4a", mixed4a, 4), Tap("mixed5a", mixed5a, 8)
