"""Weight files of other frameworks: one small file per family, and the list of them all."""

from separable.weights.ports.googlenet import GOOGLENET
from separable.weights.ports.inception_resnet_v2 import INCEPTION_RESNET_V2
from separable.weights.ports.inception_v3 import TIMM_INCEPTION_V3, TORCHVISION_INCEPTION_V3
from separable.weights.ports.inception_v4 import INCEPTION_V4
from separable.weights.ports.legacy_xception import LEGACY_XCEPTION
from separable.weights.ports.port import Port
from separable.weights.ports.xception_aligned import XCEPTION_65, XCEPTION_ALIGNED

__all__ = ["PORTS"]

PORTS: tuple[Port, ...] = (
    LEGACY_XCEPTION,
    TORCHVISION_INCEPTION_V3,
    TIMM_INCEPTION_V3,
    INCEPTION_V4,
    INCEPTION_RESNET_V2,
    XCEPTION_ALIGNED,
    XCEPTION_65,
    GOOGLENET,
)
"""In the order in which files that fit several are taken."""
