"""Configurations, narrow networks and batches of masks to take steps with."""

from dataclasses import replace
from typing import Any

import numpy as np
import torch

from separable.data.augment_config import AugmentConfig
from separable.data.loader import Batch, LoaderConfig
from separable.models import SegmentationModel, build_model
from separable.segmentation.task import SegmentTask
from separable.training.config import ModelConfig, Recipe, RegularisationConfig, TrainConfig
from separable.training.recipes import RECIPES
from separable.training.step import StepOutcome, Stepper, prepare_for_training
from tests.segmentation.made import blobs

LOADER = LoaderConfig(batch_size=5, max_bad=1.0)
FROZEN = RegularisationConfig(freeze_batch_norm=True)
DEEPLAB: dict[str, Any] = {"encoder": "mobilenet_v1"}


def recipe_with(rules: RegularisationConfig = FROZEN, **changes: Any) -> Recipe:
    return replace(RECIPES["segment"], **{"regularisation": rules, "augment": AugmentConfig.none(), **changes})


def config_with(recipe: Recipe | None = None, **changes: Any) -> TrainConfig:
    network = ModelConfig("unet_xception", {"width": 0.25, "depth": 1}, image_size=(32, 32))
    given: dict[str, Any] = {"model": network, "batch_size": 8, "task": "segment", **changes}
    return TrainConfig(run="unused", recipe=recipe or recipe_with(), **given)


def narrow(name: str = "unet_xception", **options: Any) -> SegmentationModel:
    torch.manual_seed(0)
    model = build_model(name, 3, width=0.25, **(options or {"depth": 1}))
    assert isinstance(model, SegmentationModel)
    return model


def masks_batch(count: int = 8, size: tuple[int, int] = (32, 32)) -> Batch:
    """The first mask is blank, the others have a blank border of 0 to 3 columns: pictures count alike all the same."""
    generator = torch.Generator().manual_seed(1)
    images = torch.randint(0, 256, (count, 3, *size), dtype=torch.uint8, generator=generator)
    masks = np.stack([blobs(*size, seed=number) for number in range(count)])
    masks[0] = -1
    for number in range(count):
        masks[number, :, : number % 4] = -1
    places = torch.arange(count)
    return Batch(images, torch.from_numpy(masks), places, places + 40)


def stepped(model: SegmentationModel, config: TrainConfig, batch: Batch) -> tuple[StepOutcome, dict[str, torch.Tensor]]:
    prepare_for_training(model, config)
    objective = SegmentTask().objective(config, 3, {})
    stepper = Stepper(model, config, objective=objective, steps_per_epoch=4, batch_size=config.batch_size)
    outcome = stepper.run(batch, 0)
    return outcome, {name: p.grad.clone() for name, p in model.named_parameters() if p.grad is not None}
