from dataclasses import replace
from pathlib import Path

import pytest
import torch
from torch import nn

from separable.data.augment_config import AugmentConfig
from separable.data.loader import Batch
from separable.errors import DivergedError
from separable.models import build_model
from separable.models.base import ImageModel
from separable.training.classification import ClassObjective
from separable.training.config import RegularisationConfig, TrainConfig
from separable.training.recipes import RECIPES
from separable.training.step import Stepper, part_sizes, prepare_for_training
from tests.tolerances import ACCUMULATED_GRADIENT, BF16_LOSS

PLAIN = RegularisationConfig()


def fake_batch(count: int = 8, side: int = 32) -> Batch:
    generator = torch.Generator().manual_seed(1)
    images = torch.randint(0, 256, (count, 3, side, side), dtype=torch.uint8, generator=generator)
    places = torch.arange(count)
    return Batch(images, places % 3, places, places + 40)


def config_with(
    regularisation: RegularisationConfig = PLAIN, augment: AugmentConfig | None = None, **changes
) -> TrainConfig:
    recipe = replace(RECIPES["small"], regularisation=regularisation, augment=augment or AugmentConfig.none())
    return TrainConfig(run="unused", recipe=recipe, batch_size=8, **changes)


def narrow(dropout: float = 0.0, seed: int = 0) -> ImageModel:
    torch.manual_seed(seed)
    return build_model("xception", 3, width=0.125, stem_stride=1, middle_blocks=1, dropout=dropout)


def stepper_for(config: TrainConfig, model: ImageModel) -> Stepper:
    prepare_for_training(model, config)
    return Stepper(model, config, objective=ClassObjective(config, 3), steps_per_epoch=4, batch_size=8)


def gradients(config: TrainConfig, model: ImageModel, step: int = 0) -> dict[str, torch.Tensor]:
    stepper = stepper_for(config, model)
    stepper.run(fake_batch(), step)
    return {name: p.grad.clone() for name, p in model.named_parameters() if p.grad is not None}


def largest_relative(left: dict[str, torch.Tensor], right: dict[str, torch.Tensor]) -> float:
    assert left.keys() == right.keys()
    scale = max(value.abs().max().item() for value in left.values())
    return max((left[name] - right[name]).abs().max().item() for name in left) / scale


def test_accumulated_gradients_are_the_full_batchs() -> None:
    """With frozen batch norm the parts do not know of each other, dropout is keyed, mixing is done before the split."""
    rules = RegularisationConfig(freeze_batch_norm=True, label_smoothing=0.1)
    mixing = AugmentConfig(random_resized_crop=None, flip=False, mixup=0.4)
    whole = gradients(config_with(rules, mixing), narrow(dropout=0.5))
    parts = gradients(config_with(rules, mixing, accumulate=4), narrow(dropout=0.5))
    assert largest_relative(whole, parts) < ACCUMULATED_GRADIENT
    other = gradients(config_with(rules, mixing), narrow(dropout=0.5), step=1)  # other masks, other partners
    assert largest_relative(whole, other) > 1000 * ACCUMULATED_GRADIENT


def test_batch_norm_makes_accumulation_another_gradient() -> None:
    """Each part is normalised by its own statistics: far more than rounding."""
    whole, parts = gradients(config_with(), narrow()), gradients(config_with(accumulate=4), narrow())
    assert largest_relative(whole, parts) > 1000 * ACCUMULATED_GRADIENT


@pytest.mark.parametrize(
    ("count", "batch_size", "accumulate", "sizes"),
    [
        (10, 12, 4, [3, 3, 2, 2]),
        (8, 8, 1, [8]),
        (8, 8, 4, [2, 2, 2, 2]),
        (7, 8, 4, [3, 2, 2]),
        (5, 8, 4, [3, 2]),
        (1, 8, 4, [1]),
        (3, 8, 8, [1, 1, 1]),
    ],
)
def test_the_parts_of_a_batch(count: int, batch_size: int, accumulate: int, sizes: list[int]) -> None:
    assert part_sizes(count, replace(config_with(), batch_size=batch_size, accumulate=accumulate)) == sizes


def test_unequal_parts_count_by_their_pictures() -> None:
    rules = RegularisationConfig(freeze_batch_norm=True)
    found = []
    for accumulate in (1, 4):
        model = narrow()
        config = replace(config_with(rules), batch_size=12, accumulate=accumulate)
        outcome = stepper_for(config, model).run(fake_batch(10), 0)
        found.append({name: p.grad.clone() for name, p in model.named_parameters() if p.grad is not None})
        assert outcome.count == 10
    assert largest_relative(*found) < ACCUMULATED_GRADIENT


