"""The catalogue: one literal dict from a model's name to what is known about it.

The networks that classify stand in `encoders.py`, from which those that segment take their encoders.
"""

from separable.models.deeplab import DEEPLAB_INPUT, DEEPLAB_XCEPTION_INPUT, DeepLab
from separable.models.encoders import ENCODERS
from separable.models.spec import ModelSpec
from separable.models.unet import UNET_INPUT, UNet
from separable.models.unet_xception import UNET_XCEPTION_INPUT, UNetXception

__all__ = ["CATALOG"]

CATALOG: dict[str, ModelSpec] = {
    **ENCODERS,
    "deeplab": ModelSpec(
        name="deeplab",
        paper="arXiv:1802.02611",
        network=DeepLab,
        input=DEEPLAB_INPUT,
        parameters=23_988_909,
        macs=33_255_450_928,
        min_size=71,
        num_classes=21,
    ),
    "deeplab_xception41": ModelSpec(
        name="deeplab_xception41",
        paper="arXiv:1802.02611",
        network=DeepLab,
        preset={"encoder": "xception41"},
        input=DEEPLAB_XCEPTION_INPUT,
        parameters=28_108_661,
        macs=40_012_398_128,
        min_size=32,
        num_classes=21,
    ),
    "deeplab_xception65": ModelSpec(
        name="deeplab_xception65",
        paper="arXiv:1802.02611",
        network=DeepLab,
        preset={"encoder": "xception65"},
        input=DEEPLAB_XCEPTION_INPUT,
        parameters=41_055_413,
        macs=54_035_303_024,
        min_size=32,
        num_classes=21,
    ),
    "deeplab_xception71": ModelSpec(
        name="deeplab_xception71",
        paper="arXiv:1802.02611",
        network=DeepLab,
        preset={"encoder": "xception71"},
        input=DEEPLAB_XCEPTION_INPUT,
        parameters=43_477_837,
        macs=66_068_012_856,
        min_size=32,
        num_classes=21,
    ),
    "unet": ModelSpec(
        name="unet",
        paper="arXiv:1505.04597",
        network=UNet,
        input=UNET_INPUT,
        parameters=21_734_261,
        macs=6_705_426_816,
        min_size=71,
        num_classes=21,
    ),
    "unet_xception": ModelSpec(
        name="unet_xception",
        paper="keras.io/examples/vision/oxford_pets_image_segmentation",
        network=UNetXception,
        input=UNET_XCEPTION_INPUT,
        parameters=2_055_203,
        macs=859_801_600,
        min_size=1,
        num_classes=3,
    ),
}
