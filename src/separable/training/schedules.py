"""Learning rates as pure functions of the step, so that a resume needs no scheduler state."""

import math

from separable.training.config import ScheduleConfig

__all__ = ["schedule_factor"]


def schedule_factor(
    schedule: ScheduleConfig, step: int, *, steps_per_epoch: int, batch_size: int, total_steps: int
) -> float:
    """The factor on the learning rate for the update number `step`, counted from 0.

    The papers' staircases: x0.94 every 2 epochs (1610.02357 section 4.2, ImageNet), x0.9 every 3,000,000 samples (JFT).
    Warm-up rises linearly to the full rate (1706.02677 section 2.2); the cosine (1608.03983) spans what is left.
    """
    warm_up = round(schedule.warm_up_epochs * steps_per_epoch)
    if step < warm_up:
        return (step + 1) / (warm_up + 1)
    if schedule.kind == "staircase":
        return float(schedule.factor ** _stairs(schedule, step, steps_per_epoch, batch_size))
    if schedule.kind == "cosine":
        # The last step still moves: the cosine reaches its floor one step after it.
        progress = (step - warm_up) / max(total_steps - warm_up, 1)
        cosine = (1 + math.cos(math.pi * min(progress, 1.0))) / 2
        return schedule.final_fraction + (1 - schedule.final_fraction) * cosine
    return 1.0


def _stairs(schedule: ScheduleConfig, step: int, steps_per_epoch: int, batch_size: int) -> int:
    if schedule.every_samples is not None:
        return step * batch_size // schedule.every_samples
    assert schedule.every_epochs is not None
    return int(step / (schedule.every_epochs * steps_per_epoch))
