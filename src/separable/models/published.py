"""Weight files that others publish: where they are, and the hashes that they must have."""

from separable.models.spec import PublishedWeights

__all__ = ["PUBLISHED"]

_KERAS = "https://storage.googleapis.com/tensorflow/keras-applications"

PUBLISHED: dict[str, tuple[PublishedWeights, ...]] = {
    "inception_resnet_v2": (
        PublishedWeights(
            url=f"{_KERAS}/inception_resnet_v2/inception_resnet_v2_weights_tf_dim_ordering_tf_kernels.h5",
            sha256=None,
            md5="e693bd0210a403b3192acc6073ad2e96",
            size=(299, 299),
        ),
        PublishedWeights(
            url=f"{_KERAS}/inception_resnet_v2/inception_resnet_v2_weights_tf_dim_ordering_tf_kernels_notop.h5",
            sha256=None,
            md5="d19885ff4a710c122648d3b5c3b684e4",
            size=(299, 299),
            has_classifier=False,
        ),
    ),
    "inception_v3": (
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
    "mobilenet_v1": tuple(  # Keras itself checks no hash of these
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
    "resnet101": (
        PublishedWeights(
            url=f"{_KERAS}/resnet/resnet101_weights_tf_dim_ordering_tf_kernels.h5",
            sha256=None,
            md5="f1aeb4b969a6efcfb50fad2f0c20cfc5",
            size=(224, 224),
        ),
        PublishedWeights(
            url=f"{_KERAS}/resnet/resnet101_weights_tf_dim_ordering_tf_kernels_notop.h5",
            sha256=None,
            md5="88cf7a10940856eca736dc7b7e228a21",
            size=(224, 224),
            has_classifier=False,
        ),
    ),
    "resnet152": (
        PublishedWeights(
            url=f"{_KERAS}/resnet/resnet152_weights_tf_dim_ordering_tf_kernels.h5",
            sha256=None,
            md5="100835be76be38e30d865e96f2aaae62",
            size=(224, 224),
        ),
        PublishedWeights(
            url=f"{_KERAS}/resnet/resnet152_weights_tf_dim_ordering_tf_kernels_notop.h5",
            sha256=None,
            md5="ee4c566cf9a93f14d82f913c2dc6dd0c",
            size=(224, 224),
            has_classifier=False,
        ),
    ),
    "resnet50": (
        PublishedWeights(
            url=f"{_KERAS}/resnet/resnet50_weights_tf_dim_ordering_tf_kernels.h5",
            sha256=None,
            md5="2cb95161c43110f7111970584f804107",
            size=(224, 224),
        ),
        PublishedWeights(
            url=f"{_KERAS}/resnet/resnet50_weights_tf_dim_ordering_tf_kernels_notop.h5",
            sha256=None,
            md5="4d473c1dd8becc155b73f8504c6f6626",
            size=(224, 224),
            has_classifier=False,
        ),
    ),
    "vgg16": (
        PublishedWeights(
            url=f"{_KERAS}/vgg16/vgg16_weights_tf_dim_ordering_tf_kernels.h5",
            sha256=None,
            md5="64373286793e3c8b2b4e3219cbf3544b",
            size=(224, 224),
        ),
        PublishedWeights(
            url=f"{_KERAS}/vgg16/vgg16_weights_tf_dim_ordering_tf_kernels_notop.h5",
            sha256=None,
            md5="6d6bbae143d832006294945121d1f1fc",
            size=(224, 224),
            has_classifier=False,
        ),
    ),
    "xception": (
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
}
