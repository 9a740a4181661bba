"""BN-Inception (S. Ioffe, C. Szegedy, "Batch Normalization", arXiv:1502.03167), figure 5 of its appendix; TF-slim's
`inception_v2.py`, and the "Inception V2" of arXiv:1610.02357.

At 224x224; every convolution is followed by batch normalisation and ReLU.

    conv1         7x7/2 64, separable with depth multiplier 8     112
    pool1         max 3x3/2                                       56
    conv2 conv3   1x1 64, 3x3 192                                 56
    pool2         max 3x3/2                                       28
    inception3a,b average pools       256, 320                    28
    inception3c   stride 2, max pool  576                         14
    inception4a-d average pools       576                         14
    inception4e   stride 2, max pool  1024                        7
    inception5a,b average, max pool   1024                        7
    head          global average pooling - logistic regression (section 4.2.1 removes the dropout)

Figure 5 prints "avg + 128" for the pools of 4c and 4d, which makes 608 channels of them, and 576 as their outputs. As
TF-slim has it, the pool projections are 96 here and the outputs those printed.
"""

from separable.blocks import ClassifierHead, ConvBN, MaxPool
from separable.blocks.inception import ConvOptions, scaled
from separable.blocks.inception_bn import BNInception, BNInceptionWidths, SeparableStem
from separable.blocks.init import init_variance_scaling
from separable.models.base import ImageModel, Tap
from separable.models.contract import InputContract
from separable.models.options import check_common, check_flag, given

__all__ = ["BN_INCEPTION_INPUT", "BatchNormInception"]

BN_INCEPTION_INPUT = InputContract(size=(224, 224), mean=(0.5, 0.5, 0.5), std=(0.5, 0.5, 0.5), min_size=32)
"""TF-slim's; 32 pixels end as one."""

_MODULES: dict[str, tuple[BNInceptionWidths, str]] = {
    # figure 5: #1x1, #3x3 reduce, #3x3, double #3x3 reduce, double #3x3, pool proj; kind of pool
    "inception3a": ((64, 64, 64, 64, 96, 32), "average"),
    "inception3b": ((64, 64, 96, 64, 96, 64), "average"),
    "inception3c": ((0, 128, 160, 64, 96, 0), "max"),
    "inception4a": ((224, 64, 96, 96, 128, 128), "average"),
    "inception4b": ((192, 96, 128, 96, 128, 128), "average"),
    "inception4c": ((160, 128, 160, 128, 160, 96), "average"),
    "inception4d": ((96, 128, 192, 160, 192, 96), "average"),
    "inception4e": ((0, 128, 192, 192, 256, 0), "max"),
    "inception5a": ((352, 192, 320, 160, 224, 128), "average"),
    "inception5b": ((352, 192, 320, 192, 224, 128), "max"),
}


class BatchNormInception(ImageModel):
    """Figure 5; 11,188,288 trainable parameters with the defaults.

    Args:
        num_classes: 0 leaves out the classifier.
        separable_stem: the first convolution separable, as in the paper; False for a plain 7x7.
        stem_batch_norm: False for a bias in place of the batch normalisation of a separable first convolution: in
            TF-slim's code, and so in its weights, that layer alone is not normalised.
        gamma: give batch normalisation its scale, as the paper does; TF-slim leaves it out.
        width: multiplies every number of channels, at least 16 remain: slim's `depth_multiplier`.
        dropout: before the classifier; slim has 0.2.
        features_only: return the feature pyramid in place of logits.

    Weights start as slim's do: cut normal of variance 2 / fan_in.
    """

    def __init__(
        self,
        num_classes: int = 1000,
        in_channels: int = 3,
        *,
        separable_stem: bool = True,
        stem_batch_norm: bool = True,
        gamma: bool = True,
        width: float = 1.0,
        dropout: float = 0.0,
        features_only: bool = False,
    ) -> None:
        options = given(locals())
        super().__init__()
        check_common(num_classes, in_channels, width, dropout, features_only)
        check_flag("separable_stem", separable_stem)
        check_flag("stem_batch_norm", stem_batch_norm)
        check_flag("gamma", gamma)
        unit: ConvOptions = {"gamma": gamma}
        narrow, wide = scaled(64, width), scaled(192, width)
        self.conv1 = (
            SeparableStem(in_channels, narrow, batch_norm=stem_batch_norm, gamma=gamma)
            if separable_stem
            else ConvBN(in_channels, narrow, 7, stride=2, **unit)
        )
        self.pool1 = MaxPool("same")
        self.conv2 = ConvBN(narrow, narrow, 1, **unit)
        self.conv3 = ConvBN(narrow, wide, 3, **unit)
        self.pool2 = MaxPool("same")
        channels = {"conv1": narrow, "conv3": wide}
        previous = wide
        for name, (widths, pool) in _MODULES.items():
            module = BNInception(previous, widths, pool=pool, width=width, **unit)
            self.add_module(name, module)
            previous = channels[name] = module.out_channels

        self.finish(
            name="bn_inception",
            options=options,
            contract=BN_INCEPTION_INPUT,
            chain=("conv1", "pool1", "conv2", "conv3", "pool2", *_MODULES),
            taps=tuple(
                Tap(block, channels[block], 2**place)
                for place, block in enumerate(("conv1", "conv3", "inception3b", "inception4d", "inception5b"), start=1)
            ),
            head=ClassifierHead(previous, num_classes, dropout=dropout),
            features_only=features_only,
        )
        init_variance_scaling(self)
