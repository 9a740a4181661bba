"""The networks: blocks arranged as the papers' figures arrange them."""

from separable.models.alexnet import AlexNet
from separable.models.base import ImageModel, Tap
from separable.models.bn_inception import BatchNormInception
from separable.models.build import build_model, list_models, model_spec
from separable.models.contract import InputContract
from separable.models.deeplab import DeepLab
from separable.models.export import export_graph
from separable.models.feature_info import FeatureInfo
from separable.models.inception_resnet_v2 import InceptionResNetV2
from separable.models.inception_v1 import InceptionV1
from separable.models.inception_v2 import InceptionV2
from separable.models.inception_v3 import InceptionV3
from separable.models.inception_v4 import InceptionV4
from separable.models.mobilenet_v1 import MobileNetV1
from separable.models.resnet import ResNet
from separable.models.segmentation import SegmentationModel, demand_classifier, demand_segmenter, pixel_logits
from separable.models.spec import ModelSpec, PublishedWeights
from separable.models.squeezenet import SqueezeNet
from separable.models.unet import UNet
from separable.models.unet_xception import UNetXception
from separable.models.vgg import VGG16
from separable.models.xception import Xception
from separable.models.xception_aligned import AlignedXception

__all__ = [
    "VGG16",
    "AlexNet",
    "AlignedXception",
    "BatchNormInception",
    "DeepLab",
    "FeatureInfo",
    "ImageModel",
    "InceptionResNetV2",
    "InceptionV1",
    "InceptionV2",
    "InceptionV3",
    "InceptionV4",
    "InputContract",
    "MobileNetV1",
    "ModelSpec",
    "PublishedWeights",
    "ResNet",
    "SegmentationModel",
    "SqueezeNet",
    "Tap",
    "UNet",
    "UNetXception",
    "Xception",
    "build_model",
    "demand_classifier",
    "demand_segmenter",
    "export_graph",
    "list_models",
    "model_spec",
    "pixel_logits",
]
