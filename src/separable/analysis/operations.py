"""What a torch function does, in the few words that graphs and drawings need."""

from collections.abc import Callable, Mapping, Sequence
from typing import Any

from torch import Tensor

__all__ = ["classify", "settings_of"]

_ACTIVATIONS = {
    *("relu", "relu6", "elu", "selu", "celu", "gelu", "silu", "mish", "tanh", "sigmoid", "leaky_relu", "prelu"),
    *("hardswish", "hardsigmoid", "hardtanh", "softplus", "softsign", "softmax", "log_softmax", "logsigmoid", "glu"),
}
_KINDS: dict[str, tuple[str, ...]] = {
    "conv": ("conv1d", "conv2d", "conv3d", "conv_transpose1d", "conv_transpose2d", "conv_transpose3d"),
    "separable_conv": ("separable_conv2d",),
    "linear": ("linear", "bilinear"),
    "norm": ("batch_norm", "layer_norm", "group_norm", "instance_norm", "rms_norm", "local_response_norm", "normalize"),
    "activation": tuple(sorted(_ACTIVATIONS)),
    "max_pool": ("max_pool1d", "max_pool2d", "max_pool3d", "max_pool2d_with_indices"),
    "average_pool": ("avg_pool1d", "avg_pool2d", "avg_pool3d"),
    "adaptive_pool": ("adaptive_avg_pool2d", "adaptive_max_pool2d", "adaptive_avg_pool1d", "adaptive_max_pool1d"),
    "mean": ("mean",),
    "add": ("add", "sub", "addcmul"),
    "mul": ("mul", "div", "truediv"),
    "cat": ("cat", "concat", "concatenate", "stack", "hstack", "vstack"),
    "pad": ("pad", "constant_pad_nd"),
    "slice": ("getitem", "narrow", "chunk", "split", "select", "unbind", "index_select", "tensor_split"),
    "dropout": ("dropout", "dropout2d", "dropout3d", "alpha_dropout", "feature_dropout"),
    "upsample": ("interpolate", "upsample", "pixel_shuffle"),
    "attention": ("multi_head_attention_forward", "scaled_dot_product_attention", "native_multi_head_attention"),
    "matmul": ("matmul", "bmm", "mm", "einsum", "baddbmm", "addmm"),
    "view": (
        *("view", "reshape", "flatten", "unflatten", "ravel", "permute", "transpose", "t", "T", "mT", "movedim"),
        *("contiguous", "to", "type", "type_as", "float", "half", "bfloat16", "double", "clone", "detach", "squeeze"),
        *(
            "unsqueeze",
            "expand",
            "expand_as",
            "alias",
            "view_as",
            "reshape_as",
            "swapaxes",
            "swapdims",
            "requires_grad",
        ),
        *("data", "rename", "identity", "channel_shuffle", "native_channel_shuffle"),
    ),
    "not_data": (
        *("zeros_like", "ones_like", "empty_like", "full_like", "rand_like", "randn_like", "new_zeros", "new_ones"),
        *("new_empty", "new_full", "new_tensor"),
    ),
}
_BY_NAME = {name: kind for kind, names in _KINDS.items() for name in names}


def classify(function: Callable[..., Any]) -> tuple[str, str]:
    """(name, operation) of a torch function: `Tensor.__iadd__` -> ("add", "add"); ("gather", "other") if unknown.

    The operations are the keys of `_KINDS` and "other".
    """
    name = getattr(function, "__name__", "") or type(function).__name__
    if name == "__get__":  # an attribute such as `x.T`
        name = getattr(getattr(function, "__self__", None), "__name__", name)
    dunder = name.startswith("__") and name.endswith("__")
    name = name.split(".")[0].strip("_")
    if dunder and name not in _BY_NAME and name[:1] in ("i", "r"):
        name = name[1:]
    return name, _BY_NAME.get(name, "other")


def settings_of(
    name: str, operation: str, args: Sequence[Any], kwargs: Mapping[str, Any], result: Any
) -> dict[str, Any]:
    """Kernel, stride, channels and the like, for the operations that have them; pairs are (height, width).

    Reads torch's own argument order, so what it cannot find is simply not there.

    Args:
        name, operation: what `classify` says of the function.
    """
    reader = _conv_transposed if "transpose" in name and operation == "conv" else _READERS.get(operation)
    return reader(_Arguments(args, kwargs), result) if reader is not None else {}


