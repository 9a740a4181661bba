"""Inception-v4 (C. Szegedy et al., "Inception-v4, Inception-ResNet and the Impact of Residual Connections on Learning",
arXiv:1602.07261).

Figure 9, as TF-slim's `inception_v4.py` sizes it, at 299x299; every convolution is followed by batch normalisation and
ReLU.

    stem           figure 3: conv1a 3x3/2 32 - conv2a 3x3 32 - conv2b 3x3 64 (padded)        149 147 147
                   mixed3a 160 - mixed4a 192 - mixed5a 384                                    73 71 35
    inception_a1..4   figure 4              384 channels                                      35
    reduction_a       figure 7             1024                                               17
    inception_b1..7   figure 5             1024; the auxiliary head looks at the last         17
    reduction_b       figure 8             1536                                               8
    inception_c1..3   figure 6             1536                                               8
    head           global average pooling - dropout - logistic regression
"""

from collections.abc import Sequence
from functools import partial

from separable.blocks import ClassifierHead, ConvBN, InceptionAux
from separable.blocks.inception import scaled
from separable.blocks.inception_v4 import (
    InceptionV4A,
    InceptionV4B,
    InceptionV4C,
    InceptionV4Reduction,
    InceptionV4Stem1,
    InceptionV4Stem2,
    InceptionV4Stem3,
    ReductionA,
)
from separable.blocks.init import init_glorot_uniform, init_variance_scaling
from separable.models.base import ImageModel, Tap
from separable.models.contract import InputContract
from separable.models.options import check_common, check_flag, check_length, check_minimum, given

__all__ = ["INCEPTION_V4_INPUT", "InceptionV4"]

INCEPTION_V4_INPUT = InputContract(size=(299, 299), mean=(0.5, 0.5, 0.5), std=(0.5, 0.5, 0.5), min_size=75)
"""slim's Inception preprocessing; below 75 pixels the second grid reduction has nothing left to reduce."""


class InceptionV4(ImageModel):
    """Figure 9; 42,648,232 trainable parameters with the defaults, 42,679,816 with `gamma`.

    Args:
        num_classes: 0 leaves out the classifier.
        aux_head: add slim's auxiliary classifier; in training mode the output is then (logits, auxiliary).
        repeats: how often the modules A, B and C are repeated.
        gamma: give batch normalisation its scale, as timm does; slim has none.
        width: multiplies every number of channels, at least 16 remain.
        dropout: before the classifier; the paper and slim keep 0.8.
        features_only: return the feature pyramid in place of logits.

    Weights start as slim's do: cut normal of variance 2 / fan_in, Glorot uniform in the classifiers.
    """

    def __init__(
        self,
        num_classes: int = 1000,
        in_channels: int = 3,
        *,
        aux_head: bool = False,
        repeats: Sequence[int] = (4, 7, 3),
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
        check_length("repeats", repeats, 3)
        for count in repeats:
            check_minimum("repeats", count, 1)
        c = partial(scaled, width=width)
        conv = partial(ConvBN, gamma=gamma)
        repeat = partial(self._repeat, gamma=gamma, width=width)
        # Stem
        self.conv1a = conv(in_channels, c(32), 3, stride=2, padding="valid")
        self.conv2a = conv(c(32), c(32), 3, padding="valid")
        self.conv2b = conv(c(32), c(64), 3)
        self.mixed3a = InceptionV4Stem1(c(64), gamma=gamma, width=width)
        self.mixed4a = InceptionV4Stem2(self.mixed3a.out_channels, gamma=gamma, width=width)
        self.mixed5a = InceptionV4Stem3(self.mixed4a.out_channels, gamma=gamma, width=width)
        # 35x35
        a_names, a_channels = repeat(InceptionV4A, repeats[0], self.mixed5a.out_channels)
        self.reduction_a = ReductionA(a_channels, (192, 224, 256, 384), gamma=gamma, width=width)
        # 17x17
        b_names, b_channels = repeat(InceptionV4B, repeats[1], self.reduction_a.out_channels)
        self.reduction_b = InceptionV4Reduction(b_channels, gamma=gamma, width=width)
        # 8x8
        c_names, c_channels = repeat(InceptionV4C, repeats[2], self.reduction_b.out_channels)

        aux = InceptionAux(b_channels, num_classes, gamma=gamma, width=width) if aux_head else None
        self.finish(
            name="inception_v4",
            options=options,
            contract=INCEPTION_V4_INPUT,
            chain=(
                *("conv1a", "conv2a", "conv2b", "mixed3a", "mixed4a", "mixed5a"),
                *(*a_names, "reduction_a", *b_names, "reduction_b", *c_names),
            ),
            taps=(
                Tap("conv2b", c(64), 2),
                Tap("mixed4a", self.mixed4a.out_channels, 4),
                Tap(a_names[-1], a_channels, 8),
                Tap(b_names[-1], b_channels, 16),
                Tap(c_names[-1], c_channels, 32),
            ),
            head=ClassifierHead(c_channels, num_classes, dropout=dropout),
            features_only=features_only,
            aux={b_names[-1]: aux} if aux else None,
        )
        init_variance_scaling(self)
        for head in (self.head, *self.aux_heads.values()):
            if head is not None:
                init_glorot_uniform(head.classifier)

    def _repeat(
        self,
        module: type[InceptionV4A] | type[InceptionV4B] | type[InceptionV4C],
        count: int,
        channels: int,
        *,
        gamma: bool,
        width: float,
    ) -> tuple[list[str], int]:
        """Add `count` of one kind of module; their names, and the channels of the last."""
        names = [f"inception_{module.__name__[-1].lower()}{number}" for number in range(1, count + 1)]
        for name in names:
            block = module(channels, gamma=gamma, width=width)
            self.add_module(name, block)
            channels = block.out_channels
        return names, channels
