"""Classes made on the spot, so that a module whose class is exchanged stays an instance of the class it had."""

from typing import Any

from torch import nn

__all__ = ["variant"]

_made: dict[tuple[type[nn.Module], type[nn.Module]], type[nn.Module]] = {}


def variant(base: type[nn.Module], plain: type[nn.Module]) -> type[nn.Module]:
    """A subclass of both, in which `base` comes first; `base` itself where it is one already.

    It has the name of `plain` and knows it as `swap_plain`. Instances can be copied and pickled.
    """
    if issubclass(base, plain):
        return base
    if (base, plain) not in _made:
        methods = {"swap_plain": plain, "swap_base": base, "__reduce_ex__": _reduce, "__module__": __name__}
        _made[base, plain] = type(plain.__name__, (base, plain), methods)
    return _made[base, plain]


def _reduce(module: Any, protocol: Any) -> Any:
    """The class is nowhere to be found, so it is pickled by what it was made of."""
    return _made_again, (module.swap_base, module.swap_plain), module.__dict__


def _made_again(base: type[nn.Module], plain: type[nn.Module]) -> nn.Module:
    kind = variant(base, plain)
    return kind.__new__(kind)
