"""What the verbs that look into anybody's network have in common: building it, its input, and failing politely."""

import inspect
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

from separable.cli.options import key_values, picture_size
from separable.cli.output import human_bytes
from separable.errors import SeparableError, UsageError

if TYPE_CHECKING:
    from torch import nn

    from separable.runtime.locate import Located

__all__ = ["changed_options", "input_of", "load_network", "running", "titled"]


def load_network(located: "Located", option: list[str] | None, *, values: bool) -> "nn.Module":
    """The network, unwrapped from nn.DataParallel.

    Args:
        option: what --option was given.
        values: it is to be run. Otherwise one of the catalogue is built without weights, whatever its size.

    Raises:
        UsageError: one of the catalogue with more weights than this machine has memory. What `load_located` raises.
    """
    import torch

    from separable.analysis.demands import without_replicas
    from separable.runtime.load import load_located

    options = key_values(option, "--option")
    if located.kind == "catalogue":
        with torch.device("meta"):
            bare = load_located(located, options, published=False)
        if not values:
            return bare
        _demand_memory(bare)
    return without_replicas(load_located(located, options, published=False))


def _demand_memory(bare: "nn.Module") -> None:
    from separable.machine.processor import read_processor

    needed, there = sum(value.nbytes for value in bare.parameters()), read_processor().memory_bytes
    if there and needed > there:
        raise UsageError(
            "The network's weights do not fit into memory",
            got=human_bytes(needed),
            expected=f"less than {human_bytes(there)}",
            fix="Take a smaller one; `separable profile` without --measure only counts, at any size",
        )


def input_of(
    network: "nn.Module", size: str | None, batch: int, given: str | None, default: tuple[int, int] | None = None
) -> tuple[int, ...]:
    """The input shape that --size and --batch, or --input, say; else the network's own.

    Raises:
        UsageError: nobody says it, or what is given is no such shape.
    """
    own = _own_size(network)
    if given is None:
        sides = picture_size(size) or own or default
        if sides is None:
            raise UsageError(
                "This network does not say what size its pictures have",
                fix="Give --size, such as --size 224, or --input, such as --input 1x3x224x224",
            )
        return (batch, _channels(network), *sides)
    if size is not None or batch != 1:
        raise UsageError("--input already says what --size and --batch say", fix="Give the one or the others")
    shape = _numbers(given)
    if len(shape) != 4 and (own is not None or len(shape) < 2):
        raise UsageError(
            "--input takes four numbers: pictures, channels, height and width",
            got=given,
            expected="such as 1x3x224x224",
        )
    return shape


def changed_options(network: "nn.Module") -> dict[str, Any]:
    """The options of one of our networks that are not as its constructor has them."""
    options = getattr(network, "options", None)
    if not isinstance(options, dict) or not isinstance(getattr(network, "name", None), str):
        return {}
    usual = inspect.signature(type(network)).parameters
    named = {"num_classes": getattr(network, "num_classes", None), **options}
    return {name: value for name, value in named.items() if name in usual and value != usual[name].default}


def titled(name: str, network: "nn.Module") -> str:
    """ "mobilenet_v1 (width=0.25)": the name with the options that are not the usual ones."""
    changed = changed_options(network)
    return (
        f"{name} ({', '.join(f'{option}={_plain(value)}' for option, value in changed.items())})" if changed else name
    )


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
        from separable.analysis.demands import cannot_run

        raise cannot_run(error, shape) from error


def _own_size(network: "nn.Module") -> tuple[int, int] | None:
    """Height and width of the pictures that the network says it is for; None if it says nothing."""
    contract = getattr(network, "input_contract", None)
    if contract is None:
        return None
    height, width = contract.size
    return height, width


def _channels(network: "nn.Module") -> int:
    options = getattr(network, "options", None)
    return int(options.get("in_channels", 3)) if isinstance(options, dict) else 3


def _numbers(text: str) -> tuple[int, ...]:
    """ "2x3x224x224" -> (2, 3, 224, 224)."""
    sides = text.lower().split("x")
    if not all(side.isdecimal() and int(side) > 0 for side in sides):
        raise UsageError("An input shape is numbers with x between them", got=text, expected="such as 1x3x224x224")
    return tuple(int(side) for side in sides)


def _plain(value: object) -> str:
    return str(value).lower() if isinstance(value, bool) else str(value)
