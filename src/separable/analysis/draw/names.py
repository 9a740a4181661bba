"""Names as the papers print them, for what is known; everything else is named by its class."""

import re

__all__ = ["readable_kind", "title_of"]

_TITLES = {
    "alexnet": "AlexNet",
    "bn_inception": "BN-Inception",
    "inception_resnet_v2": "Inception-ResNet V2",
    "inception_v1": "Inception V1 (GoogLeNet)",
    "inception_v2": "Inception V2",
    "inception_v3": "Inception V3",
    "inception_v4": "Inception V4",
    "mobilenet_v1": "MobileNet V1",
    "squeezenet": "SqueezeNet",
    "vgg16": "VGG-16",
    "xception": "Xception",
}
_COMPOUNDS = {"Res Net": "ResNet", "Mobile Net": "MobileNet", "Dense Net": "DenseNet", "Mix Conv": "MixConv"}


def title_of(name: str) -> str:
    """ "inception_v3" -> "Inception V3", "resnet50" -> "ResNet-50", others as they are but for a capital."""
    numbered = re.fullmatch(r"(resnet|xception)(\d+)", name)
    if numbered:
        return f"{'ResNet' if numbered[1] == 'resnet' else 'Xception'}-{numbered[2]}"
    return _TITLES.get(name, name)


def readable_kind(kind: str) -> str:
    """ "InceptionA" -> "Inception A", "InceptionResNetA" -> "Inception ResNet A"."""
    spaced = re.sub(r"(?<=[a-z0-9])(?=[A-Z])|(?<=[A-Z])(?=[A-Z][a-z])|(?<=[a-z])(?=[0-9])", " ", kind)
    for apart, together in _COMPOUNDS.items():
        spaced = spaced.replace(apart, together)
    return spaced.replace("_", " ").strip() or kind
