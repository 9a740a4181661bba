"""VGG-16 (K. Simonyan and A. Zisserman, "Very Deep Convolutional Networks for Large-Scale Image Recognition",
arXiv:1409.1556), table 1, configuration D.

At 224x224; every convolution is 3x3 and followed by ReLU, every pool is 2x2/2. There is no batch normalisation.

    block1   2 x conv 64     224    pool1   112
    block2   2 x conv 128    112    pool2    56
    block3   3 x conv 256     56    pool3    28
    block4   3 x conv 512     28    pool4    14
    block5   3 x conv 512     14    pool5     7
    head     dense 4096 - ReLU - dropout - dense 4096 - ReLU - dropout - logistic regression
"""

import math

from torch import nn

from separable.blocks.conv import ConvBN
from separable.blocks.dense_head import DenseHead
from separable.blocks.init import init_he_normal
from separable.blocks.pool import MaxPool
from separable.models.base import ImageModel, Tap
from separable.models.imagenet_input import imagenet_input
from separable.models.options import check_common, check_flag, given

__all__ = ["VGG16", "VGG16_INPUT"]

VGG16_INPUT = imagenet_input("symmetric", min_size=32)
"""torchvision's. Keras' file wants BGR with the mean subtracted, which loading it sets."""

_STAGES = ((2, 64), (2, 128), (3, 256), (3, 512), (3, 512))  # (convolutions, channels), table 1, column D


class VGG16(ImageModel):
    """Configuration D; 138,357,544 trainable parameters with the defaults, nine tenths of them in the head.

    Args:
        num_classes: 0 leaves out the classifier, and keeps the two dense layers below it.
        width: multiplies every number of channels and the widths of the dense layers. Ours.
        dropout: after each dense layer, the paper's 0.5 (section 3.1).
        dense_evaluation: slide the first dense layer over maps larger than 7x7 and average its answers (section 3.2,
            and timm), rather than average the map to 7x7 (torchvision). At 224x224 they are the same.
        features_only: return the feature pyramid in place of logits: the maps before each pool, and the last pool's.

    Weights start normal: convolutions of variance 2 / fan_out, as torchvision's, as such a depth wants without batch
    normalisation; dense layers of deviation 0.01 (section 3.1), which other widths divide by their root, so that a
    signal comes through as strong as in the published network.
    """

    def __init__(
        self,
        num_classes: int = 1000,
        in_channels: int = 3,
        *,
        width: float = 1.0,
        dropout: float = 0.5,
        dense_evaluation: bool = False,
        features_only: bool = False,
    ) -> None:
        options = given(locals())
        super().__init__()
        check_common(num_classes, in_channels, width, dropout, features_only)
        check_flag("dense_evaluation", dense_evaluation)

        def channels(published: int) -> int:
            return max(1, round(published * width))

        chain: list[str] = []
        taps = []
        previous = in_channels
        for number, (repeats, published) in enumerate(_STAGES, start=1):
            self.add_module(f"block{number}", _stage(previous, channels(published), repeats))
            self.add_module(f"pool{number}", MaxPool("valid", kernel=2))
            chain += [f"block{number}", f"pool{number}"]
            previous = channels(published)
            taps.append(Tap(f"block{number}", previous, 2 ** (number - 1)))

        dense = channels(4096)
        self.finish(
            name="vgg16",
            options=options,
            contract=VGG16_INPUT,
            chain=chain,
            taps=(*taps, Tap("pool5", previous, 32)),
            head=DenseHead(
                previous, num_classes, grid=7, fc_layers=(dense, dense), dropout=dropout, sliding=dense_evaluation
            ),
            features_only=features_only,
        )
        init_he_normal(self, dense_std=0.01 / math.sqrt(width))


def _stage(in_channels: int, channels: int, repeats: int) -> nn.Sequential:
    """`repeats` convolutions, named conv1, conv2, ..."""
    stage = nn.Sequential()
    for number in range(1, repeats + 1):
        stage.add_module(f"conv{number}", ConvBN(in_channels, channels, 3, batch_norm=False, bias=True))
        in_channels = channels
    return stage
