"""A module that can compute the same in two ways, and keeps the faster one for each mode it is used in.

The class of an existing module is exchanged for one of these: its parameters, buffers, hooks and names stay where they
are, so the state dict does too, and whoever holds the module holds the fast one.
"""

import threading
import time
from abc import ABC, abstractmethod
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager, nullcontext
from dataclasses import dataclass, field
from typing import Literal

import torch
from torch import Tensor, nn
from torch.autograd import forward_ad
from torch.nn.modules import module as module_hooks

from separable.blocks.norm import frozen_running_statistics
from separable.ops.cpu import load_kernels
from separable.ops.padding import is_tracing

__all__ = [
    "Choice",
    "Clock",
    "SwapState",
    "Swapped",
    "born_as",
    "is_hooked",
    "is_watched",
    "lowered",
    "mixed",
    "one_pixel",
    "plain_torch",
    "swapped_modules",
    "unaltered",
]

Clock = Callable[[], float]
Choice = Literal["reference", "cpu"]

_ROUNDS = 2
_MARGIN = 0.97
"""What the fast way may take at most, of the plain one's time: a tie is no reason to change anything."""
_TIMING = threading.RLock()
"""One thread at a time: it takes the time, and holds the norms' averages. Parts of what is timed time themselves."""
_TYPES = (torch.float32, torch.bfloat16, torch.float16)


@dataclass
class SwapState:
    """What a swapped module remembers.

    `unseen` is what happens in a mode without a choice: "auto" times both ways there and then. `choices` and `seconds`
    (plain, fast) are by mode, `shapes` says for which input each was timed.
    """

    plain: type[nn.Module]
    what: str
    unseen: Literal["auto", "reference", "cpu"]
    choices: dict[str, Choice] = field(default_factory=dict)
    seconds: dict[str, tuple[float, float]] = field(default_factory=dict)
    shapes: dict[str, tuple[int, ...]] = field(default_factory=dict)
    clock: Clock = time.perf_counter
    enabled: bool = True
    met: str = "its forward was not called"
    following: tuple[str, ...] = ()
    """Names, below its parent, of the modules whose work this one does as well."""
    followers: tuple[nn.Module, ...] = ()
    """Those modules."""
    broken: str = ""
    """Why this one must not do their work after all."""


class Swapped(nn.Module, ABC):
    """Base of the modules that others become."""

    swap_state: SwapState

    @abstractmethod
    def fast(self, x: Tensor) -> Tensor:
        """The module's function by the kernels."""

    @abstractmethod
    def obstacle(self, x: Tensor) -> str | None:
        """Why the kernels cannot take `x` as the module is now, or None."""

    def plain(self, x: Tensor) -> Tensor:
        """The module's function as it was before."""
        y: Tensor = self.swap_state.plain.forward(self, x)
        return y

    def forward(self, x: Tensor) -> Tensor:
        return self.fast(x) if self.takes(x) else self.plain(x)

    def parts(self) -> tuple[nn.Module, ...]:
        """The modules whose work `plain` and `fast` do."""
        return (self,)

    def takes(self, x: Tensor) -> bool:
        """Whether the fast way is open, and chosen for a mode like this; timed now if it has to be."""
        state = self.swap_state
        if not state.enabled or is_tracing():
            return False
        obstacle = _general_obstacle(x) or self.obstacle(x)
        if obstacle is not None:
            state.met = obstacle
            return False
        return self._choice(x) == "cpu"

    def _choice(self, x: Tensor) -> str:
        state, mode = self.swap_state, _mode(self, x)
        if mode not in state.choices and state.unseen == "auto":
            with _TIMING:
                if mode not in state.choices:  # another thread may have been first
                    state.seconds[mode] = plain, fast = _time_both(self, x)
                    state.shapes[mode] = tuple(x.shape)
                    state.choices[mode] = "cpu" if fast < _MARGIN * plain else "reference"
        return state.choices.get(mode, state.unseen)

    def _get_name(self) -> str:
        return f"Fast{self.swap_state.plain.__name__}"


def swapped_modules(model: nn.Module) -> dict[str, Swapped]:
    """The swapped modules of `model` by name."""
    return {name: module for name, module in model.named_modules() if isinstance(module, Swapped)}


@contextmanager
def plain_torch(model: nn.Module) -> Iterator[None]:
    """Inside, `model` computes everything the way it did before it was accelerated."""
    states = [module.swap_state for module in swapped_modules(model).values()]
    before = [state.enabled for state in states]
    for state in states:
        state.enabled = False
    try:
        yield
    finally:
        for state, enabled in zip(states, before, strict=True):
            state.enabled = enabled


@contextmanager
def unaltered(model: nn.Module) -> Iterator[None]:
    """Inside, `model` may be run at will: its buffers and torch's random state are put back afterwards."""
    kept = [(buffer, buffer.clone()) for buffer in model.buffers()]
    try:
        with torch.random.fork_rng(devices=[]):
            yield
    finally:
        with torch.no_grad():
            for buffer, value in kept:
                buffer.copy_(value)


