"""The recipes: the papers' own, and four of ours for small data. One literal dict, no inheritance.

Where a paper leaves the batch open, the reading is stated in `source`. `scaled_learning_rate` is the one place where a
learning rate meets another batch than its own.
"""

import difflib

from separable.data.augment_config import AugmentConfig
from separable.errors import UsageError
from separable.training.config import OptimiserConfig, Recipe, RegularisationConfig, ScheduleConfig

__all__ = ["RECIPES", "find_recipe", "scaled_learning_rate"]

# GoogLeNet's sampling (1409.4842, section 6), which these papers go by: 8 to 100 % of the area, aspect 3/4 to 4/3.
_INCEPTION_CROPS = AugmentConfig()

RECIPES: dict[str, Recipe] = {
    "xception_imagenet": Recipe(
        name="xception_imagenet",
        source="1610.02357, sections 4.2 (SGD, momentum 0.9, 0.045, x0.94 every 2 epochs, Polyak averaging), 4.3 "
        "(decay 1e-5, dropout 0.5, no auxiliary tower), 4.4 (60 GPUs, synchronous, about 3 days). Batch "
        "and epochs are not printed: 32 a replica as in 1512.00567 section 8, so 1920; 3 days at 28 "
        "replica steps/s are about 180 epochs. Decay of the average: 0.9999 as in TF-slim.",
        global_batch=1920,
        epochs=180,
        scaling="linear",
        image_size=(299, 299),
        optimiser=OptimiserConfig(name="sgd", learning_rate=0.045, momentum=0.9, weight_decay=1e-5),
        schedule=ScheduleConfig(kind="staircase", factor=0.94, every_epochs=2.0),
        regularisation=RegularisationConfig(dropout=0.5, ema_decay=0.9999),
        augment=_INCEPTION_CROPS,
    ),
    "xception_jft": Recipe(
        name="xception_jft",
        source="1610.02357, sections 4.2 (RMSProp, momentum 0.9, 0.001, x0.9 every 3,000,000 samples, Polyak "
        "averaging), 4.3 (decay 1e-5, no dropout), 4.4 (asynchronous, so one replica's 32 pictures make "
        "an update). rho and epsilon are not printed: 0.9 and 1.0 as in 1512.00567 section 8. 30 M "
        "updates of 32 over 350 M pictures: 3 epochs.",
        global_batch=32,
        epochs=3,
        scaling="linear",
        image_size=(299, 299),
        optimiser=OptimiserConfig(
            name="rmsprop", learning_rate=0.001, momentum=0.9, rho=0.9, epsilon=1.0, weight_decay=1e-5
        ),
        schedule=ScheduleConfig(kind="staircase", factor=0.9, every_samples=3_000_000),
        regularisation=RegularisationConfig(dropout=0.0, ema_decay=0.9999),
        augment=_INCEPTION_CROPS,
    ),
    "inception_v1": Recipe(
        name="inception_v1",
        source="1409.4842, sections 5 (dropout 0.4, auxiliary weight 0.3) and 6 (asynchronous SGD, momentum 0.9, rate "
        "x0.96 every 8 epochs, Polyak averaging, crops of 8 to 100 % of the area, aspect 3/4 to 4/3, Howard's "
        "photometric distortions: factors of 0.5 to 1.5). Rate 0.0015, 32 pictures an update and 31 M updates, "
        "which are 774 epochs, are those of the network that 1502.03167 section 4.2 compares with. Decay 4e-5 "
        "from the authors' TF-slim code, decay of the average 0.9999 likewise.",
        global_batch=32,
        epochs=774,
        scaling="linear",
        image_size=(224, 224),
        optimiser=OptimiserConfig(name="sgd", learning_rate=0.0015, momentum=0.9, weight_decay=4e-5),
        schedule=ScheduleConfig(kind="staircase", factor=0.96, every_epochs=8.0),
        regularisation=RegularisationConfig(dropout=0.4, auxiliary_weight=0.3, ema_decay=0.9999),
        augment=AugmentConfig(colour=0.5),
    ),
    "inception_v3": Recipe(
        name="inception_v3",
        source="1512.00567, sections 7 (label smoothing 0.1), 8 (50 replicas of 32, 100 epochs, RMSProp decay "
        "0.9, epsilon 1.0, 0.045, x0.94 every 2 epochs, clipping at 2.0, averaged weights); decay 4e-5 "
        "from 1610.02357 section 4.3; momentum 0.9, dropout 0.2 and auxiliary weight 0.4 from the "
        "authors' TF-slim code.",
        global_batch=1600,
        epochs=100,
        scaling="linear",
        image_size=(299, 299),
        optimiser=OptimiserConfig(
            name="rmsprop", learning_rate=0.045, momentum=0.9, rho=0.9, epsilon=1.0, weight_decay=4e-5
        ),
        schedule=ScheduleConfig(kind="staircase", factor=0.94, every_epochs=2.0),
        regularisation=RegularisationConfig(
            dropout=0.2, label_smoothing=0.1, auxiliary_weight=0.4, clip_norm=2.0, ema_decay=0.9999
        ),
        augment=_INCEPTION_CROPS,
    ),
    "mobilenet": Recipe(
        name="mobilenet",
        source="1704.04861, section 3.2 (asynchronous RMSProp as for Inception V3, crops not so small, no label "
        "smoothing, no side heads, little or no decay on depthwise filters). Rate 0.045 x0.94 every 2.5 "
        "epochs and batch 64 from the authors' TF-slim mobilenet_v1_train.py; rho and epsilon as in "
        "1512.00567, decay 4e-5 as there; epochs and the smallest crop, 35 % of the area, are ours.",
        global_batch=64,
        epochs=100,
        scaling="linear",
        image_size=(224, 224),
        optimiser=OptimiserConfig(
            name="rmsprop",
            learning_rate=0.045,
            momentum=0.9,
            rho=0.9,
            epsilon=1.0,
            weight_decay=4e-5,
            decayed=("convolution",),
        ),
        schedule=ScheduleConfig(kind="staircase", factor=0.94, every_epochs=2.5),
        regularisation=RegularisationConfig(dropout=1e-3, ema_decay=0.9999),
        augment=AugmentConfig(random_resized_crop=(0.35, 1.0)),
    ),
    "finetune": Recipe(
        name="finetune",
        source="ours, tuned by cross-validation on the training part of tf_flowers_256 "
        "(benchmarks/finetune_flowers.py)",
        global_batch=32,
        epochs=15,
        scaling="sqrt",
        optimiser=OptimiserConfig(
            name="adamw",
            learning_rate=3e-4,
            head_learning_rate=3e-3,
            epsilon=1e-8,
            weight_decay=0.05,
            decayed=("convolution", "dense"),
        ),
        schedule=ScheduleConfig(kind="cosine", warm_up_epochs=1.0),
        regularisation=RegularisationConfig(dropout=0.2, label_smoothing=0.1, ema_decay=0.99, batch_norm_momentum=0.1),
        augment=AugmentConfig(random_resized_crop=(0.25, 1.0)),
    ),
    "small": Recipe(
        name="small",
        source="ours, for a few hundred to a few ten thousand pictures from scratch",
        global_batch=32,
        epochs=60,
        scaling="sqrt",
        optimiser=OptimiserConfig(
            name="adamw",
            learning_rate=0.003,
            epsilon=1e-8,
            weight_decay=0.05,
            decayed=("convolution", "depthwise", "dense"),
        ),
        schedule=ScheduleConfig(kind="cosine", warm_up_epochs=3.0),
        regularisation=RegularisationConfig(
            label_smoothing=0.1, ema_decay=0.99, clip_norm=2.0, batch_norm_momentum=0.1
        ),
        augment=AugmentConfig(),
    ),
    "tags": Recipe(
        name="tags",
        source="ours, for a few hundred to a few ten thousand pictures with several labels each, from scratch",
        global_batch=32,
        epochs=60,
        scaling="sqrt",
        optimiser=OptimiserConfig(
            name="adamw",
            learning_rate=0.003,
            epsilon=1e-8,
            weight_decay=0.05,
            decayed=("convolution", "depthwise", "dense"),
        ),
        schedule=ScheduleConfig(kind="cosine", warm_up_epochs=3.0),
        regularisation=RegularisationConfig(ema_decay=0.99, batch_norm_momentum=0.1),
        augment=AugmentConfig(),
    ),
    "segment": Recipe(
        name="segment",
        source="ours, for some dozen to a few thousand pictures with masks, from scratch",
        global_batch=16,
        epochs=60,
        scaling="sqrt",
        optimiser=OptimiserConfig(
            name="adamw", learning_rate=2e-3, epsilon=1e-8, weight_decay=0.02, decayed=("convolution", "depthwise")
        ),
        schedule=ScheduleConfig(kind="cosine", warm_up_epochs=1.0),
        regularisation=RegularisationConfig(ema_decay=0.99, clip_norm=2.0, batch_norm_momentum=0.1),
        augment=AugmentConfig(random_resized_crop=(0.35, 1.0), colour=0.3),
        loss="cross_entropy + dice",
    ),
    "keras_unet": Recipe(
        name="keras_unet",
        source="Keras' example, keras.io/examples/vision/oxford_pets_image_segmentation (Adam at 1e-4, 32 pictures of "
        "160x160 as they are, 50 epochs, sparse cross entropy, the weights of the lowest validation loss). Momentum "
        "of batch norm 0.99 and Adam's epsilon 1e-7 are Keras' defaults.",
        global_batch=32,
        epochs=50,
        scaling="none",
        image_size=(160, 160),
        optimiser=OptimiserConfig(name="adamw", learning_rate=1e-4, epsilon=1e-7),
        schedule=ScheduleConfig(kind="constant"),
        regularisation=RegularisationConfig(batch_norm_momentum=0.01),
        augment=AugmentConfig.none(),
        select="lowest_loss",
        loss="cross_entropy",
    ),
}


def find_recipe(name: str) -> Recipe:
    """The recipe of that name.

    Raises:
        UsageError: there is none; the nearest names are suggested.
    """
    if name in RECIPES:
        return RECIPES[name]
    close = difflib.get_close_matches(name, RECIPES, n=1)
    raise UsageError(
        f"Unknown recipe {name!r}",
        expected="one of " + ", ".join(sorted(RECIPES)),
        fix=f"Did you mean {close[0]!r}?" if close else None,
    )


def scaled_learning_rate(learning_rate: float, recipe: Recipe, batch_size: int) -> float:
    """The rate for `batch_size` pictures a step, by the recipe's scaling rule; the rate itself at its own batch."""
    if recipe.scaling == "none" or batch_size == recipe.global_batch:
        return learning_rate
    ratio = batch_size / recipe.global_batch
    return float(learning_rate * (ratio if recipe.scaling == "linear" else ratio**0.5))
