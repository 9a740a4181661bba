"""What to say when somebody's network fails: its own words, what it was fed, and whether the size is to blame."""

import re
from collections.abc import Sequence
from typing import TYPE_CHECKING

from separable.errors import InputSizeError, UsageError

if TYPE_CHECKING:
    from torch import dtype

__all__ = ["is_about_size", "own_words", "refusal"]

_LONGEST = 300
_SIZE_WORDS = re.compile(
    r"kernel size can't be greater|output size is too small|padding size should be less|sizes of tensors must match"
    r"|mat1 and mat2 shapes|shape '.*' is invalid for input of size|divisible by the (?:patch|window)"
    r"|(?:image|input|picture) (?:size|height|width|resolution)|(?:height|width) \(?\d",
    re.IGNORECASE,
)
_BROADCAST = re.compile(r"size of tensor a \((\d+)\) must match the size of tensor b \((\d+)\)")


def own_words(error: Exception) -> str:
    """ "RuntimeError: what it said", its first lines in one, at most 300 characters."""
    said = " ".join(line.strip() for line in str(error).strip().splitlines() if line.strip())
    if len(said) > _LONGEST:
        said = f"{said[: _LONGEST - 3].rstrip()}..."
    return f"{type(error).__name__}: {said}".rstrip(": .")


def is_about_size(error: Exception, channels: int = 3) -> bool:
    """Whether the picture's height and width are to blame, as far as the words tell.

    Args:
        channels: of the picture; sides that do not match where one of them is this number are channels.
    """
    if isinstance(error, InputSizeError):
        return True
    sides = _BROADCAST.search(str(error))
    if sides:
        return channels not in (int(sides[1]), int(sides[2]))
    return _SIZE_WORDS.search(str(error)) is not None


def refusal(error: Exception, what: str, shape: Sequence[int], kind: "dtype", *, fix_size: str) -> UsageError:
    """The message for a network that raised `error` when it was fed an input of `shape` and `kind`.

    Args:
        what: the first sentence.
        fix_size: what to do where the size is to blame; elsewhere only the author of the network can know.
    """
    fed = f"{'x'.join(map(str, shape))} of {str(kind).removeprefix('torch.')}"
    about_size = is_about_size(error, shape[1] if len(shape) > 1 else 0)
    return UsageError(
        what,
        got=f"{own_words(error)} (fed {fed})",
        expected=None if about_size else "a network whose forward takes such an input, (N, C, H, W)",
        fix=fix_size if about_size else None,
    )
