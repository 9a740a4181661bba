"""An experiment of seconds: two networks of a few thousand parameters on a few dozen pictures."""

from typing import Any

from separable.experiments.schema import Arm, Claim, Experiment, Setup

__all__ = ["SETUP", "tiny"]

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
