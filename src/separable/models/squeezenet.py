"""SqueezeNet (F. N. Iandola et al., "SqueezeNet: AlexNet-level accuracy with 50x fewer parameters and <0.5MB model
size", arXiv:1602.07360), table 1.

The sides are table 1's, which are those of 227x227 pictures. Pools are 3x3/2, their last window may hang over the edge.
"fire s, e" squeezes to s channels and expands to e + e.

    conv1     7x7/2, unpadded    96     111    pool1   55
    fire2     16,  64            128     55
    fire3     16,  64            128     55
    fire4     32, 128            256     55    pool4   27
    fire5     32, 128            256     27
    fire6     48, 192            384     27
    fire7     48, 192            384     27
    fire8     64, 256            512     27    pool8   13
    fire9     64, 256            512     13
    head      dropout - 1x1 convolution to the classes - ReLU - global average pooling
"""

from dataclasses import replace

from torch import nn

from separable.blocks.conv import ConvBN
from separable.blocks.dense_head import ConvHead
from separable.blocks.fire import Fire
from separable.blocks.pool import MaxPool
from separable.models.base import ImageModel, Tap
from separable.models.imagenet_input import imagenet_input
from separable.models.options import check_choice, check_common, given

__all__ = ["SQUEEZENET_INPUT", "SqueezeNet"]

SQUEEZENET_INPUT = imagenet_input("caffe", min_size=21)
"""torchvision's, with Caffe's pools."""

_FIRES = ((16, 64), (16, 64), (32, 128), (32, 128), (48, 192), (48, 192), (64, 256), (64, 256))  # fire2..9: s, e
_VERSIONS = {  # the first convolution's channels and kernel, the blocks that a pool follows, the smallest side
    "1.0": (96, 7, ("conv1", "fire4", "fire8"), 21),
    "1.1": (64, 3, ("conv1", "fire3", "fire5"), 17),
}


class SqueezeNet(ImageModel):
    """Table 1; 1,248,424 trainable parameters with the defaults.

    Args:
        num_classes: 0 leaves out the classifier.
        version: "1.1" is the authors' later one, with 1,235,496 parameters and 2.35 times fewer multiply-adds: a 3x3
            first convolution with 64 channels, and earlier pools.
        width: multiplies every number of channels. Ours.
        dropout: before the last convolution, the paper's 0.5 (section 3.1).
        features_only: return the feature pyramid in place of logits.

    Weights start as torchvision's do: uniform of variance 2 / fan_in, the classifier normal of deviation 0.01.
    """

    def __init__(
        self,
        num_classes: int = 1000,
        in_channels: int = 3,
        *,
        version: str = "1.0",
        width: float = 1.0,
        dropout: float = 0.5,
        features_only: bool = False,
    ) -> None:
        options = given(locals())
        super().__init__()
        check_common(num_classes, in_channels, width, dropout, features_only)
        check_choice("version", version, tuple(_VERSIONS))

        def channels(published: int) -> int:
            return max(1, round(published * width))

        first, kernel, before_pools, smallest = _VERSIONS[version]
        previous = channels(first)
        self.conv1 = ConvBN(in_channels, previous, kernel, stride=2, padding="valid", batch_norm=False, bias=True)
        chain: list[str] = []
        taps: list[Tap] = []
        for number, (squeeze, expand) in enumerate(((0, 0), *_FIRES), start=1):
            name = "conv1" if number == 1 else f"fire{number}"
            if number > 1:
                self.add_module(name, Fire(previous, channels(squeeze), channels(expand)))
                previous = 2 * channels(expand)
            chain.append(name)
            if name in before_pools or name == "fire9":
                taps.append(Tap(name, previous, 2 ** (len(taps) + 1)))
            if name in before_pools:
                self.add_module(f"pool{number}", MaxPool("same"))
                chain.append(f"pool{number}")

        self.finish(
            name="squeezenet",
            options=options,
            contract=replace(SQUEEZENET_INPUT, min_size=smallest),
            chain=chain,
            taps=taps,
            head=ConvHead(previous, num_classes, dropout=dropout),
            features_only=features_only,
        )
        _initialise(self)


def _initialise(model: SqueezeNet) -> None:
    for layer in model.modules():
        if isinstance(layer, nn.Conv2d):
            nn.init.kaiming_uniform_(layer.weight, nonlinearity="relu")
            if layer.bias is not None:
                nn.init.zeros_(layer.bias)
    classifier = model.get_classifier()
    if isinstance(classifier, nn.Conv2d):
        nn.init.normal_(classifier.weight, 0.0, 0.01)
