"""The U-Net of Keras' segmentation example ("Image segmentation with a U-Net-like architecture", F. Chollet, 2019,
keras.io/examples/vision/oxford_pets_image_segmentation): Xception's modules going down, their like going up.

At 160x160. Every convolution has a bias and, but for the shortcuts, is followed by batch normalisation; "sep" is a
separable 3x3 convolution, "conv" in the second half a transposed one of stride 1.

    entry             conv 32, 3x3/2 - ReLU                                                        80
    down    down1     (ReLU - sep  64) x 2 - max pool 3x3/2        + 1x1/2 conv                    40
            down2     (ReLU - sep 128) x 2 - max pool 3x3/2        + 1x1/2 conv                    20
            down3     (ReLU - sep 256) x 2 - max pool 3x3/2        + 1x1/2 conv                    10
    up      up1       (ReLU - conv 256, 3x3) x 2 - twice the side  + 1x1 conv of twice the side    20
            up2       (ReLU - conv 128, 3x3) x 2 - twice the side  + 1x1 conv of twice the side    40
            up3       (ReLU - conv  64, 3x3) x 2 - twice the side  + 1x1 conv of twice the side    80
            up4       (ReLU - conv  32, 3x3) x 2 - twice the side  + 1x1 conv of twice the side    160
    head    conv to the classes, 3x3

No map of the first half reaches the second but through the lowest: unlike in arXiv:1505.04597, nothing is concatenated.
"""

from separable.blocks import ConvBN, PixelHead, XceptionDown, XceptionUp
from separable.blocks.init import init_glorot_uniform
from separable.blocks.upsample import UPSAMPLINGS, Upsampling
from separable.models.base import Tap
from separable.models.contract import InputContract
from separable.models.options import check_choice, check_common, check_flag, check_minimum, given
from separable.models.segmentation import SegmentationModel

__all__ = ["UNET_XCEPTION_INPUT", "UNetXception"]

UNET_XCEPTION_INPUT = InputContract(
    size=(160, 160), mean=(0.0,) * 3, std=(1 / 255,) * 3, resize="squash", crop_fraction=1.0
)
"""Pixels as they are, 0 to 255; pictures of any size become squares of 160."""


class UNetXception(SegmentationModel):
    """Keras' example and options of ours; 2,055,203 trainable parameters with the defaults, 2,058,979 with the running
    statistics.

    The logits are `raw`: as large as the picture where its sides are multiples of 2^(depth + 1), larger below and to
    the right where not; `pixel_logits` pads and cuts.

    Args:
        num_classes: 0 leaves out the classifier.
        skips: concatenate the map of the same size from the first half before each step of the second, as
            arXiv:1505.04597 (figure 1) does; Keras' example does not.
        depth: how many modules go down, each with twice the channels of the one before; 3 in the example. As many go
            up, and one more.
        width: multiplies every number of channels, rounded to a multiple of 8. Ours.
        upsampling: "nearest" as in the example, "bilinear", or "learned", the up-convolution of arXiv:1505.04597.
        dropout: before the classifier; the example has none.

    Weights start as Keras' do: Glorot uniform.
    """

    def __init__(
        self,
        num_classes: int = 3,
        in_channels: int = 3,
        *,
        skips: bool = False,
        depth: int = 3,
        width: float = 1.0,
        upsampling: Upsampling = "nearest",
        dropout: float = 0.0,
    ) -> None:
        options = given(locals())
        super().__init__()
        check_common(num_classes, in_channels, width, dropout, False)
        check_flag("skips", skips)
        check_minimum("depth", depth, 1)
        check_choice("depth", depth, range(1, 9))
        check_choice("upsampling", upsampling, UPSAMPLINGS)

        entry, *down_sizes = (max(8, round(32 * 2**step * width / 8) * 8) for step in range(depth + 1))
        downs = {f"down{number}": size for number, size in enumerate(down_sizes, start=1)}
        ups = {f"up{number}": size for number, size in enumerate([*reversed(down_sizes), entry], start=1)}
        # The first half
        self.entry = ConvBN(in_channels, entry, 3, stride=2, bias=True)
        previous, finer = entry, [("entry", entry)]
        for name, size in downs.items():
            self.add_module(name, XceptionDown(previous, size, size, bias=True))
            previous = size
            finer.append((name, size))
        finer.pop()  # the lowest goes on by itself
        # The second half
        feeds = {}
        for number, (name, size) in enumerate(ups.items()):
            source = finer[-number] if skips and number else None
            self.add_module(name, XceptionUp(previous + (source[1] if source else 0), size, upsampling=upsampling))
            if source:
                feeds[name] = (source[0],)
            previous = size

        self.finish_segmentation(
            name="unet_xception",
            options=options,
            contract=UNET_XCEPTION_INPUT,
            chain=("entry", *downs, *ups),
            feeds=feeds,
            last=Tap(list(ups)[-1], previous, 1),
            head=PixelHead(previous, num_classes, kernel=3, dropout=dropout),
            raw=True,
            multiple=2 ** (depth + 1),
        )
        init_glorot_uniform(self)
