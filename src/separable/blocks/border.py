"""Where a layer puts the border that it adds: the one thing in which ports of one network silently differ."""

from abc import ABC, abstractmethod

__all__ = ["BORDERS", "Bordered", "symmetric_padding"]

BORDERS = ("tf_same", "keras_mobilenet", "symmetric", "caffe")
"""
- "tf_same": TensorFlow's 'same'. Output ceil(side / stride), the odd pixel last.
- "keras_mobilenet": as "tf_same", but strided depthwise layers pad below and to the right on odd sides too.
- "symmetric": torch's ports. (kernel - 1) // 2 on both sides, whatever the stride.
- "caffe": convolutions symmetric, strided pools unpadded with the output side rounded up.
"""


class Bordered(ABC):
    """A layer that can follow each of `BORDERS`."""

    @abstractmethod
    def set_border(self, border: str) -> None:
        """Follow `border`, one of `BORDERS`, from now on."""


def symmetric_padding(kernel: int, dilation: int = 1) -> int:
    """Pixels on either side that keep the side at stride 1, for an odd kernel."""
    return dilation * (kernel - 1) // 2
