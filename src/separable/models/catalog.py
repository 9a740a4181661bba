"""The catalogue: one literal dict from a model's name to what is known about it."""

from separable.models.inception_v3 import INCEPTION_V3_INPUT, InceptionV3
from separable.models.mobilenet_v1 import MOBILENET_V1_INPUT, MobileNetV1
from separable.models.published import PUBLISHED
from separable.models.spec import ModelSpec
from separable.models.xception import XCEPTION_INPUT, Xception

__all__ = ["CATALOG"]

CATALOG: dict[str, ModelSpec] = {
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
}
