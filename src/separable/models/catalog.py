"""The catalogue: one literal dict from a model's name to what is known about it."""

from separable.models.inception_v3 import INCEPTION_V3_INPUT
from separable.models.mobilenet_v1 import MOBILENET_V1_INPUT
from separable.models.spec import ModelSpec, PublishedWeights
from separable.models.xception import XCEPTION_INPUT

__all__ = ["CATALOG"]

_KERAS = "https://storage.googleapis.com/tensorflow/keras-applications"


CATALOG: dict[str, ModelSpec] = {
    "inception_v3": ModelSpec(
        name="inception_v3",
        paper="arXiv:1512.00567",
        input=INCEPTION_V3_INPUT,
        parameters=23_817_352,
        macs=5_713_216_096,
        min_size=75,
        options=("aux_head", "dropout", "features_only", "gamma", "in_channels", "width"),
        keras_weights=(
            PublishedWeights(
                url=f"{_KERAS}/inception_v3/inception_v3_weights_tf_dim_ordering_tf_kernels.h5",
                sha256="00c9ea4e4762f716ac4d300d6d9c2935639cc5e4d139b5790d765dcbeea539d0",
                md5="9a0d58056eeedaa3f26cb7ebd46da564",
                size=(299, 299),
            ),
            PublishedWeights(
                url=f"{_KERAS}/inception_v3/inception_v3_weights_tf_dim_ordering_tf_kernels_notop.h5",
                sha256=None,
                md5="bcbd6486424b2319ff4ef7d526e38f63",
                size=(299, 299),
                has_classifier=False,
            ),
        ),
    ),
    "mobilenet_v1": ModelSpec(
        name="mobilenet_v1",
        paper="arXiv:1704.04861",
        input=MOBILENET_V1_INPUT,
        parameters=4_231_976,
        macs=568_740_352,
        min_size=32,
        options=("activation", "dropout", "features_only", "in_channels", "width"),
        keras_weights=tuple(  # Keras itself checks no hash of these
            PublishedWeights(
                url=f"{_KERAS}/mobilenet/mobilenet_{text}_{side}_tf{suffix}.h5",
                sha256=None,
                size=(side, side),
                options={"width": width},
                has_classifier=not suffix,
            )
            for width, text in ((1.0, "1_0"), (0.75, "7_5"), (0.5, "5_0"), (0.25, "2_5"))
            for side in (224, 192, 160, 128)
            for suffix in ("", "_no_top")
        ),
    ),
    "xception": ModelSpec(
        name="xception",
        paper="arXiv:1610.02357",
        input=XCEPTION_INPUT,
        parameters=22_855_952,
        macs=8_357_403_496,
        min_size=71,
        options=(
            *("dropout", "fc_layers", "features_only", "in_channels", "intermediate_activation"),
            *("middle_blocks", "residual", "stem_stride", "width"),
        ),
        keras_weights=(
            PublishedWeights(
                url=f"{_KERAS}/xception/xception_weights_tf_dim_ordering_tf_kernels.h5",
                sha256="c5bf1c05b020c4177164039b854c3ef92b16b73384734647c1f0ad5cf79f6975",
                md5="0a58e3b7378bc2990ea3b43d5981f1f6",
                size=(299, 299),
            ),
            PublishedWeights(
                url=f"{_KERAS}/xception/xception_weights_tf_dim_ordering_tf_kernels_notop.h5",
                sha256="e3fa32521ed48ced4af05adc950ab24963c4a00bd42e6825f8b180c65853163c",
                md5="b0042744bf5b25fce3cb969f33bebb97",
                size=(299, 299),
                has_classifier=False,
            ),
        ),
    ),
}
