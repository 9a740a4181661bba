"""Exchanging the classes of modules, and exchanging them back."""

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

from torch import nn
from torch.nn.utils.parametrize import is_parametrized

from separable.blocks.accelerate.driving import Driving
from separable.blocks.accelerate.fused import FastConvNorm, FastNorm, Following
from separable.blocks.accelerate.groups import Group, find_groups, is_norm
from separable.blocks.accelerate.layers import FastChain, FastDepthwiseBN, FastDepthwiseConv2d, FastSeparableConv2d
from separable.blocks.accelerate.plans import plan_chain, planner_of
from separable.blocks.accelerate.report import Left
from separable.blocks.accelerate.rising import FastRise
from separable.blocks.accelerate.swapped import Choice, Clock, Swapped, SwapState, swapped_modules
from separable.blocks.accelerate.variants import variant
from separable.blocks.mobilenet import DepthwiseBN
from separable.blocks.separable import SeparableConv2d
from separable.blocks.unet import XceptionUp

__all__ = ["put_back", "swap_all"]

_CHAIN = "batch norm, ReLU and separable convolutions fused"
_DEPTHWISE = "depthwise convolution"
_PAIR = "depthwise and pointwise convolution"
_NORM = "batch norm and activation"
_RISE = "steps of a U-Net fused, their maps handed on small"

Found = tuple[type[Swapped] | None, str, str]
"""Class, what it is, why it cannot be."""


def swap_all(
    model: nn.Module, unseen: str, choices: Mapping[str, Mapping[str, str]] | None, clock: Clock
) -> list[Left]:
    """Exchange every module that the kernels can stand in for; with `choices`, those it names and no others.

    Returns:
        The modules that look as if they could be, and why they were left.
    """
    left = []
    chains: list[str] = []
    groups = {_join(group.parent, group.head): group for group in find_groups(model)}
    handled: set[int] = set()  # what a module that is exchanged does along with its own work
    fresh = SwapState(nn.Module, "", unseen, clock=clock)  # type: ignore[arg-type]
    for name, module in list(model.named_modules()):
        found = None if isinstance(module, Swapped) or id(module) in handled else _match(module, name in groups)
        handled |= {id(part) for part in _done_along(module)}
        if found is None or (choices is not None and name not in choices):
            continue
        target, what, why = found
        what += ", where its block is not fused" if any(name.startswith(chain) for chain in chains) else ""
        if why or "forward" in vars(module):
            left.append(Left(name, what, why or "its forward was replaced"))
            continue
        assert target is not None
        if target is FastChain:
            chains.append(f"{name}." if name else "")
        chosen: dict[str, Choice] = {} if choices is None else dict(choices[name])  # type: ignore[arg-type]
        state = replace(fresh, plain=type(module), what=what, choices=chosen, seconds={}, shapes={})
        if target is FastRise:
            chains += [f"{_join(groups[name].parent, part)}." for part in (groups[name].head, *groups[name].followers)]
        if name in groups:
            handled |= _tie(model, groups[name], state)
        module.swap_state = state
        module.__class__ = variant(target, state.plain)
    return left


def put_back(model: nn.Module, names: set[str] | None = None) -> None:
    """Give the swapped modules of `model`, or those `names` of them, the classes they were born with."""
    for name, module in swapped_modules(model).items():
        if names is None or name in names:
            state = module.swap_state
            del module.swap_state
            module.__class__ = state.plain  # type: ignore[assignment]
            for follower in state.followers:
                assert isinstance(follower, Following)
                follower.__class__ = follower.swap_plain  # type: ignore[assignment]
                del follower.swap_state
    for parent in list(model.modules()):
        if isinstance(parent, Driving):
            heads = tuple(head for head in parent.swap_heads if isinstance(parent._modules.get(head), Swapped))
            parent.swap_heads = heads
            if not heads:
                del parent.swap_heads
                parent.__class__ = parent.swap_plain  # type: ignore[assignment]


def _tie(model: nn.Module, group: Group, state: SwapState) -> set[int]:
    """Let those that follow a head hand on what it computes, and their parent say when; who they are."""
    parent: Any = model.get_submodule(group.parent)
    state.following = group.followers
    state.followers = tuple(parent.get_submodule(name) for name in group.followers)
    follower: Any
    for follower in state.followers:
        follower.swap_state = state
        follower.__class__ = variant(Following, type(follower))
    if not isinstance(parent, Driving):
        parent.swap_heads = ()
        parent.__class__ = variant(Driving, type(parent))
    parent.swap_heads = (*parent.swap_heads, group.head)
    return {id(follower) for follower in state.followers}


def _join(parent: str, child: str) -> str:
    return f"{parent}.{child}" if parent else child


def _done_along(module: nn.Module) -> tuple[nn.Module, ...]:
    """The parts whose weights alone are used, by a module of ours that is handled itself."""
    if isinstance(module, SeparableConv2d):
        return (module.depthwise, module.pointwise) if module.bn is None else tuple(module.children())
    return tuple(module.children()) if isinstance(module, DepthwiseBN) else ()


def _match(module: nn.Module, leads: bool) -> Found | None:
    """None for a module that has nothing to do with this; `leads` says that norm or activation follow it."""
    kind = type(module)
    if planner_of(kind) is not None:
        chain = plan_chain(module, kind)
        return (None, _CHAIN, chain) if isinstance(chain, str) else (FastChain, _CHAIN, "")
    if leads and kind is XceptionUp:
        return FastRise, _RISE, ""
    if isinstance(module, SeparableConv2d):
        return FastSeparableConv2d, _PAIR, _own_obstacle(module, SeparableConv2d, module.depthwise)
    if isinstance(module, DepthwiseBN):
        return FastDepthwiseBN, _DEPTHWISE, _own_obstacle(module, DepthwiseBN, module.conv)
    if is_norm(module):
        return FastNorm, _NORM, ""
    if not isinstance(module, nn.Conv2d):
        return None
    depthwise = module.groups > 1 and module.groups == module.in_channels
    if leads:
        return FastConvNorm, f"{_DEPTHWISE if depthwise else 'convolution'}, {_NORM}", ""
    return (FastDepthwiseConv2d, _DEPTHWISE, _obstacle(module)) if depthwise else None


def _own_obstacle(module: nn.Module, kind: type, conv: nn.Conv2d) -> str:
    if type(module) is not kind:
        return f"{type(module).__name__} is a class of its own, whose forward may be another"
    if isinstance(module, SeparableConv2d) and module.implementation != "auto":
        return f"implementation={module.implementation!r} was asked for"
    return _obstacle(conv)


def _obstacle(conv: nn.Conv2d) -> str:
    if is_parametrized(conv):
        return "its weight is parametrised"
    if type(conv) is not nn.Conv2d:
        return f"{type(conv).__name__} is a class of its own, whose forward may be another"
    if conv.out_channels != conv.in_channels:
        return "more than one filter for each channel"
    return "" if conv.padding_mode == "zeros" else f"padding_mode={conv.padding_mode!r}"