class _Arguments:
    def __init__(self, args: Sequence[Any], kwargs: Mapping[str, Any]) -> None:
        self.args, self.kwargs = args, kwargs

    def get(self, position: int, name: str, default: Any = None) -> Any:
        return self.args[position] if len(self.args) > position else self.kwargs.get(name, default)

    def pair(self, position: int, name: str, default: Any, axes: int) -> tuple[int, ...]:
        value = self.get(position, name, default)
        values = tuple(value) if isinstance(value, tuple | list) else (value,)
        return tuple(int(side) for side in (values * axes if len(values) == 1 else values))


def _conv(given: _Arguments, result: Any, dilation_at: int = 5) -> dict[str, Any]:
    weight = given.get(1, "weight")
    axes = weight.dim() - 2
    return {
        "channels": int(result.shape[1]),
        "kernel": tuple(int(side) for side in weight.shape[2:]),
        "stride": given.pair(3, "stride", 1, axes),
        "dilation": given.pair(dilation_at, "dilation", 1, axes),
        "groups": int(given.get(6, "groups", 1)),
        "in_channels": int(given.get(0, "input").shape[1]),
    }


def _conv_transposed(given: _Arguments, result: Any) -> dict[str, Any]:
    return _conv(given, result, dilation_at=7)


def _separable(given: _Arguments, result: Any) -> dict[str, Any]:
    depthwise = given.get(1, "depthwise_weight")
    return {
        "channels": int(result.shape[1]),
        "kernel": tuple(int(side) for side in depthwise.shape[2:]),
        "stride": given.pair(4, "stride", 1, 2),
        "dilation": given.pair(6, "dilation", 1, 2),
    }


def _linear(given: _Arguments, result: Any) -> dict[str, Any]:
    return {"channels": int(result.shape[-1])}


def _pool(given: _Arguments, result: Any) -> dict[str, Any]:
    axes = max(1, given.get(0, "input").dim() - 2)
    kernel = given.pair(1, "kernel_size", 1, axes)
    stride = given.get(2, "stride")
    return {"kernel": kernel, "stride": given.pair(2, "stride", kernel, axes) if stride else kernel}


def _scalar(given: _Arguments, result: Any) -> dict[str, Any]:
    numbers = [value for value in given.args if isinstance(value, int | float)]
    return {"by": float(numbers[0])} if numbers else {}


def _slice(given: _Arguments, result: Any) -> dict[str, Any]:
    """The step of `x[:, :, ::2, ::2]`, which makes the 1x1 convolution after it a strided one."""
    index = given.get(1, "index")
    last = index[-2:] if isinstance(index, tuple) else ()
    steps = tuple(part.step or 1 for part in last if isinstance(part, slice))
    return {"step": steps} if len(steps) == 2 and max(steps) > 1 else {}


def _dropout(given: _Arguments, result: Any) -> dict[str, Any]:
    return {"probability": float(given.get(1, "p", 0.5))}


def _mean(given: _Arguments, result: Any) -> dict[str, Any]:
    axes = given.get(1, "dim")
    x = given.get(0, "input")
    wanted = sorted(axis % x.dim() for axis in axes) if isinstance(axes, tuple | list) else []
    return {"global": True} if x.dim() == 4 and wanted in ([2, 3], [1, 2]) else {}


def _adaptive(given: _Arguments, result: Any) -> dict[str, Any]:
    out = result[0] if isinstance(result, tuple) else result
    return {"global": True} if isinstance(out, Tensor) and set(out.shape[2:]) == {1} else {}


_READERS: dict[str, Callable[[_Arguments, Any], dict[str, Any]]] = {
    "conv": _conv,
    "separable_conv": _separable,
    "linear": _linear,
    "max_pool": _pool,
    "average_pool": _pool,
    "adaptive_pool": _adaptive,
    "mean": _mean,
    "mul": _scalar,
    "add": _scalar,
    "slice": _slice,
    "dropout": _dropout,
}
