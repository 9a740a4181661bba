"""`views.overlay` of a picture that comes in strips."""

from collections.abc import Callable, Sequence
from typing import final

import numpy as np
from numpy.typing import NDArray

from separable.segmentation.labels import Mask
from separable.segmentation.views import overlay

__all__ = ["OverlayStrips"]


@final
class OverlayStrips:
    """Takes strips from the top, and hands on what `overlay` of the whole would hold there.

    A pixel lies on an outline by the rows above and below it: so a strip is held until the next one is there.

    Args:
        write: takes the next strip (rows, width, 3).
        colours, background: as of `overlay`.
    """

    def __init__(
        self,
        write: Callable[[NDArray[np.uint8]], None],
        colours: Sequence[tuple[int, int, int]],
        background: int | None,
    ) -> None:
        self._write, self._colours, self._background = write, colours, background
        self._held: tuple[NDArray[np.uint8], Mask] | None = None
        self._above: Mask | None = None

    def add(self, pixels: NDArray[np.uint8], mask: Mask) -> None:
        """The next strip's picture (rows, width, 3) and mask (rows, width)."""
        if len(mask):
            self._flush(mask[:1])
            self._held = pixels, mask

    def finish(self) -> None:
        """There is no further strip."""
        self._flush(None)

    def _flush(self, below: Mask | None) -> None:
        if self._held is None:
            return
        pixels, mask = self._held
        above = 0 if self._above is None else 1
        parts = [part for part in (self._above, mask, below) if part is not None]
        framed = np.pad(pixels, ((above, 0 if below is None else 1), (0, 0), (0, 0)))
        shown = overlay(framed, np.concatenate(parts), self._colours, background=self._background)
        self._write(shown[above : above + len(mask)])
        self._above, self._held = mask[-1:].copy(), None
