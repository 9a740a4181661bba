"""Inception-v2 (C. Szegedy et al., "Rethinking the Inception Architecture for Computer Vision", arXiv:1512.00567), the
network of table 1, and with its options the last rows of table 3, which end in Inception-v3.

At 299x299; every convolution is followed by batch normalisation and ReLU. What table 1 lists is input sizes.

    stem     conv1a 7x7/2 64 (unpadded)                        147     `factorized_7x7`: 3x3/2 32, 3x3 32, 3x3 64,
             max pool 3x3/2                                    73                        149, 147, 147
             conv3b 1x1 80 - conv4a 3x3 192 - max pool 3x3/2   73 71 35
    mixed0-2 figure 5        256, 288, 288                     35
    mixed3   figure 10       768                               17
    mixed4-7 figure 6, n = 7 768                               17
    mixed8   figure 10       1280                              8
    mixed9,10 figure 7       2048                              8

Readings, and what they rest on:
- The row "+ Factorized 7x7" of table 3 "includes a change that factorizes the first 7x7 convolutional layer into a
  sequence of 3x3 convolutional layers" (section 10): so the rows above it begin with one 7x7/2, as GoogLeNet does, and
  the 1 x 7 and 7 x 1 of figure 6 are in all of them. An unpadded 7x7/2 ends at the 147x147x64 that the three 3x3 of
  table 1 end at; and the step makes the network dearer, as table 3 has it (3.8 to 4.8 billion multiply-adds), where
  factorising any other 7x7 would make it cheaper. Computed: 5.30 and 5.71 billion; neither printed figure is met.
- Misprints of table 1, mended as in TF-slim's code, "the best reference" by its authors' word: the convolution after
  the first pool is 1x1; the next is 3x3/1 and followed by the pool that leaves 35x35x192; there is no third, and the
  first figure 5 module starts from 192 channels and ends at 256; its pool projection is 32. Section 6 names figures 5
  and 6 where the table has 6 and 7. The longest path has 46 layers with weights, 48 with three 3x3.
- "5x Inception" at 17x17 are four modules and the reduction before them.
- "BN auxiliary": "the version in which the fully connected layer of the auxiliary classifier is also batch-normalized,
  not just the convolutions" (section 10). TF-slim's fully connected layer is the 5x5 convolution over the 5x5 grid.
"""

from separable.blocks import ClassifierHead, InceptionAux
from separable.models.base import ImageModel
from separable.models.inception_trunk import init_as_slim, make_trunk
from separable.models.inception_v3 import INCEPTION_V3_INPUTS
from separable.models.options import check_choice, check_common, check_flag, given

__all__ = ["InceptionV2"]


class InceptionV2(ImageModel):
    """Table 1 of arXiv:1512.00567; 23,798,184 trainable parameters with the defaults.

    With all three flags it is `inception_v3(aux_head=True)`, weight for weight: the last row of table 3.

    Args:
        num_classes: 0 leaves out the classifier.
        stem: the side in pixels it is made for, "299", "151" or "79", as in `InceptionV3`: the 7x7 strides and is
            pooled, does not stride, or neither. At "151" it is padded by one, so that both forms of the stem end alike.
        factorized_7x7: three 3x3 in place of the first 7x7.
        aux_head: add the auxiliary classifier of figure 8; in training mode the output is then (logits, auxiliary).
        aux_batch_norm: batch-normalise its fully connected layer too, which has a bias otherwise.
        gamma: give batch normalisation its scale; TF-slim has none.
        width: multiplies every number of channels, at least 16 remain.
        dropout: before the classifier.
        features_only: return the feature pyramid in place of logits.

    Weights start as slim's do: cut normal of variance 2 / fan_in; in the auxiliary head of deviation 0.01 and 0.001.
    """

    def __init__(
        self,
        num_classes: int = 1000,
        in_channels: int = 3,
        *,
        stem: str = "299",
        factorized_7x7: bool = False,
        aux_head: bool = False,
        aux_batch_norm: bool = False,
        gamma: bool = False,
        width: float = 1.0,
        dropout: float = 0.2,
        features_only: bool = False,
    ) -> None:
        options = given(locals())
        super().__init__()
        check_common(num_classes, in_channels, width, dropout, features_only)
        for name in ("factorized_7x7", "aux_head", "aux_batch_norm", "gamma"):
            check_flag(name, options[name])
        check_choice("stem", stem, tuple(INCEPTION_V3_INPUTS))
        trunk = make_trunk(in_channels, stem, whole_7x7=not factorized_7x7, gamma=gamma, width=width)
        for name, block in trunk.blocks.items():
            self.add_module(name, block)
        aux = (
            InceptionAux(trunk.grid17, num_classes, normalised=aux_batch_norm, gamma=gamma, width=width)
            if aux_head
            else None
        )
        self.finish(
            name="inception_v2",
            options=options,
            contract=INCEPTION_V3_INPUTS[stem],
            chain=tuple(trunk.blocks),
            taps=trunk.taps,
            head=ClassifierHead(trunk.out_channels, num_classes, dropout=dropout),
            features_only=features_only,
            aux={"mixed7": aux} if aux else None,
        )
        init_as_slim(self, aux)
