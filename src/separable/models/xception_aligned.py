"""The modified Aligned Xception of DeepLabv3+ (L.-C. Chen et al., "Encoder-Decoder with Atrous Separable Convolution
for Semantic Image Segmentation", arXiv:1802.02611).

Figure 4 and DeepLab's `xception.py`, at 299x299. Every convolution, depthwise ones too, is followed by batch
normalisation; "sep" is a separable 3x3 convolution.

    entry   conv1, conv2   conv 32, 3x3/2 - ReLU - conv 64, 3x3 - ReLU                            150 150
            entry1         (ReLU - sep 128) x 3, the third /2          + 1x1/2 conv               75
            entry2         (ReLU - sep 256) x 3, the third /2          + 1x1/2 conv               38
            entry3         (ReLU - sep 728) x 3, the third /2          + 1x1/2 conv               19
    middle  middle1..16    (ReLU - sep 728) x 3                        + identity                 19
    exit    exit1          ReLU - sep 728 - (ReLU - sep 1024) x 2, /2  + 1x1/2 conv               10
            exit2          (sep 1536 - ReLU) x 2 - sep 2048 - ReLU                                10
    head    global average pooling - dropout - logistic regression

That is Xception-65. Xception-41 has 8 middle modules. Xception-71 has 16, and 5 entry modules: 128/2, 256, 256/2, 728,
728/2. All borders are symmetric, also where a stride meets an even side: DeepLab pads explicitly, so that features stay
aligned whatever the output stride.
"""

from collections.abc import Sequence

from separable.blocks import ClassifierHead, ConvBN
from separable.blocks.init import init_truncated_normal
from separable.blocks.xception_aligned import AlignedXceptionModule, AlignedXceptionTail
from separable.models.base import ImageModel, Tap
from separable.models.contract import InputContract
from separable.models.dilation import strides_and_dilations
from separable.models.options import check_choice, check_common, check_length, check_minimum, given

__all__ = ["XCEPTION_ALIGNED_INPUT", "AlignedXception"]

XCEPTION_ALIGNED_INPUT = InputContract(
    size=(299, 299), mean=(0.5, 0.5, 0.5), std=(0.5, 0.5, 0.5), padding="symmetric", min_size=32
)
"""DeepLab's preprocessing, 2 / 255 x - 1; at 32 pixels one is left of the last map."""

_ENTRY = {
    41: ((128, 2), (256, 2), (728, 2)),
    65: ((128, 2), (256, 2), (728, 2)),
    71: ((128, 2), (256, 1), (256, 2), (728, 1), (728, 2)),
}
"""Channels and stride of the entry flow's modules, by depth."""

_MIDDLE = {41: 8, 65: 16, 71: 16}


class AlignedXception(ImageModel):
    """Xception-41, -65 and -71; 26,969,560, 39,916,312 and 42,338,736 trainable parameters with the defaults.

    Args:
        num_classes: 0 leaves out the classifier.
        depth: 41, 65 or 71.
        output_stride: the picture's side over the last map's: 32, or 16 or 8 with dilation in place of strides.
        multi_grid: further dilations of the last module's three convolutions; DeepLab's other one is (1, 2, 4).
        middle_blocks: how often the middle flow repeats; None for the depth's own number.
        width: multiplies every number of channels, rounded to a multiple of 8. Ours.
        dropout: before the classifier; DeepLab keeps 0.5.
        features_only: return the feature pyramid in place of logits.

    Weights start as DeepLab's do: cut normal of deviation 0.09.
    """

    def __init__(
        self,
        num_classes: int = 1000,
        in_channels: int = 3,
        *,
        depth: int = 65,
        output_stride: int = 32,
        multi_grid: Sequence[int] = (1, 1, 1),
        middle_blocks: int | None = None,
        width: float = 1.0,
        dropout: float = 0.5,
        features_only: bool = False,
    ) -> None:
        options = given(locals(), "depth")
        super().__init__()
        check_common(num_classes, in_channels, width, dropout, features_only)
        check_choice("depth", depth, (41, 65, 71))
        check_choice("output_stride", output_stride, (8, 16, 32))
        check_length("multi_grid", multi_grid, 3)
        for rate in multi_grid:
            check_minimum("multi_grid", rate, 1)
        middle_blocks = _MIDDLE[depth] if middle_blocks is None else middle_blocks
        check_minimum("middle_blocks", middle_blocks, 0)

        def channels(published: int) -> int:
            return max(8, round(published * width / 8) * 8)

        entry = {f"entry{number}": size_and_stride for number, size_and_stride in enumerate(_ENTRY[depth], start=1)}
        middle = [f"middle{number}" for number in range(1, middle_blocks + 1)]
        (stem_stride, _), *entry_steps, (_, middle_dilation), exit1, exit2 = strides_and_dilations(
            [2, *(stride for _, stride in entry.values()), 1, 2, 1], output_stride
        )
        # Entry flow
        self.conv1 = ConvBN(in_channels, channels(32), 3, stride=stem_stride)
        self.conv2 = ConvBN(channels(32), channels(64), 3)
        previous, reached = channels(64), stem_stride
        taps, inner_taps = [Tap("conv2", previous, reached)], []
        for (name, (size, nominal)), (stride, dilation) in zip(entry.items(), entry_steps, strict=True):
            block = AlignedXceptionModule(previous, 3 * [channels(size)], stride=stride, dilation=dilation)
            self.add_module(name, block)
            inner_taps.append(Tap(f"{name}.sepconv2", channels(size), reached))
            previous, reached = channels(size), reached * stride
            tap = Tap(name, previous, reached)
            taps = [*taps, tap] if nominal > 1 else [*taps[:-1], tap]  # the last map of each size
        # Middle flow
        for name in middle:
            block = AlignedXceptionModule(previous, 3 * [previous], dilation=middle_dilation, shortcut=False)
            self.add_module(name, block)
        # Exit flow
        c728, c1024, c1536, c2048 = map(channels, (728, 1024, 1536, 2048))
        self.exit1 = AlignedXceptionModule(c728, (c728, c1024, c1024), stride=exit1[0], dilation=exit1[1])
        self.exit2 = AlignedXceptionTail(c1024, (c1536, c1536, c2048), dilation=exit2[1], multi_grid=multi_grid)

        self.finish(
            name=f"xception{depth}",
            options=options,
            contract=XCEPTION_ALIGNED_INPUT,
            chain=("conv1", "conv2", *entry, *middle, "exit1", "exit2"),
            taps=(
                *taps[:-1],
                Tap(middle[-1] if middle else taps[-1].block, c728, reached),
                Tap("exit2", c2048, reached * exit1[0]),
            ),
            head=ClassifierHead(c2048, num_classes, dropout=dropout),
            features_only=features_only,
        )
        self.inner_taps = tuple(inner_taps)
        init_truncated_normal(self, 0.09)
