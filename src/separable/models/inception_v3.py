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

from collections.abc import Sequence
from dataclasses import replace

from separable.blocks import ClassifierHead, InceptionAux
from separable.blocks.grid_reduction import GRID_REDUCTIONS
from separable.blocks.inception import ConvOptions
from separable.models.base import ImageModel
from separable.models.contract import InputContract
from separable.models.inception_trunk import CHOLLET_2016, SLIM, init_as_slim, make_trunk
from separable.models.options import check_choice, check_common, check_flag, check_widths, given

__all__ = ["INCEPTION_V3_INPUT", "INCEPTION_V3_INPUTS", "InceptionV3"]

INCEPTION_V3_INPUT = InputContract(size=(299, 299), mean=(0.5, 0.5, 0.5), std=(0.5, 0.5, 0.5), min_size=75)
"""Keras' "tf" mode; below 75 pixels the second grid reduction has nothing left to reduce."""

INCEPTION_V3_INPUTS = {
    "299": INCEPTION_V3_INPUT,
    "151": replace(INCEPTION_V3_INPUT, size=(151, 151), min_size=39),
    "79": replace(INCEPTION_V3_INPUT, size=(79, 79), min_size=23),
}
"""By stem."""


class InceptionV3(ImageModel):
    """Section 6 of the paper as TF-slim sizes it; 23,817,352 trainable parameters with the defaults.

    Args:
        num_classes: 0 leaves out the classifier.
        stem: the side in pixels it is made for, "299", "151" or "79" (section 9, table 2): stride 2 and a pool, no
            stride, neither; all behind it is the same, on the same grids. See below.
        variant: "slim", or "chollet_2016" for the first Keras file, the network behind the 23,626,728 parameters of
            arXiv:1610.02357, table 3. See below.
        aux_head: add the auxiliary classifier of figure 8; in training mode the output is then (logits, auxiliary).
        aux_batch_norm: batch-normalise its fully connected layer too, as table 3 has it in its last row; else it has a
            bias.
        linear_inside: no activation between the two 3x3 that stand for a 5x5, on the 35x35 grid and in the reduction
            behind it (section 3.1, figure 2). Batch normalisation stays.
        grid_reduction: None for the modules of figure 10, left, with two branches of convolutions. Otherwise one 3x3
            convolution and one max pool in their place, ending with as many channels (section 5): "parallel" (figure
            10, right), "pool_first" or "convolve_first" (figure 9, left and right).
        fc_layers: widths of dense layers before the classifier, as in arXiv:1610.02357, section 4.3, table 2.
        gamma: give batch normalisation its scale, as torchvision does; Keras and slim have none.
        bias: give the convolutions a bias too, though batch normalisation makes it idle.
        activation: "relu", "relu6" or "elu".
        n: length of the factorised convolutions of the 17x17 modules, 3, 5 or 7 (section 3.2; the paper's is 7).
        pool: of the pooling branches, "average" or "max". The pools of the grid reductions stay.
        width: multiplies every number of channels, at least 16 remain: slim's `depth_multiplier`.
        dropout: before the classifier; slim keeps 0.8. (arXiv:1610.02357, section 4.2.2, uses 0.5.)
        features_only: return the feature pyramid in place of logits.

    The stem for 79 pixels leaves its third 3x3 unpadded as well: 79, 77, 75, 73, where the other two have 73 behind
    their pool. Only so do all three come to the grids 73, 35, 17 and 8 of table 1.

    "chollet_2016" (fchollet/deep-learning-models, file of 2016-08-09) has pool projections of 32 in all three 35x35
    modules, so 736 channels behind mixed3; 160 in the first 1x1 of mixed7's double branch; an average pool in mixed8;
    and everywhere convolutions with bias, then ReLU, then batch normalisation with gamma, whatever the options say.

    Weights start as slim's do: cut normal of variance 2 / fan_in; in the auxiliary head of deviation 0.01 and 0.001.
    """

    def __init__(
        self,
        num_classes: int = 1000,
        in_channels: int = 3,
        *,
        stem: str = "299",
        variant: str = "slim",
        aux_head: bool = False,
        aux_batch_norm: bool = True,
        linear_inside: bool = False,
        grid_reduction: str | None = None,
        fc_layers: Sequence[int] = (),
        gamma: bool = False,
        bias: bool = False,
        activation: str = "relu",
        n: int = 7,
        pool: str = "average",
        width: float = 1.0,
        dropout: float = 0.2,
        features_only: bool = False,
    ) -> None:
        options = given(locals())
        super().__init__()
        check_common(num_classes, in_channels, width, dropout, features_only)
        for name in ("aux_head", "aux_batch_norm", "linear_inside", "gamma", "bias"):
            check_flag(name, options[name])
        check_choice("grid_reduction", grid_reduction, (None, *GRID_REDUCTIONS))
        check_widths("fc_layers", fc_layers)
        check_choice("stem", stem, tuple(INCEPTION_V3_INPUTS))
        check_choice("variant", variant, ("slim", "chollet_2016"))
        check_choice("activation", activation, ("relu", "relu6", "elu"))
        first = variant == "chollet_2016"
        unit: ConvOptions = {
            "gamma": gamma or first,
            "bias": bias or first,
            "activation": activation,
            "activation_first": first,
        }
        trunk = make_trunk(
            in_channels,
            stem,
            CHOLLET_2016 if first else SLIM,
            n=n,
            pool=pool,
            linear_inside=linear_inside,
            grid_reduction=grid_reduction,
            width=width,
            **unit,
        )
        for name, block in trunk.blocks.items():
            self.add_module(name, block)
        aux = (
            InceptionAux(trunk.grid17, num_classes, normalised=aux_batch_norm, width=width, **unit)
            if aux_head
            else None
        )
        self.finish(
            name="inception_v3",
            options=options,
            contract=INCEPTION_V3_INPUTS[stem],
            chain=tuple(trunk.blocks),
            taps=trunk.taps,
            head=ClassifierHead(trunk.out_channels, num_classes, fc_layers=fc_layers, dropout=dropout),
            features_only=features_only,
            aux={"mixed7": aux} if aux else None,
        )
        init_as_slim(self, aux)
