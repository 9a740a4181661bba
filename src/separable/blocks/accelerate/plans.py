"""Which modules are chains of fused units: read from the module each time, so that a part exchanged later counts.

A planner gives the `Chain`, or a sentence why there is none.
"""

from collections.abc import Callable, Iterator
from itertools import pairwise

from torch import nn

from separable.blocks.accelerate.chain import Chain, Pool, Shortcut, Unit
from separable.blocks.accelerate.swapped import born_as
from separable.blocks.conv import ConvBN
from separable.blocks.pool import MaxPool
from separable.blocks.separable import SeparableConv2d
from separable.blocks.spectrum import SpectrumConv2d
from separable.blocks.xception import XceptionDown, XceptionMiddle, XceptionTail

__all__ = ["plan_chain", "planner_of"]

Planner = Callable[[nn.Module], Chain | str]


class _Unfit(Exception):
    """Why a part is not what the kernels compute."""


def planner_of(kind: type[nn.Module]) -> Planner | None:
    """How modules of exactly this class are read; None for a class that is no chain."""
    if kind in _PLANNERS:
        return _PLANNERS[kind]
    return _timm_block if _is_timm(kind, "Block") else None


def plan_chain(module: nn.Module, kind: type[nn.Module]) -> Chain | str:
    """The chain that `module`, by birth of class `kind`, is now; or why it is none."""
    planner = planner_of(kind)
    if planner is None:
        return f"{kind.__name__} is no chain that is known"
    try:
        return planner(module)
    except _Unfit as unfit:
        return str(unfit)


def _middle(block: nn.Module) -> Chain:
    acts, convolutions = (block.act1, block.act2, block.act3), (block.sepconv1, block.sepconv2, block.sepconv3)
    units = tuple(_own_unit(_relu(act), conv) for act, conv in zip(acts, convolutions, strict=True))
    return Chain(units, shortcut=bool(block.residual))


def _down(block: nn.Module) -> Chain:
    pool = block.pool
    if type(pool) is not MaxPool or pool.padding != "same" or pool.border == "caffe":
        raise _Unfit("its pool is dilated, or rounds up")
    leading = born_as(block.act1) is not nn.Identity and _relu(block.act1)
    units = (_own_unit(leading, block.sepconv1), _own_unit(_relu(block.act2), block.sepconv2))
    padding: int | str = (pool.kernel - 1) // 2 if pool.border == "symmetric" else "same"
    shortcut = False if block.shortcut is None else _own_shortcut(block.shortcut)
    return Chain(units, Pool(pool.kernel, pool.stride, padding), shortcut)


def _tail(block: nn.Module) -> Chain:
    units = (_own_unit(False, block.sepconv1), _own_unit(_relu(block.act1), block.sepconv2))
    return Chain(units, relu_after=_relu(block.act2))


