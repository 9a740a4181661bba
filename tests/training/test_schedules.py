import math

import pytest

from separable.training.config import ScheduleConfig
from separable.training.recipes import RECIPES
from separable.training.schedules import schedule_factor


def factor(schedule: ScheduleConfig, step: int, steps_per_epoch: int = 10, batch: int = 32, total: int = 100) -> float:
    return schedule_factor(schedule, step, steps_per_epoch=steps_per_epoch, batch_size=batch, total_steps=total)


def test_imagenet_staircase() -> None:
    schedule = RECIPES["xception_imagenet"].schedule
    assert [factor(schedule, step) for step in (0, 19)] == [1.0, 1.0]
    assert [factor(schedule, step) for step in (20, 39, 40)] == [0.94, 0.94, pytest.approx(0.94**2)]


def test_mobilenets_half_epochs_with_an_odd_epoch() -> None:
    schedule = RECIPES["mobilenet"].schedule
    assert [factor(schedule, step, steps_per_epoch=7) for step in (17, 18)] == [1.0, 0.94]  # 2.5 * 7 = 17.5


def test_jft_staircase_counts_samples() -> None:
    schedule = RECIPES["xception_jft"].schedule
    step = 3_000_000 // 32
    assert factor(schedule, step - 1) == 1.0
    assert factor(schedule, step) == 0.9
    # The same pictures seen, whatever the batch.
    assert factor(schedule, 2 * step, batch=16) == factor(schedule, step, batch=32)


def test_cosine_with_warm_up() -> None:
    schedule = ScheduleConfig(kind="cosine", warm_up_epochs=1.0, final_fraction=0.1)
    rising = [factor(schedule, step) for step in range(10)]
    assert rising == pytest.approx([(step + 1) / 11 for step in range(10)])
    assert factor(schedule, 10) == 1.0
    assert factor(schedule, 55) == pytest.approx(0.1 + 0.9 / 2)
    assert factor(schedule, 99) == pytest.approx(0.1 + 0.9 * (1 + math.cos(math.pi * 89 / 90)) / 2)
    falling = [factor(schedule, step) for step in range(10, 100)]
    assert falling == sorted(falling, reverse=True)
    assert min(falling) > 0.1


def test_a_warm_up_longer_than_the_training_never_divides_by_zero() -> None:
    schedule = ScheduleConfig(kind="cosine", warm_up_epochs=50)
    assert 0 < factor(schedule, 99) < 1
