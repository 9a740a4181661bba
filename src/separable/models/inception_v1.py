"""GoogLeNet, Inception V1 (C. Szegedy et al., "Going Deeper with Convolutions", arXiv:1409.4842), table 1.

At 224x224; every convolution has a bias and a ReLU; strided layers keep the odd border pixel, so that the grids are the
printed ones (Caffe's and torch's pools reach them by rounding up).

    conv1         7x7/2 64                                    112
    pool1 lrn1    max 3x3/2, local response normalisation     56
    conv2 conv3   1x1 64, 3x3 192                             56      ("3x3 reduce" and "3x3" of the table's second row)
    lrn2 pool2    in this order (figure 3)                    28
    inception3a,b 256, 480                                    28
    pool3                                                     14
    inception4a-e 512, 512, 512, 528, 832                     14      the auxiliary heads look at 4a and 4d
    pool4                                                     7
    inception5a,b 832, 1024                                   7
    head          global average pooling - dropout 40 % - logistic regression

What table 1 prints is not always what its columns give (weights, no biases; its K is 1024). The 2.7K parameters and 34M
operations of the first row are those of a *separable* 7x7 with depth multiplier 8, 3 x 8 x 49 + 24 x 64 = 2712, where a
plain one has 9408 and 118M: the layer that arXiv:1502.03167 describes and arXiv:1610.02357, section 2, ascribes to
Inception V1, here `separable_stem`. With it the whole network has the 1.5 billion operations of section 1. Parameters
printed otherwise than computed: 4a 364K, 366.75K; 4c 463K, 497.5K; 4d 580K, 590.5K; 4e 840K, 847K; 5a 1072K, 1018K; 5b
1388K, 1409K. Of the operations only 5a's: 54M, 51M.
"""

from separable.blocks import ClassifierHead, ConvBN, MaxPool
from separable.blocks.head import Head
from separable.blocks.inception import ConvOptions, scaled
from separable.blocks.inception_bn import SeparableStem
from separable.blocks.inception_v1 import GoogLeNetAux, LocalResponseNorm, ReducedInception, ReducedWidths
from separable.blocks.init import init_variance_scaling
from separable.models.base import ImageModel, Tap
from separable.models.contract import InputContract
from separable.models.options import check_common, check_flag, check_fraction, given

__all__ = ["INCEPTION_V1_INPUT", "InceptionV1"]

INCEPTION_V1_INPUT = InputContract(size=(224, 224), mean=(0.5, 0.5, 0.5), std=(0.5, 0.5, 0.5), min_size=32)
"""TF-slim's and torchvision's, to [-1, 1]; the paper says "mean subtraction" and no more. 32 pixels end as one."""

_MODULES: dict[str, ReducedWidths] = {  # table 1: #1x1, #3x3 reduce, #3x3, #5x5 reduce, #5x5, pool proj
    "inception3a": (64, 96, 128, 16, 32, 32),
    "inception3b": (128, 128, 192, 32, 96, 64),
    "inception4a": (192, 96, 208, 16, 48, 64),
    "inception4b": (160, 112, 224, 24, 64, 64),
    "inception4c": (128, 128, 256, 24, 64, 64),
    "inception4d": (112, 144, 288, 32, 64, 64),
    "inception4e": (256, 160, 320, 32, 128, 128),
    "inception5a": (256, 160, 320, 32, 128, 128),
    "inception5b": (384, 192, 384, 48, 128, 128),
}