def _own_unit(relu: bool, conv: object) -> Unit:
    if isinstance(conv, SpectrumConv2d):
        raise _Unfit("its segments, or their order")
    if not isinstance(conv, SeparableConv2d) or conv.act is not None or conv.intermediate_bn is not None:
        raise _Unfit("something stands between depthwise and pointwise")
    if conv.implementation != "auto":
        raise _Unfit(f"implementation={conv.implementation!r} was asked for")
    size = conv.depthwise.kernel_size[0]
    if conv.stride != 1 or conv.dilation != 1 or conv.padding not in ("same", size // 2):
        raise _Unfit("a stride or a dilation")
    return _unit(relu, conv.depthwise, conv.pointwise, conv.bn, (size // 2, size // 2))  # its own padding stays 0


def _own_shortcut(conv: object) -> Shortcut:
    if not isinstance(conv, ConvBN) or born_as(conv) is not ConvBN or born_as(conv.act) is not nn.Identity:
        raise _Unfit("its shortcut is another one")
    return _shortcut(conv.conv, None if born_as(conv.bn) is nn.Identity else conv.bn, conv.sampling)


def _timm_block(block: nn.Module) -> Chain:
    layers, units, pool = list(_children(block.rep)), [], None
    if born_as(layers[0]) is nn.ReLU and layers[0].inplace:
        raise _Unfit("its first ReLU changes what the shortcut reads")
    if isinstance(layers[-1], nn.MaxPool2d):
        pool = _timm_pool(layers[-1])
        del layers[-1]
    relu = False
    for layer, following in pairwise([*layers, None]):
        if born_as(layer) is nn.ReLU:
            relu = True
        elif born_as(layer) is nn.BatchNorm2d:
            continue  # taken in by the convolution before it
        else:
            units.append(_timm_unit(relu, layer, following))
            relu = False
    if relu or not units:
        raise _Unfit("its layers stand in another order")
    skip = block._modules.get("skip")
    if skip is not None:
        return Chain(tuple(units), pool, _shortcut(skip, block.skipbn, 1))
    if pool is not None:
        raise _Unfit("its layers stand in another order")
    return Chain(tuple(units), shortcut=True)


def _timm_unit(relu: bool, conv: nn.Module | None, bn: nn.Module | None) -> Unit:
    if not _is_timm(type(conv), "SeparableConv2d") or not isinstance(conv.conv1, nn.Conv2d):  # type: ignore[union-attr]
        raise _Unfit("its layers stand in another order")
    return _unit(relu, conv.conv1, conv.pointwise, bn, conv.conv1.padding)  # type: ignore[union-attr]


def _is_timm(kind: type, name: str) -> bool:
    """timm is optional and is not imported for this. Of its classes, and no others of these names, forward is known."""
    return (kind.__module__, kind.__qualname__) == ("timm.models.xception", name)


def _children(sequence: object) -> Iterator[nn.Module]:
    if not isinstance(sequence, nn.Sequential) or born_as(sequence) is not nn.Sequential or len(sequence) == 0:
        raise _Unfit("its layers stand in another order")
    return iter(sequence)


def _timm_pool(pool: nn.MaxPool2d) -> Pool:
    kernel, stride, padding = pool.kernel_size, pool.stride, pool.padding
    simple = isinstance(kernel, int) and isinstance(stride, int) and isinstance(padding, int)
    if not simple or pool.ceil_mode or pool.dilation != 1 or pool.return_indices:
        raise _Unfit("its pool is another one")
    return Pool(int(kernel), int(stride), int(padding))  # type: ignore[arg-type] # integers, as just seen


def _unit(relu: bool, depthwise: object, pointwise: object, bn: object, padding: object) -> Unit:
    if not _is_conv(depthwise) or not _is_conv(pointwise) or born_as(bn) is not nn.BatchNorm2d:
        raise _Unfit("a convolution or batch normalisation of another class")
    assert isinstance(depthwise, nn.Conv2d)
    assert isinstance(pointwise, nn.Conv2d)
    assert isinstance(bn, nn.BatchNorm2d)
    size = depthwise.kernel_size[0]
    alone = depthwise.groups == depthwise.in_channels == depthwise.out_channels and depthwise.padding_mode == "zeros"
    dense = depthwise.stride == (1, 1) and depthwise.dilation == (1, 1)
    if (
        size % 2 == 0
        or not alone
        or not dense
        or depthwise.kernel_size != (size, size)
        or padding != (size // 2, size // 2)
    ):
        raise _Unfit("a stride, a padding or a depth multiplier")
    whole = pointwise.kernel_size == (1, 1) and pointwise.stride == (1, 1) and pointwise.groups == 1
    if not whole or pointwise.padding != (0, 0) or depthwise.bias is not None:
        raise _Unfit("a bias of the depthwise convolution, or a pointwise one that is none")
    return Unit(relu, depthwise, pointwise, bn)


def _shortcut(conv: object, bn: object, sampling: int) -> Shortcut:
    if not _is_conv(conv) or (bn is not None and born_as(bn) is not nn.BatchNorm2d):
        raise _Unfit("its shortcut is another one")
    assert isinstance(conv, nn.Conv2d)
    assert bn is None or isinstance(bn, nn.BatchNorm2d)
    stride = conv.stride[0] * sampling
    simple = conv.kernel_size == (1, 1) and conv.groups == 1 and conv.stride[0] == conv.stride[1]
    if not simple or (conv.bias is not None and bn is not None) or conv.padding != (0, 0):
        raise _Unfit("its shortcut is another one")
    return Shortcut(conv, bn, stride)


def _is_conv(conv: object) -> bool:
    return born_as(conv) is nn.Conv2d


def _relu(act: object) -> bool:
    if born_as(act) is not nn.ReLU:
        raise _Unfit("an activation other than ReLU")
    return True


_PLANNERS: dict[type[nn.Module], Planner] = {XceptionDown: _down, XceptionMiddle: _middle, XceptionTail: _tail}
