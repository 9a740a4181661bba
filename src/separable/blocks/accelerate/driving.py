"""Parents that tell the heads of their groups when they may do all their groups' work, and whether that was right.

A head hands out what its whole group computes; whoever follows hands it on. That is right where the followers get this
very result, one after the other, and `groups` takes none of which that is not known. Should it go wrong all the same (a
follower compiled by itself, another thread), the parent notices, computes once more without, and never tries again.
"""

import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn

from separable.blocks.accelerate.swapped import Swapped, SwapState
from separable.errors import SeparableError
from separable.ops.padding import is_tracing

__all__ = ["Driving", "handed_on", "is_driven", "note_result"]

_BROKEN = "what its block does between its parts is not known"


@dataclass
class _Group:
    """Of a parent that runs: the result that the head has handed out, and who is to get it next."""

    result: Tensor | None = None
    next: int = 0
    broken: bool = False


class _Driven(threading.local):
    """The groups whose parent is running in this thread."""

    def __init__(self) -> None:
        self.groups: dict[int, _Group] = {}


_driven = _Driven()


def is_driven(state: SwapState) -> bool:
    """Whether the parent of this group is running, so that the head may do its followers' work."""
    return id(state) in _driven.groups


def note_result(state: SwapState, y: Tensor) -> None:
    """The head hands out `y`, which its followers are to hand on."""
    group = _driven.groups[id(state)]
    group.broken |= group.result is not None  # nobody came for the one before
    group.result, group.next = y, 0


def handed_on(follower: nn.Module, state: SwapState, x: Tensor) -> bool:
    """Whether `x` is already what `follower` would make of it."""
    group = _driven.groups.get(id(state))
    if group is None or group.result is None or is_tracing():
        return False
    if group.result is not x or state.followers[group.next] is not follower:
        group.broken = True
        return False
    group.next += 1
    if group.next == len(state.followers):
        group.result = None
    return True


class Driving(nn.Module):
    """A module that runs groups: see `variants.variant`."""

    swap_plain: type[nn.Module]
    swap_heads: tuple[str, ...]

    def forward(self, *inputs: Any, **options: Any) -> Any:
        heads = self.__dict__.get("swap_heads", ())
        states = [] if is_tracing() else [state for name in heads if (state := _whole(self, name)) is not None]
        if not states:
            return self.swap_plain.forward(self, *inputs, **options)
        before = _Before(self, (*inputs, *options.values()))
        with _driving(states) as groups:
            y = self.swap_plain.forward(self, *inputs, **options)
        wrong = [state for state, group in zip(states, groups, strict=True) if group.broken or group.result is not None]
        if not wrong:
            return y
        for state in wrong:
            state.broken, state.met, state.choices = _BROKEN, _BROKEN, {}
        before.restore()
        return self.forward(*inputs, **options)


@contextmanager
def _driving(states: list[SwapState]) -> Iterator[list[_Group]]:
    """Inside, these groups' heads work for all; a parent that calls itself finds its own groups as they were."""
    groups = [_Group() for _ in states]
    keys = [id(state) for state in states]
    outer = {key: _driven.groups[key] for key in keys if key in _driven.groups}
    _driven.groups.update(zip(keys, groups, strict=True))
    try:
        yield groups
    finally:
        for key in keys:
            del _driven.groups[key]
        _driven.groups.update(outer)


class _Before:
    """What a forward changes: buffers and torch's random state, kept where the parent trains."""

    def __init__(self, parent: nn.Module, inputs: tuple[Any, ...]) -> None:
        self.parent = parent
        self.versions = [(t, t._version) for t in inputs if isinstance(t, Tensor) and not t.is_inference()]
        self.random = torch.get_rng_state() if parent.training else None
        self.buffers = [(b, b.clone()) for b in parent.buffers()] if parent.training else []

    def restore(self) -> None:
        """
        Raises:
            SeparableError: that is not possible.
        """
        training = any(module.training for module in self.parent.modules())
        if any(t._version != version for t, version in self.versions) or (training and self.random is None):
            raise SeparableError(
                f"A {type(self.parent).__name__} was accelerated, and {_BROKEN}; what it did could not be undone",
                fix="Call it again: it is computed as before from now on",
            )
        with torch.no_grad():
            for buffer, value in self.buffers:
                buffer.copy_(value)
        if self.random is not None:
            torch.set_rng_state(self.random)


def _whole(parent: nn.Module, name: str) -> SwapState | None:
    """The head's state if it and those that follow are still what and where they were, else None."""
    head = parent._modules.get(name)
    if not isinstance(head, Swapped) or head.swap_state.broken:
        return None
    if getattr(head, "over_blocks", False) and getattr(parent, "grad_checkpointing", False):
        return None  # checkpointing runs one block again, by itself
    state = head.swap_state
    same = all(parent._modules.get(n) is f for n, f in zip(state.following, state.followers, strict=True))
    return state if same else None
