"""`separable.accelerate`: the fast operators in anybody's model."""

from separable.blocks.accelerate.entry import Accelerated, accelerate, choices_of
from separable.blocks.accelerate.report import AccelerationReport, Change, Choices, Left

__all__ = ["Accelerated", "AccelerationReport", "Change", "Choices", "Left", "accelerate", "choices_of"]
