"""What a check knows of one picture with its mask."""

from dataclasses import dataclass

__all__ = ["PairFacts"]


@dataclass(frozen=True)
class PairFacts:
    """What one pair is. `cause` is why it cannot be used; then nothing else is known."""

    path: str
    cause: str | None = None
    pixels: tuple[int, ...] = ()
    """Labelled pixels of each class."""
    ignored: int = 0
    turned: bool = False
    """EXIF turns or mirrors one of the two only, and their sizes cannot tell whether the mask was drawn so."""
    of_picture: bool = False
    """The cause lies in the picture."""
    ignored_values: tuple[tuple[int, int], ...] = ()
    """(stored value, pixels) of what is ignored, where masks are files."""
