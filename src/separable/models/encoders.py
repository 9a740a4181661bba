"""The networks that classify pictures, each also an encoder for those that segment: one literal dict, by name."""

from separable.models.alexnet import ALEXNET_INPUT, AlexNet
from separable.models.bn_inception import BN_INCEPTION_INPUT, BatchNormInception
from separable.models.inception_resnet_v2 import INCEPTION_RESNET_V2_INPUT, InceptionResNetV2
from separable.models.inception_v1 import INCEPTION_V1_INPUT, InceptionV1
from separable.models.inception_v2 import InceptionV2
from separable.models.inception_v3 import INCEPTION_V3_INPUT, InceptionV3
from separable.models.inception_v4 import INCEPTION_V4_INPUT, InceptionV4
from separable.models.mobilenet_v1 import MOBILENET_V1_INPUT, MobileNetV1
from separable.models.published import PUBLISHED
from separable.models.resnet import RESNET_INPUT, ResNet
from separable.models.spec import ModelSpec
from separable.models.squeezenet import SQUEEZENET_INPUT, SqueezeNet
from separable.models.vgg import VGG16, VGG16_INPUT
from separable.models.xception import XCEPTION_INPUT, Xception
from separable.models.xception_aligned import XCEPTION_ALIGNED_INPUT, AlignedXception

__all__ = ["ENCODERS"]

ENCODERS: dict[str, ModelSpec] = {
    "alexnet": ModelSpec(
        name="alexnet",
        paper="arXiv:1404.5997",
        network=AlexNet,
        input=ALEXNET_INPUT,
        parameters=61_100_840,
        macs=714_188_480,
        min_size=63,
    ),
    "bn_inception": ModelSpec(
        name="bn_inception",
        paper="arXiv:1502.03167",
        network=BatchNormInception,
        input=BN_INCEPTION_INPUT,
        parameters=11_188_288,
        macs=1_934_857_216,
        min_size=32,
    ),
    "inception_resnet_v2": ModelSpec(
        name="inception_resnet_v2",
        paper="arXiv:1602.07261",
        network=InceptionResNetV2,
        input=INCEPTION_RESNET_V2_INPUT,
        parameters=55_813_192,
        macs=13_155_794_016,
        min_size=75,
        keras_weights=PUBLISHED["inception_resnet_v2"],
    ),
    "inception_v1": ModelSpec(
        name="inception_v1",
        paper="arXiv:1409.4842",
        network=InceptionV1,
        input=INCEPTION_V1_INPUT,
        parameters=6_998_552,
        macs=1_582_671_872,
        min_size=32,
    ),
    "inception_v2": ModelSpec(
        name="inception_v2",
        paper="arXiv:1512.00567",
        network=InceptionV2,
        input=INCEPTION_V3_INPUT,
        parameters=23_798_184,
        macs=5_299_886_272,
        min_size=75,
    ),
    "inception_v3": ModelSpec(
        name="inception_v3",
        paper="arXiv:1512.00567",
        network=InceptionV3,
        input=INCEPTION_V3_INPUT,
        parameters=23_817_352,
        macs=5_713_216_096,
        min_size=75,
        keras_weights=PUBLISHED["inception_v3"],
    ),
    "inception_v4": ModelSpec(
        name="inception_v4",
        paper="arXiv:1602.07261",
        network=InceptionV4,
        input=INCEPTION_V4_INPUT,
        parameters=42_648_232,
        macs=12_253_974_624,
        min_size=75,
    ),
    "mobilenet_v1": ModelSpec(
        name="mobilenet_v1",
        paper="arXiv:1704.04861",
        network=MobileNetV1,
        input=MOBILENET_V1_INPUT,
        parameters=4_231_976,
        macs=568_740_352,
        min_size=32,
        keras_weights=PUBLISHED["mobilenet_v1"],
    ),
    "resnet50": ModelSpec(
        name="resnet50",
        paper="arXiv:1512.03385",
        network=ResNet,
        preset={"depth": 50},
        input=RESNET_INPUT,
        parameters=25_557_032,
        macs=3_857_973_248,
        min_size=32,
        keras_weights=PUBLISHED["resnet50"],
    ),
    "resnet101": ModelSpec(
        name="resnet101",
        paper="arXiv:1512.03385",
        network=ResNet,
        preset={"depth": 101},
        input=RESNET_INPUT,
        parameters=44_549_160,
        macs=7_570_194_432,
        min_size=32,
        keras_weights=PUBLISHED["resnet101"],
    ),
    "resnet152": ModelSpec(
        name="resnet152",
        paper="arXiv:1512.03385",
        network=ResNet,
        preset={"depth": 152},
        input=RESNET_INPUT,
        parameters=60_192_808,
        macs=11_282_415_616,
        min_size=32,
        keras_weights=PUBLISHED["resnet152"],
    ),
    "squeezenet": ModelSpec(
        name="squeezenet",
        paper="arXiv:1602.07360",
        network=SqueezeNet,
        input=SQUEEZENET_INPUT,
        parameters=1_248_424,
        macs=818_924_576,
        min_size=21,
    ),
    "vgg16": ModelSpec(
        name="vgg16",
        paper="arXiv:1409.1556",
        network=VGG16,
        input=VGG16_INPUT,
        parameters=138_357_544,
        macs=15_470_264_320,
        min_size=32,
        keras_weights=PUBLISHED["vgg16"],
    ),
    "xception": ModelSpec(
        name="xception",
        paper="arXiv:1610.02357",
        network=Xception,
        input=XCEPTION_INPUT,
        parameters=22_855_952,
        macs=8_357_403_496,
        min_size=71,
        keras_weights=PUBLISHED["xception"],
    ),
    "xception41": ModelSpec(
        name="xception41",
        paper="arXiv:1802.02611",
        network=AlignedXception,
        preset={"depth": 41},
        input=XCEPTION_ALIGNED_INPUT,
        parameters=26_969_560,
        macs=9_204_134_312,
        min_size=32,
    ),
    "xception65": ModelSpec(
        name="xception65",
        paper="arXiv:1802.02611",
        network=AlignedXception,
        preset={"depth": 65},
        input=XCEPTION_ALIGNED_INPUT,
        parameters=39_916_312,
        macs=13_852_682_216,
        min_size=32,
    ),
    "xception71": ModelSpec(
        name="xception71",
        paper="arXiv:1802.02611",
        network=AlignedXception,
        preset={"depth": 71},
        input=XCEPTION_ALIGNED_INPUT,
        parameters=42_338_736,
        macs=17_946_553_928,
        min_size=32,
    ),
}
