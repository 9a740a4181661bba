"""Weight files of other frameworks: one small file per family, and the list of them all."""

from separable.weights.ports.alexnet import ALEXNET
from separable.weights.ports.deeplab import DEEPLAB_PORTS
from separable.weights.ports.googlenet import GOOGLENET
from separable.weights.ports.inception_resnet_v2 import INCEPTION_RESNET_V2
from separable.weights.ports.inception_v3 import TIMM_INCEPTION_V3, TORCHVISION_INCEPTION_V3
from separable.weights.ports.inception_v4 import INCEPTION_V4
from separable.weights.ports.legacy_xception import LEGACY_XCEPTION
from separable.weights.ports.mobilenet_v1 import TIMM_MOBILENET_V1
from separable.weights.ports.port import Port
from separable.weights.ports.resnet import RESNETS
from separable.weights.ports.slim import SLIM_PORTS
from separable.weights.ports.squeezenet import SQUEEZENET_1_0, SQUEEZENET_1_1
from separable.weights.ports.vgg import TIMM_VGG16, TORCHVISION_VGG16
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
    *RESNETS,
    TORCHVISION_VGG16,
    TIMM_VGG16,
    ALEXNET,
    SQUEEZENET_1_0,
    SQUEEZENET_1_1,
    TIMM_MOBILENET_V1,
    *SLIM_PORTS,
    *DEEPLAB_PORTS,
)
"""In the order in which files that fit several are taken."""
