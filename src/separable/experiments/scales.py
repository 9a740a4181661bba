"""What the four scales have in common: recipes, picture sizes, and how much narrower the networks are.

smoke   seconds a cell: the tiniest networks on 64 drawn pictures, one epoch. It shows that everything runs, no more.
laptop  half a minute a cell on one quiet core: scanned digits on photographs, 40 pixels a side, networks of some
        hundred thousand parameters. Every experiment on these pictures shares one setup, so its cells are shared too.
gpu     under ten minutes an experiment on one H200: the same kind of pictures at 96 pixels, networks half as wide as
        published, bf16, the user's own data where given.
paper   ImageNet, the paper's own recipe, size and network.

Widths of compared networks are chosen so that their parameters, or multiply-adds, are as close as the paper's, as far
as whole channels allow; a test counts them.
"""

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

from separable.experiments.schema import Scale, Setup

__all__ = [
    "ACROSS",
    "GPU",
    "INCEPTION_DECAY",
    "LAPTOP",
    "LEARN",
    "MASKS",
    "MOBILENETS",
    "MOBILENETS_READING",
    "PAPER",
    "PAPER_COST",
    "PAPER_INCEPTION",
    "PAPER_INCEPTION_READING",
    "RATES",
    "SMOKE",
    "TAGS",
    "TUNED_PAPER_COST",
    "cost_of",
    "setups",
    "tuned",
]

RATES = (0.1, 0.3, 1.0, 3.0)
"""Factors on the recipe's learning rate that all rows of an experiment try alike."""
_RATES_ACROSS = (0.01, 0.03, *RATES)
"""Where VGG-16 is a row, or its trainings are shared: it has no batch normalisation, and on a laptop stays at chance
from 0.1 on where the others start soonest at 1."""

LEARN: Mapping[str, Any] = {
    "scaling": "none",
    "optimiser.learning_rate": 0.01,
    "schedule.warm_up_epochs": 0.5,
    "augment.random_resized_crop": None,
    "augment.flip": False,
    "regularisation.dropout": 0.0,
    "regularisation.ema_decay": 0.95,
}
"""On the recipe "small", for some hundred steps: the papers' own staircases and averages over 10,000 steps would not
have moved by then, and one over 100 lags behind early. No dropout: the published networks differ in it. No crops and
no mirroring: digits are told by what both destroy, and drawn pictures vary by themselves."""

SMOKE = Setup(
    data="digits",
    recipe="small",
    changes=LEARN,
    epochs=1,
    batch_size=16,
    image_size=32,
    seeds=(0, 1),
    pictures=(64, 32),
    options={
        "xception": {"width": 0.03125, "middle_blocks": 1, "stem_stride": 1},
        "inception_v3": {"width": 0.0625, "stem": "79"},
        "resnet152": {"width": 0.0625, "repeats": (1, 1, 1, 1)},
        "vgg16": {"width": 0.0625},
    },
)

LAPTOP = Setup(
    data="digits",
    recipe="small",
    changes=LEARN,
    epochs=16,
    batch_size=32,
    image_size=40,
    pictures=(1000, 1000),
    options={
        "xception": {"width": 0.1875, "middle_blocks": 2, "stem_stride": 1},
        "inception_v3": {"width": 0.125, "stem": "151"},
        "resnet152": {"width": 0.1875, "repeats": (1, 2, 3, 1), "stem_stride": 1},
        "vgg16": {"width": 0.125},
    },
)
"""500 steps. Measured: Inception V3 is at 44 % after a quarter, at 90 % at the end; with 375 steps its seeds ended at
89, 87 and 74 %, Xception at 96 %, MobileNet of an eighth of its channels at 91 %, Inception-v2 with momentum at 89 %,
VGG-16 at 46 % at 0.03 of the rate (those on 0.2 of the background's brightness), in 20 to 50 seconds of one core each;
tags, Inception V3: a weighted MAP@100 of 86 %. With the rate at 0.003, colours and bright backgrounds, narrow networks
were at chance for more than half of 500 steps, in some seeds to the end."""

GPU = Setup(
    data="digits",
    recipe="small",
    changes=LEARN,
    epochs=4,
    batch_size=128,
    image_size=96,
    pictures=(20_000, 4000),
    options={
        "xception": {"width": 0.5},
        "inception_v3": {"width": 0.5},
        "resnet152": {"width": 0.375},
        "vgg16": {"width": 0.25},
    },
    precision="bf16",
    device="cuda",
)

PAPER = Setup(
    data="imagenet",
    recipe="xception_imagenet",
    epochs=180,
    batch_size=256,
    image_size=299,
    precision="bf16",
    device="cuda",
)

INCEPTION_DECAY: Mapping[str, Any] = {"optimiser.weight_decay": 4e-5}
"""1610.02357, section 4.3: 4e-5 for Inception V3, for which it was tuned, and 1e-5 for Xception."""

PAPER_INCEPTION = replace(PAPER, recipe="inception_v3", epochs=100)
"""1512.00567, section 8."""

PAPER_INCEPTION_READING = (
    "At paper scale a step has 256 pictures where the paper had 50 replicas of 32: the rate is scaled in proportion."
)