def test_gradient_checkpointing_changes_nothing() -> None:
    plain, saving = narrow(dropout=0.5), narrow(dropout=0.5)
    left = gradients(config_with(), plain)
    right = gradients(config_with(gradient_checkpointing=True), saving)
    assert all(torch.equal(left[name], right[name]) for name in left)
    assert all(torch.equal(a, b) for a, b in zip(plain.buffers(), saving.buffers(), strict=True))


def test_bf16_stays_near_fp32_and_keeps_fp32_weights() -> None:
    losses = []
    for precision in ("fp32", "bf16"):
        model = narrow()
        outcome = stepper_for(config_with(precision=precision), model).run(fake_batch(), 0)
        losses.append(outcome.loss)
        assert {p.dtype for p in model.parameters()} == {torch.float32}
    assert losses[0] != losses[1], "bf16 was not used"
    assert abs(losses[0] - losses[1]) < BF16_LOSS


def test_the_gradient_is_clipped_by_its_global_norm() -> None:
    free = gradients(config_with(), narrow())
    norm = sum(float(value.double().pow(2).sum()) for value in free.values()) ** 0.5
    limit = norm / 7
    clipped = gradients(config_with(RegularisationConfig(clip_norm=limit)), narrow())
    after = sum(float(value.double().pow(2).sum()) for value in clipped.values()) ** 0.5
    assert after == pytest.approx(limit, rel=1e-4)
    wide = gradients(config_with(RegularisationConfig(clip_norm=10 * norm)), narrow())
    assert all(torch.equal(free[name], wide[name]) for name in free)


@pytest.mark.parametrize("frozen", [True, False])
def test_frozen_batch_norm_keeps_its_statistics(frozen: bool) -> None:
    model = narrow()
    before = [buffer.clone() for buffer in model.buffers()]
    stepper_for(config_with(RegularisationConfig(freeze_batch_norm=frozen)), model).run(fake_batch(), 0)
    same = all(torch.equal(old, new) for old, new in zip(before, model.buffers(), strict=True))
    assert same == frozen


def test_the_recipes_batch_norm_momentum_is_set() -> None:
    model = narrow()
    prepare_for_training(model, config_with(RegularisationConfig(batch_norm_momentum=0.25)))
    assert {module.momentum for module in model.modules() if isinstance(module, nn.BatchNorm2d)} == {0.25}


def test_layout_and_average() -> None:
    model = narrow()
    stepper = stepper_for(config_with(RegularisationConfig(ema_decay=0.9)), model)
    stepper.run(fake_batch(), 0)
    assert model.get_parameter("block1.conv1.conv.weight").is_contiguous(memory_format=torch.channels_last)
    assert stepper.average is not None
    assert stepper.average.updates == 1


def test_an_auxiliary_head_learns_with_its_weight() -> None:
    def run(weight: float) -> tuple[float, ImageModel]:
        torch.manual_seed(0)
        model = build_model("inception_v3", 3, aux_head=True, dropout=0.0)
        config = config_with(RegularisationConfig(auxiliary_weight=weight))
        return stepper_for(config, model).run(fake_batch(2, side=75), 0).loss, model

    without, idle = run(0.0)
    with_it, _ = run(0.5)
    assert with_it > without + 0.1
    assert idle.aux_head is not None
    assert all(not p.grad.any() for p in idle.aux_head.parameters() if p.grad is not None)


def test_what_is_not_finite_stops_before_the_update(tmp_path: Path) -> None:
    model = narrow()
    with torch.no_grad():
        model.get_classifier().weight.fill_(float("inf"))
    before = {name: value.clone() for name, value in model.named_parameters()}
    with pytest.raises(DivergedError, match=r"The loss is not finite\. Got: nan"):
        stepper_for(config_with(), model).run(fake_batch(), 0)
    assert all(torch.equal(before[name], value) for name, value in model.named_parameters())
    # A loss that is finite and a gradient that is not: found before the weights are spoilt.
    model = narrow()
    model.get_classifier().weight.register_hook(lambda gradient: gradient * float("inf"))
    with pytest.raises(DivergedError, match="The gradient is not finite"):
        stepper_for(config_with(), model).run(fake_batch(), 0)
    assert all(value.isfinite().all() for value in model.parameters())
