"""Training: configuration, recipes, the loop, checkpoints, evaluation, and the run folder they leave.

Names are imported on first use, so that reading a run folder (the report does) costs no torch.
"""

from importlib import import_module
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from separable.training.config import TrainConfig as TrainConfig
    from separable.training.loop import TrainResult as TrainResult
    from separable.training.loop import train as train
    from separable.training.recipes import RECIPES as RECIPES
    from separable.training.recipes import find_recipe as find_recipe

__all__ = ["RECIPES", "TrainConfig", "TrainResult", "find_recipe", "train"]

_HOMES = {
    "RECIPES": "separable.training.recipes",
    "TrainConfig": "separable.training.config",
    "TrainResult": "separable.training.loop",
    "find_recipe": "separable.training.recipes",
    "train": "separable.training.loop",
}


def __getattr__(name: str) -> object:
    if name in _HOMES:
        return getattr(import_module(_HOMES[name]), name)
    raise AttributeError(f"module 'separable.training' has no attribute {name!r}")
