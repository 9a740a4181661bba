"""What the verbs that run a network have in common: its size, its input shape, and what to say when it fails."""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import TYPE_CHECKING

from separable.errors import SeparableError, UsageError

if TYPE_CHECKING:
    from torch import nn

__all__ = ["input_shape", "own_size", "running"]


def own_size(network: "nn.Module") -> tuple[int, int] | None:
    """Height and width of the pictures that the network says it is for; None if it says nothing."""
    contract = getattr(network, "input_contract", None)
    if contract is None:
        return None
    height, width = contract.size
    return height, width


def input_shape(text: str) -> tuple[int, ...]:
    """ "2x3x224x224" -> (2, 3, 224, 224).

    Raises:
        UsageError: anything but positive numbers with x between them.
    """
    sides = text.lower().split("x")
    if not all(side.isdigit() and int(side) > 0 for side in sides):
        raise UsageError("An input shape is numbers with x between them", got=text, expected="such as 1x3x224x224")
    return tuple(int(side) for side in sides)


@contextmanager
def running(shape: Sequence[int]) -> Iterator[None]:
    """Round a run of somebody's network: whatever it raises becomes one message.

    Raises:
        UsageError: the network failed.
    """
    try:
        yield
    except SeparableError:
        raise
    except Exception as error:
        said = str(error).strip().splitlines()
        raise UsageError(
            f"The network cannot be run on an input of {'x'.join(map(str, shape))}",
            got=f"{type(error).__name__}: {said[0] if said else ''}".rstrip(": "),
            fix="Give it a size that it can take",
        ) from error
