"""Exchanging the classes of modules, and exchanging them back."""

from collections.abc import Mapping

from torch import nn
from torch.nn.utils.parametrize import is_parametrized

from separable.blocks.accelerate.layers import FastChain, FastDepthwiseBN, FastDepthwiseConv2d, FastSeparableConv2d
from separable.blocks.accelerate.plans import plan_chain, planner_of
from separable.blocks.accelerate.report import Left
from separable.blocks.accelerate.swapped import Clock, Swapped, SwapState, swapped_modules
from separable.blocks.mobilenet import DepthwiseBN
from separable.blocks.separable import SeparableConv2d

__all__ = ["put_back", "swap_all"]

_CHAIN = "batch norm, ReLU and separable convolutions fused"
_DEPTHWISE = "depthwise convolution"
_PAIR = "depthwise and pointwise convolution"


def swap_all(
    model: nn.Module, unseen: str, choices: Mapping[str, Mapping[str, str]] | None, clock: Clock
) -> list[Left]:
    """Exchange every module that the kernels can stand in for; with `choices`, those it names and no others.

    Returns:
        The modules that look as if they could be, and why they were left.
    """
    left = []
    chains: list[str] = []
    inside_own: set[int] = set()  # convolutions whose weight alone is used, by a module that is handled itself
    for name, module in list(model.named_modules()):
        if isinstance(module, Swapped) or id(module) in inside_own:
            continue
        if isinstance(module, SeparableConv2d):
            inside_own |= {id(module.depthwise), id(module.pointwise)}
        elif isinstance(module, DepthwiseBN):
            inside_own.add(id(module.conv))
        found = _match(module)
        if found is None:
            continue
        target, what, why = found
        what += ", where its block is not fused" if any(name.startswith(chain) for chain in chains) else ""
        if choices is not None and name not in choices:
            continue
        if why or "forward" in vars(module):
            left.append(Left(name, what, why or "its forward was replaced"))
            continue
        assert target is not None
        if target is FastChain:
            chains.append(f"{name}." if name else "")
        state = SwapState(type(module), what, unseen, clock=clock)  # type: ignore[arg-type]
        if choices is not None:
            state.choices = dict(choices[name])  # type: ignore[arg-type]
        module.swap_state = state
        module.__class__ = target
    return left


def put_back(model: nn.Module, names: set[str] | None = None) -> None:
    """Give the swapped modules of `model`, or those `names` of them, the classes they were born with."""
    for name, module in swapped_modules(model).items():
        if names is None or name in names:
            plain = module.swap_state.plain
            del module.swap_state
            module.__class__ = plain  # type: ignore[assignment]


def _match(module: nn.Module) -> tuple[type[Swapped] | None, str, str] | None:
    """(class, what it is, why it cannot be), or None for a module that has nothing to do with this."""
    kind = type(module)
    if planner_of(kind) is not None:
        chain = plan_chain(module, kind)
        return (None, _CHAIN, chain) if isinstance(chain, str) else (FastChain, _CHAIN, "")
    if isinstance(module, SeparableConv2d):
        return FastSeparableConv2d, _PAIR, _own_obstacle(module, SeparableConv2d, module.depthwise)
    if isinstance(module, DepthwiseBN):
        return FastDepthwiseBN, _DEPTHWISE, _own_obstacle(module, DepthwiseBN, module.conv)
    if isinstance(module, nn.Conv2d) and module.groups > 1 and module.groups == module.in_channels:
        return FastDepthwiseConv2d, _DEPTHWISE, _obstacle(module)
    return None


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