class InceptionV1(ImageModel):
    """Table 1 as printed; 6,998,552 trainable parameters with the defaults, 13,378,280 with the auxiliary heads.

    Args:
        num_classes: 0 leaves out the classifier.
        aux_head: add the two auxiliary classifiers; in training mode the output is then (logits, 4a's, 4d's).
        batch_norm: batch normalisation after every convolution in place of its bias and of the two local response
            normalisations.
        gamma: whether that normalisation has its scale, as in torchvision; TF-slim leaves it out.
        five_by_five: False for the windows of TF-slim and torchvision: 3x3 in place of every 5x5 (torchvision calls it
            "a known bug"), 2x2 in place of the last 3x3/2 pool; auxiliary heads average whatever grid there is to 4x4.
            With `batch_norm` it is then torchvision's `googlenet`, 6,624,904 parameters.
        separable_stem: the first convolution separable, with depth multiplier 8, as the table's numbers have it.
        width: multiplies every number of channels, at least 16 remain.
        dropout: before the classifier.
        aux_dropout: before the classifiers of the auxiliary heads.
        features_only: return the feature pyramid in place of logits.

    The paper does not say how weights start: here as in TF-slim's later networks, cut normal of variance 2 / fan_in.
    """

    def __init__(
        self,
        num_classes: int = 1000,
        in_channels: int = 3,
        *,
        aux_head: bool = False,
        batch_norm: bool = False,
        gamma: bool = True,
        five_by_five: bool = True,
        separable_stem: bool = False,
        width: float = 1.0,
        dropout: float = 0.4,
        aux_dropout: float = 0.7,
        features_only: bool = False,
    ) -> None:
        options = given(locals())
        super().__init__()
        check_common(num_classes, in_channels, width, dropout, features_only)
        for name in ("aux_head", "batch_norm", "gamma", "five_by_five", "separable_stem"):
            check_flag(name, options[name])
        check_fraction("aux_dropout", aux_dropout)
        unit: ConvOptions = {"batch_norm": batch_norm, "gamma": gamma, "bias": not batch_norm}
        narrow, wide = scaled(64, width), scaled(192, width)
        # Stem
        self.conv1 = (
            SeparableStem(in_channels, narrow, batch_norm=batch_norm, gamma=gamma)
            if separable_stem
            else ConvBN(in_channels, narrow, 7, stride=2, **unit)
        )
        self.pool1 = MaxPool("same")
        self.conv2 = ConvBN(narrow, narrow, 1, **unit)
        self.conv3 = ConvBN(narrow, wide, 3, **unit)
        if not batch_norm:
            self.lrn1, self.lrn2 = LocalResponseNorm(), LocalResponseNorm()
        self.pool2 = MaxPool("same")
        # 28x28, 14x14, 7x7
        self.pool3 = MaxPool("same")
        self.pool4 = MaxPool("same", kernel=3 if five_by_five else 2)
        channels = {"conv1": narrow, "conv3": wide}
        previous = wide
        for name, widths in _MODULES.items():
            module = ReducedInception(previous, widths, five_by_five=five_by_five, width=width, **unit)
            self.add_module(name, module)
            previous = channels[name] = module.out_channels

        def aux(block: str) -> Head:
            return GoogLeNetAux(
                channels[block], num_classes, dropout=aux_dropout, adaptive=not five_by_five, width=width, **unit
            )

        self.finish(
            name="inception_v1",
            options=options,
            contract=INCEPTION_V1_INPUT,
            chain=_chain(batch_norm),
            taps=tuple(
                Tap(block, channels[block], 2**place)
                for place, block in enumerate(("conv1", "conv3", "inception3b", "inception4e", "inception5b"), start=1)
            ),
            head=ClassifierHead(previous, num_classes, dropout=dropout),
            features_only=features_only,
            aux={block: aux(block) for block in ("inception4a", "inception4d")} if aux_head else None,
        )
        init_variance_scaling(self)


def _chain(batch_norm: bool) -> tuple[str, ...]:
    modules = tuple(_MODULES)
    first, second = ((), ()) if batch_norm else (("lrn1",), ("lrn2",))
    stem = ("conv1", "pool1", *first, "conv2", "conv3", *second, "pool2")
    return (*stem, *modules[:2], "pool3", *modules[2:7], "pool4", *modules[7:])
