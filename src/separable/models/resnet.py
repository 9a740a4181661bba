"""ResNet-50, -101 and -152 (K. He et al., "Deep Residual Learning for Image Recognition", arXiv:1512.03385), table 1.

At 224x224; every convolution is followed by batch normalisation, and every unit is 1x1 -> 3x3 -> 1x1 with a shortcut.

                                          side     50     101     152
    conv1     7x7/2, 64                    112
    pool1     max pool 3x3/2                56
    conv2_x   64, 64, 256                   56    x 3     x 3     x 3
    conv3_x   128, 128, 512                 28    x 4     x 4     x 8
    conv4_x   256, 256, 1024                14    x 6     x 23    x 36
    conv5_x   512, 512, 2048                 7    x 3     x 3     x 3
    head      global average pooling - logistic regression

The first unit of each stage projects its shortcut by a 1x1 convolution, and from conv3_x on halves the side. Borders
are the same on both sides in every source: Caffe's, Keras' and torch's.
"""

from collections.abc import Sequence
from dataclasses import replace

from separable.blocks.conv import ConvBN
from separable.blocks.head import ClassifierHead
from separable.blocks.init import init_he_normal
from separable.blocks.pool import MaxPool
from separable.blocks.residual import Bottleneck
from separable.errors import ModelOptionError
from separable.models.base import ImageModel, Tap
from separable.models.imagenet_input import imagenet_input
from separable.models.options import check_choice, check_common, check_flag, check_widths, given

__all__ = ["RESNET_INPUT", "ResNet"]

RESNET_INPUT = imagenet_input("symmetric", min_size=32)
"""torchvision's. Keras' files want BGR with the mean subtracted and epsilon 1.001e-5, which loading them sets."""

_SMALL_INPUT = replace(RESNET_INPUT, size=(64, 64), min_size=16)

_REPEATS = {50: (3, 4, 6, 3), 101: (3, 4, 23, 3), 152: (3, 8, 36, 3)}  # table 1
_CHANNELS = (64, 128, 256, 512)


class ResNet(ImageModel):
    """Table 1; 25,557,032, 44,549,160 and 60,192,808 trainable parameters with the defaults.

    Args:
        num_classes: 0 leaves out the classifier.
        depth: 50, 101 or 152; the network's name stands for it.
        stride_on: "1x1", where the paper, Caffe's and Keras' files stride: in a stage's first 1x1 convolution. "3x3":
            in its first 3x3, as torchvision and timm do ("v1.5"), for 4.1 in place of 3.9 GMACs at depth 50.
        bias: whether convolutions have one, as Keras' do. Superfluous before batch normalisation.
        width: multiplies every number of channels, rounded to a multiple of 8. Ours.
        repeats: units per stage; None for table 1's. Ours.
        stem_stride: 1 for small pictures, from 16 pixels up; 2 in the paper. Ours. The pool behind it stays.
        dropout: before the classifier; the paper has none.
        features_only: return the feature pyramid in place of logits.

    Weights start normal of variance 2 / fan_out, as torchvision's, the classifier of deviation 0.01.
    """

    def __init__(
        self,
        num_classes: int = 1000,
        in_channels: int = 3,
        *,
        depth: int = 50,
        stride_on: str = "1x1",
        bias: bool = False,
        width: float = 1.0,
        repeats: Sequence[int] | None = None,
        stem_stride: int = 2,
        dropout: float = 0.0,
        features_only: bool = False,
    ) -> None:
        options = given(locals(), "depth")
        super().__init__()
        check_common(num_classes, in_channels, width, dropout, features_only)
        check_choice("depth", depth, tuple(_REPEATS))
        check_choice("stride_on", stride_on, ("1x1", "3x3"))
        check_flag("bias", bias)
        check_choice("stem_stride", stem_stride, (1, 2))

        def channels(published: int) -> int:
            return max(8, round(published * width / 8) * 8)

        self.conv1 = ConvBN(in_channels, channels(64), 7, stride=stem_stride, bias=bias)
        self.pool1 = MaxPool("same")
        chain, taps = ["conv1", "pool1"], [Tap("conv1", channels(64), stem_stride)]
        previous = channels(64)
        for stage, (count, published) in enumerate(zip(_repeats(depth, repeats), _CHANNELS, strict=True), start=2):
            for number in range(1, count + 1):
                unit = Bottleneck(
                    previous,
                    channels(published),
                    channels(4 * published),
                    stride=2 if number == 1 and stage > 2 else 1,
                    project=number == 1,
                    stride_on=stride_on,
                    bias=bias,
                )
                chain.append(f"conv{stage}_block{number}")
                self.add_module(chain[-1], unit)
                previous = channels(4 * published)
            taps.append(Tap(chain[-1], previous, stem_stride * 2 ** (stage - 1)))

        self.finish(
            name=f"resnet{depth}",
            options=options,
            contract=RESNET_INPUT if stem_stride == 2 else _SMALL_INPUT,
            chain=chain,
            taps=taps,
            head=ClassifierHead(previous, num_classes, dropout=dropout),
            features_only=features_only,
        )
        init_he_normal(self)


def _repeats(depth: int, given_repeats: Sequence[int] | None) -> Sequence[int]:
    if given_repeats is None:
        return _REPEATS[depth]
    check_widths("repeats", given_repeats)
    if len(given_repeats) != len(_CHANNELS):
        raise ModelOptionError("Bad model option repeats", got=repr(given_repeats), expected="4 integers of at least 1")
    return given_repeats