def setups(
    smoke: Setup = SMOKE, laptop: Setup = LAPTOP, gpu: Setup = GPU, paper: Setup = PAPER, **changes: Any
) -> dict[Scale, Setup]:
    """The four scales of an experiment, `changes` laid over each."""
    chosen: dict[Scale, Setup] = {"smoke": smoke, "laptop": laptop, "gpu": gpu, "paper": paper}
    return {scale: replace(setup, **changes) for scale, setup in chosen.items()}


def tuned(scales: Mapping[Scale, Setup], rates: tuple[float, ...] = RATES) -> dict[Scale, Setup]:
    """With the same learning rates tried for every arm, at every scale but smoke."""
    return {
        scale: setup if scale == "smoke" else replace(setup, learning_rates=rates) for scale, setup in scales.items()
    }


ACROSS: Mapping[Scale, Setup] = tuned(
    setups(paper=replace(PAPER, arm_changes={"Inception V3": INCEPTION_DECAY})), _RATES_ACROSS
)
"""1610.02357, table 1 and figure 6: unlike networks side by side."""


MOBILENETS: Mapping[Scale, Setup] = tuned(
    {
        "smoke": replace(
            SMOKE,
            image_sizes={224: 32, 192: 28, 160: 24, 128: 20},
            options={"mobilenet_v1": {"width": 0.125, "stem_stride": 1}},
            arm_options={"0.75": {"width": 0.1}, "0.5": {"width": 0.075}, "0.25": {"width": 0.05}},
        ),
        "laptop": replace(
            LAPTOP,
            image_size=56,
            image_sizes={224: 56, 192: 48, 160: 40, 128: 32},
            options={"mobilenet_v1": {"width": 0.5, "stem_stride": 1}},
            arm_options={"0.75": {"width": 0.375}, "0.5": {"width": 0.25}, "0.25": {"width": 0.125}},
        ),
        "gpu": replace(GPU, image_size=112, image_sizes={224: 112, 192: 96, 160: 80, 128: 64}, options={}),
        "paper": replace(
            PAPER,
            recipe="mobilenet",
            epochs=100,
            image_size=224,
            image_sizes={side: side for side in (224, 192, 160, 128)},
        ),
    }
)
"""1704.04861, tables 4 to 7: on a laptop half the channels, a quarter of the sides, and a first convolution without
stride, so that multiply-adds are in the published proportions, within 4 %."""

MOBILENETS_READING = "The same learning rates are tried for all rows at every scale but smoke."


def _fc_layers(width: int) -> dict[str, dict[str, Any]]:
    return {name: {"fc_layers": (width, width)} for name in ("Inception V3, FC layers", "Xception, FC layers")}


TAGS: Mapping[Scale, Setup] = tuned(
    {
        "smoke": replace(SMOKE, data="tags", recipe="tags", arm_options=_fc_layers(16)),
        "laptop": replace(
            LAPTOP,
            data="tags",
            recipe="tags",
            epochs=5,
            pictures=(3000, 1000),
            options={**LAPTOP.options, "inception_v3": {"width": 0.125, "stem": "79"}},
            arm_options=_fc_layers(256),
        ),
        "gpu": replace(GPU, data="tags", recipe="tags", arm_options=_fc_layers(1024)),
        "paper": replace(
            PAPER,
            data="open_images",
            recipe="xception_jft",
            epochs=3,
            batch_size=32,
            arm_changes={"Inception V3": INCEPTION_DECAY, "Inception V3, FC layers": INCEPTION_DECAY},
        ),
    }
)
"""1610.02357, table 2, figures 7 and 8: many labels a picture."""

MASKS: Mapping[Scale, Setup] = {
    "smoke": Setup(
        data="scenes",
        recipe="segment",
        changes={"augment.random_resized_crop": None, "augment.flip": False},
        epochs=1,
        batch_size=8,
        image_size=32,
        seeds=(0, 1),
        options={"unet_xception": {"width": 0.25, "depth": 2}},
        pictures=(32, 16),
    ),
    "laptop": Setup(
        data="scenes",
        recipe="segment",
        changes={"augment.random_resized_crop": None, "augment.flip": False},
        epochs=10,
        batch_size=16,
        image_size=64,
        options={"unet_xception": {"width": 0.5}},
        pictures=(1000, 500),
    ),
    "gpu": Setup(
        data="scenes",
        recipe="segment",
        changes={"augment.random_resized_crop": None, "augment.flip": False},
        epochs=30,
        batch_size=32,
        image_size=160,
        pictures=(2000, 1000),
        precision="bf16",
        device="cuda",
    ),
    "paper": Setup(
        data="pets",
        recipe="keras_unet",
        epochs=50,
        batch_size=32,
        image_size=160,
        device="cuda",
    ),
}
"""Keras' example; its pictures are 160 pixels wide."""

PAPER_COST = "estimated: 4 days of one H200 a network and seed"
TUNED_PAPER_COST = (
    "estimated: 4 days of one H200 a training; a row is trained once for every learning rate tried and once a seed"
)


def cost_of(
    laptop: str, gpu: str = "estimated: under 10 minutes of one H200", paper: str = PAPER_COST
) -> dict[Scale, str]:
    """The text on costs of an experiment, per scale."""
    return {"smoke": "seconds", "laptop": laptop, "gpu": gpu, "paper": paper}
