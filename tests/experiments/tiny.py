"""An experiment of seconds: two networks of a few thousand parameters on a few dozen pictures."""

from dataclasses import replace
from pathlib import Path
from typing import Any

from separable.experiments.results import Result, read_result
from separable.experiments.schema import Arm, Claim, Experiment, Setup

__all__ = ["LONGER", "SETUP", "result_in", "table_of", "tiny"]

_OPTIONS = {
    "mobilenet_v1": {"width": 0.0625, "dropout": 0.0},
    "xception": {"width": 0.03, "middle_blocks": 0, "stem_stride": 1},
}
SETUP = Setup(
    data="digits",
    recipe="small",
    epochs=2,
    batch_size=8,
    image_size=32,
    seeds=(0, 1),
    changes={"augment.random_resized_crop": None, "augment.flip": False},
    options=_OPTIONS,
    pictures=(24, 16),
)

LONGER = replace(SETUP, epochs=32, learning_rates=(0.1, 1.0))
"""Long enough to be killed in the middle, and tuned."""


def tiny(name: str = "tiny/table1", setup: Setup = SETUP, **changes: Any) -> Experiment:
    """Two arms, a claim."""
    given: dict[str, Any] = {
        "title": "A tiny table",
        "source": "nobody, 2026, table 1",
        "says": "That one is better.",
        "arms": (
            Arm("Narrow MobileNet", "mobilenet_v1", published={"top1": 0.7}),
            Arm("Narrow Xception", "xception", published={"top1": 0.79}),
        ),
        "measures": ("top1", "early_top1", "parameters"),
        "setups": {"smoke": setup},
        "claims": (Claim("Xception is better", "top1", "Narrow Xception", "above", "Narrow MobileNet"),),
    }
    return Experiment(name, **(given | changes))


def result_in(home: Path, name: str = "tiny/table1", scale: str = "smoke") -> Result:
    """What stands there."""
    found = read_result(home / name / scale / "result.json")
    assert found is not None
    return found


def table_of(result: Result) -> Result:
    """All that has to be the same however often it was killed."""
    arms = tuple(
        replace(arm, seeds=tuple(replace(seed, seconds=0.0) for seed in arm.seeds), timing={}) for arm in result.arms
    )
    return replace(result, arms=arms, date="", seconds=0.0)