def born_as(module: object) -> type:
    """The class of a module before it was exchanged."""
    if isinstance(module, Swapped):
        return module.swap_state.plain
    kind: type = getattr(module, "swap_plain", type(module))
    return kind


def is_hooked(module: nn.Module) -> bool:
    """Whether somebody hooked into `module`, or into all modules, replaced its forward, or compiled it by itself."""
    if module_hooks._has_any_global_hook():
        return True
    hooks = (module._forward_hooks, module._forward_pre_hooks, module._backward_hooks, module._backward_pre_hooks)
    return any(hooks) or "forward" in vars(module) or module._compiled_call_impl is not None


def is_watched(module: nn.Module) -> bool:
    """Whether somebody hooked into a part of `module`: a fused module would never call it."""
    return any(is_hooked(part) for part in module.modules() if part is not module)


def one_pixel(x: Tensor, stride: int = 1) -> bool:
    """Whether x (N, C, H, W) has a single pixel for each channel, which torch refuses to normalise by."""
    return x.shape[0] * -(-x.shape[2] // stride) * -(-x.shape[3] // stride) < 2


def lowered() -> torch.dtype | None:
    """The type that autocast computes in, or None without autocast."""
    return torch.get_autocast_dtype("cpu") if torch.is_autocast_enabled("cpu") else None


def mixed(x: Tensor, weight: Tensor) -> str | None:
    """Why `weight` cannot be used on `x`, or None."""
    if weight.device != x.device or type(weight) is not nn.Parameter:
        return "its weight is on another device or no plain parameter"
    return "its input has another type than its weight" if lowered() is None and weight.dtype != x.dtype else None


def _general_obstacle(x: Tensor) -> str | None:
    if type(x) not in (Tensor, nn.Parameter) or torch._C._functorch.peek_interpreter_stack() is not None:
        return "torch.func transforms it, or its input is no plain tensor"
    if forward_ad._current_level >= 0:
        return "forward-mode differentiation is on"
    if x.device.type != "cpu":
        return f"its input is on {x.device.type}"
    if x.dtype not in _TYPES or x.dim() != 4 or x.numel() == 0:
        return f"its input is {str(x.dtype).removeprefix('torch.')} of shape {tuple(x.shape)}"
    if not x.is_contiguous(memory_format=torch.channels_last) and x.stride(1) != 1:  # a sampled map is copied
        return "its input is not in channels_last, where the kernels pay (channels_last=True)"
    status = load_kernels(automatic=False)
    return None if status.available else status.reason


def _parameters(module: Swapped) -> Iterator[nn.Parameter]:
    return (parameter for part in module.parts() for parameter in part.parameters())


def _all_parts(module: Swapped) -> Iterator[nn.Module]:
    return (inner for part in module.parts() for inner in part.modules())


def _mode(module: Swapped, x: Tensor) -> str:
    """Such as "train backward bfloat16": what decides about speed, shapes aside."""
    backward = torch.is_grad_enabled() and (x.requires_grad or any(p.requires_grad for p in _parameters(module)))
    dtype = torch.get_autocast_dtype("cpu") if torch.is_autocast_enabled("cpu") else x.dtype
    kind = "train" if module.training else "eval"
    return f"{kind} {'backward' if backward else 'forward'} {str(dtype).removeprefix('torch.')}"


def _time_both(module: Swapped, x: Tensor) -> tuple[float, float]:
    """Seconds of the plain and of the fast way, with backward pass where one is due: the best of several rounds."""
    clock, ways = module.swap_state.clock, (module.plain, module.fast)
    seconds: list[list[float]] = [[], []]
    held = nn.ModuleList(part for part in _all_parts(module) if part.training)  # another thread may be evaluating
    with frozen_running_statistics(held), _apart():
        for _ in range(1 + _ROUNDS):
            for spent, way in zip(seconds, ways, strict=True):
                start = clock()
                _once(way, module, x)
                spent.append(clock() - start)
    plain, fast = (min(spent[1:]) for spent in seconds)
    return plain, fast


def _once(way: Callable[[Tensor], Tensor], module: Swapped, x: Tensor) -> None:
    if not torch.is_grad_enabled():
        way(x)
        return
    leaf = x.detach().requires_grad_(x.requires_grad)
    wanted = [t for t in (leaf, *_parameters(module)) if t.requires_grad]
    y = way(leaf)
    if wanted:
        torch.autograd.grad(y, wanted, torch.ones_like(y), allow_unused=True)


@contextmanager
def _apart() -> Iterator[None]:
    """No trace is left in what goes on around: checkpointing counts saved tensors, autocast keeps cast weights."""
    autocast: AbstractContextManager[object] = nullcontext()
    if torch.is_autocast_enabled("cpu"):
        autocast = torch.autocast("cpu", torch.get_autocast_dtype("cpu"), cache_enabled=False)
    with torch.autograd.graph.saved_tensors_hooks(lambda t: t, lambda t: t), autocast:
        yield
