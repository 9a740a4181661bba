"""AlexNet in one tower (A. Krizhevsky, "One weird trick for parallelizing convolutional neural networks",
arXiv:1404.5997), as torchvision has it.

At 224x224; every convolution and dense layer is followed by ReLU, every pool is 3x3/2 without padding. The two towers
and the local response normalisation of the network of 2012 are gone.

    conv1    11x11/4, 2 pixels of padding    64     55    pool1   27
    conv2    5x5                             192    27    pool2   13
    conv3    3x3                             384    13
    conv4    3x3                             256    13
    conv5    3x3                             256    13    pool5    6
    head     dropout - dense 4096 - dropout - dense 4096 - logistic regression
"""

from separable.blocks.conv import ConvBN
from separable.blocks.dense_head import DenseHead
from separable.blocks.init import init_he_normal
from separable.blocks.pool import MaxPool
from separable.models.base import ImageModel, Tap
from separable.models.imagenet_input import imagenet_input
from separable.models.options import check_common, given

__all__ = ["ALEXNET_INPUT", "AlexNet"]

ALEXNET_INPUT = imagenet_input("symmetric", min_size=63)
"""torchvision's; 63 pixels leave one for the last pool to end in."""


class AlexNet(ImageModel):
    """The one-tower form; 61,100,840 trainable parameters with the defaults, nearly all of them in the head.

    The paper's footnote 1 gives conv4 384 channels; 256 is what its author's own configuration file says, and what
    torchvision's weights have.

    Args:
        num_classes: 0 leaves out the classifier, and keeps the two dense layers below it.
        width: multiplies every number of channels and the widths of the dense layers. Ours.
        dropout: before each dense layer, 0.5 as in the network of 2012.
        features_only: return the feature pyramid in place of logits.

    Weights start normal: convolutions of variance 2 / fan_out, dense layers of deviation 0.01.
    """

    def __init__(
        self,
        num_classes: int = 1000,
        in_channels: int = 3,
        *,
        width: float = 1.0,
        dropout: float = 0.5,
        features_only: bool = False,
    ) -> None:
        options = given(locals())
        super().__init__()
        check_common(num_classes, in_channels, width, dropout, features_only)

        def channels(published: int) -> int:
            return max(1, round(published * width))

        c64, c192, c256, c384, dense = map(channels, (64, 192, 256, 384, 4096))

        self.conv1 = ConvBN(in_channels, c64, 11, stride=4, padding=2, batch_norm=False, bias=True)
        self.pool1 = MaxPool("valid")
        self.conv2 = ConvBN(c64, c192, 5, batch_norm=False, bias=True)
        self.pool2 = MaxPool("valid")
        self.conv3 = ConvBN(c192, c384, 3, batch_norm=False, bias=True)
        self.conv4 = ConvBN(c384, c256, 3, batch_norm=False, bias=True)
        self.conv5 = ConvBN(c256, c256, 3, batch_norm=False, bias=True)
        self.pool5 = MaxPool("valid")

        self.finish(
            name="alexnet",
            options=options,
            contract=ALEXNET_INPUT,
            chain=("conv1", "pool1", "conv2", "pool2", "conv3", "conv4", "conv5", "pool5"),
            taps=(Tap("conv1", c64, 4), Tap("conv2", c192, 8), Tap("conv5", c256, 16), Tap("pool5", c256, 32)),
            head=DenseHead(c256, num_classes, grid=6, fc_layers=(dense, dense), dropout=dropout, dropout_first=True),
            features_only=features_only,
        )
        init_he_normal(self)
