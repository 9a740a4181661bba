"""Classes made on the spot, so that a module whose class is exchanged stays an instance of the class it had."""

import functools
from collections.abc import Callable
from typing import Any

from torch import nn

from separable.errors import UsageError

__all__ = ["variant"]

_made: dict[tuple[type[nn.Module], type[nn.Module]], type[nn.Module]] = {}


def variant(base: type[nn.Module], plain: type[nn.Module]) -> type[nn.Module]:
    """A subclass of both, in which `base` comes first.

    It has the name and module of `plain`, by which torch.fx tells what it need not look into, and knows it as
    `swap_plain`. Instances can be copied and pickled.
    """
    if (base, plain) not in _made:
        methods = {
            "swap_plain": plain,
            "swap_base": base,
            "__module__": plain.__module__,
            "forward": _with_signature(base, plain),
            "__reduce_ex__": _reduce,
            "__prepare_scriptable__": _refuse_script,
        }
        _made[base, plain] = type(plain.__name__, (base,) if issubclass(base, plain) else (base, plain), methods)
    return _made[base, plain]


def _with_signature(base: type[nn.Module], plain: type[nn.Module]) -> Callable[..., Any]:
    """The forward of `base`, with the signature of `plain`'s, which torch.fx and others ask for."""

    @functools.wraps(plain.forward)
    def forward(self: nn.Module, *inputs: Any, **options: Any) -> Any:
        return base.forward(self, *inputs, **options)

    return forward


def _refuse_script(module: nn.Module) -> nn.Module:
    raise UsageError(
        "An accelerated model cannot be scripted",
        got=type(module).__name__,
        fix='Script the model that accelerate(model, implementation="reference") gives back',
    )


def _reduce(module: Any, protocol: Any) -> Any:
    """The class is nowhere to be found, so it is pickled by what it was made of."""
    return _made_again, (module.swap_base, module.swap_plain), module.__dict__


def _made_again(base: type[nn.Module], plain: type[nn.Module]) -> nn.Module:
    kind = variant(base, plain)
    return kind.__new__(kind)
