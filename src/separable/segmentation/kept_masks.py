"""Which masks of an evaluation are kept to be looked at: the worst, and some drawn by lot; packed, so that few bytes
are held however many pictures there are.
"""

import bisect
import math
import zlib
from dataclasses import dataclass

import numpy as np

from separable.analysis.drawing_lots import draw_by_name
from separable.segmentation.labels import Mask

__all__ = ["KeptMasks", "MaskPair"]

_WORST, _DRAWN = 24, 12


@dataclass(frozen=True)
class MaskPair:
    """Truth and prediction of one picture, packed."""

    shape: tuple[int, int]
    packed: tuple[bytes, bytes]

    @classmethod
    def pack(cls, truth: Mask, predicted: Mask) -> "MaskPair":
        """Of two masks (height, width)."""
        first, second = (
            zlib.compress(np.ascontiguousarray(mask, np.int16).tobytes(), 1) for mask in (truth, predicted)
        )
        return cls((truth.shape[0], truth.shape[1]), (first, second))

    def truth(self) -> Mask:
        """(height, width)."""
        return self._unpack(0)

    def predicted(self) -> Mask:
        """(height, width)."""
        return self._unpack(1)

    def _unpack(self, side: int) -> Mask:
        return np.frombuffer(zlib.decompress(self.packed[side]), np.int16).reshape(self.shape)


class KeptMasks:
    """Pictures are offered one by one; at any time those are held that would be kept if no more came."""

    def __init__(self) -> None:
        self.pairs: dict[int, MaskPair] = {}
        self._worst: list[tuple[float, float, int]] = []
        self._drawn: list[tuple[str, int]] = []

    def offer(self, sample: int, path: str, score: tuple[float, float], truth: Mask, predicted: Mask) -> None:
        """`score`: (mean IoU, pixel accuracy); a picture where they are NaN can be drawn, and is never the worst."""
        if not math.isnan(score[0]):
            bisect.insort(self._worst, (*score, sample))
            del self._worst[_WORST:]
        self._drawn.append((path, sample))
        self._drawn = [self._drawn[index] for index in draw_by_name([name for name, _ in self._drawn], _DRAWN)]
        kept = {entry[2] for entry in self._worst} | {entry[1] for entry in self._drawn}
        if sample in kept:
            self.pairs[sample] = MaskPair.pack(truth, predicted)
        for gone in self.pairs.keys() - kept:
            del self.pairs[gone]
