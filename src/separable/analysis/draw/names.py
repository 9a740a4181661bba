"""Names as the papers print them, for what is known; everything else is named by its class."""

import re

__all__ = ["FIGURES", "readable_kind", "title_of"]

FIGURES = {
    "Fire": "figure 1 of arXiv:1602.07360",
    "InceptionA": "figure 5 of arXiv:1512.00567",
    "InceptionAux": "figure 8 of arXiv:1512.00567",
    "InceptionB": "figure 10 of arXiv:1512.00567",
    "InceptionC": "figure 6 of arXiv:1512.00567",
    "InceptionD": "figure 10 of arXiv:1512.00567",
    "InceptionE": "figure 7 of arXiv:1512.00567",
    "InceptionResNetA": "figure 16 of arXiv:1602.07261",
    "InceptionResNetB": "figure 17 of arXiv:1602.07261",
    "InceptionResNetC": "figure 19 of arXiv:1602.07261",
    "InceptionResNetReduction": "figure 18 of arXiv:1602.07261",
    "InceptionV4A": "figure 4 of arXiv:1602.07261",
    "InceptionV4B": "figure 5 of arXiv:1602.07261",
    "InceptionV4C": "figure 6 of arXiv:1602.07261",
    "InceptionV4Reduction": "figure 8 of arXiv:1602.07261",
    "InceptionV4Stem1": "figure 3 of arXiv:1602.07261",
    "InceptionV4Stem2": "figure 3 of arXiv:1602.07261",
    "InceptionV4Stem3": "figure 3 of arXiv:1602.07261",
    "ReducedInception": "figure 2(b) of arXiv:1409.4842",
    "ReductionA": "figure 7 of arXiv:1602.07261",
}
"""Where the papers draw the modules that are classes here."""


_TITLES = {
    "alexnet": "AlexNet",
    "bn_inception": "BN-Inception",
    "deeplab": "DeepLabv3+",
    "inception_resnet_v2": "Inception-ResNet V2",
    "inception_v1": "Inception V1 (GoogLeNet)",
    "inception_v2": "Inception V2",
    "inception_v3": "Inception V3",
    "inception_v4": "Inception V4",
    "mobilenet_v1": "MobileNet V1",
    "squeezenet": "SqueezeNet",
    "unet": "U-Net",
    "unet_xception": "U-Net Xception",
    "vgg16": "VGG-16",
    "xception": "Xception",
}
_COMPOUNDS = {
    "Res Net": "ResNet",
    "Goog Le Net": "GoogLeNet",
    "Mobile Net": "MobileNet",
    "Dense Net": "DenseNet",
    "Mix Conv": "MixConv",
}


def title_of(name: str) -> str:
    """ "inception_v3" -> "Inception V3", "resnet50" -> "ResNet-50", a head over an encoder names both."""
    if name.startswith("deeplab_"):
        return f"{_TITLES['deeplab']} over {title_of(name.removeprefix('deeplab_'))}"
    numbered = re.fullmatch(r"(resnet|xception)(\d+)", name)
    if numbered:
        return f"{'ResNet' if numbered[1] == 'resnet' else 'Xception'}-{numbered[2]}"
    return _TITLES.get(name, name)


def readable_kind(kind: str) -> str:
    """ "InceptionA" -> "Inception A", "InceptionResNetA" -> "Inception ResNet A"."""
    spaced = re.sub(r"(?<=[a-z0-9])(?=[A-Z])|(?<=[A-Z])(?=[A-Z][a-z])|(?<=[a-z])(?=[0-9]+$)", " ", kind)
    for apart, together in _COMPOUNDS.items():
        spaced = spaced.replace(apart, together)
    return spaced.replace("_", " ").strip() or kind
