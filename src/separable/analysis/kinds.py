"""What an operation below autograd is, in the words of a profile: "depthwise 3x3", "batch norm", "concatenation"."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

__all__ = ["Convolution", "Operation", "convolution_of", "kind_of", "layer_kind"]


@dataclass(frozen=True)
class Convolution:
    """What a convolution's speed depends on; pairs are (height, width)."""

    in_channels: int
    out_channels: int
    kernel: tuple[int, ...]
    stride: tuple[int, ...]
    groups: int
    transposed: bool

    @property
    def is_depthwise(self) -> bool:
        """A filter of its own for every channel."""
        return self.groups > 1 and self.groups == self.in_channels

    @property
    def words(self) -> str:
        """ "3x3 convolution", "depthwise 5x5", "grouped 3x3 convolution"."""
        size = "x".join(map(str, self.kernel))
        if self.transposed:
            return f"transposed {size} convolution"
        if self.is_depthwise:
            return f"depthwise {size}"
        return f"grouped {size} convolution" if self.groups > 1 else f"{size} convolution"


@dataclass(frozen=True)
class Operation:
    """One operation that moves data; views are none. `follows` is the kind of what made its first argument."""

    kind: str
    macs: int
    bytes: int
    convolution: Convolution | None = None
    follows: str = ""


_KINDS = {
    "linear": ("addmm", "mm", "linear", "addmv", "mv"),
    "matrix product": ("bmm", "baddbmm", "matmul"),
    "attention": (
        "_scaled_dot_product_flash_attention_for_cpu",
        "_scaled_dot_product_flash_attention",
        "_scaled_dot_product_efficient_attention",
        "_scaled_dot_product_attention_math",
        "_scaled_dot_product_attention_math_for_mps",
        "_transformer_encoder_layer_fwd",
        "_native_multi_head_attention",
        "scaled_dot_product_attention",
    ),
    "batch norm": (
        "native_batch_norm",
        "cudnn_batch_norm",
        "_native_batch_norm_legit",
        "_native_batch_norm_legit_no_training",
        "_batch_norm_no_update",
        "_batch_norm_with_update",
    ),
    "normalisation": ("native_layer_norm", "native_group_norm", "_fused_rms_norm"),
    "activation": (
        *("relu", "relu_", "hardtanh", "hardtanh_", "clamp", "clamp_", "clamp_min", "clamp_min_", "elu", "elu_"),
        *("silu", "silu_", "gelu", "gelu_", "hardswish", "hardswish_", "hardsigmoid", "hardsigmoid_", "sigmoid"),
        *("sigmoid_", "tanh", "tanh_", "leaky_relu", "leaky_relu_", "mish", "mish_", "softplus", "_prelu_kernel"),
        *("_softmax", "_log_softmax"),
    ),
    "pooling": (
        *("max_pool2d_with_indices", "avg_pool2d", "_adaptive_avg_pool2d", "mean", "amax", "adaptive_max_pool2d"),
        *("max_pool3d_with_indices", "upsample_bilinear2d", "upsample_nearest2d"),
    ),
    "concatenation": ("cat", "stack"),
    "sums and products": ("add", "add_", "mul", "mul_", "sub", "sub_", "div", "div_", "rsub", "addcmul", "pow", "sum"),
    "padding and copies": (
        *("constant_pad_nd", "copy_", "clone", "_to_copy", "fill_", "zeros", "ones_like", "new_zeros", "zeros_like"),
        *("reflection_pad2d", "replication_pad2d", "index", "roll"),
    ),
}
_BY_NAME = {name: kind for kind, names in _KINDS.items() for name in names}
_CONVOLUTIONS = ("convolution", "_convolution", "mkldnn_convolution", "cudnn_convolution", "convolution_overrideable")


def convolution_of(name: str, args: Sequence[Any], kwargs: Mapping[str, Any]) -> Convolution | None:
    """Read aten's arguments: input, weight, bias, stride, padding, dilation, transposed, output padding, groups."""
    if name not in _CONVOLUTIONS or len(args) < 9:
        return None
    x, weight, stride, transposed, groups = args[0], args[1], args[3], bool(args[6]), int(args[8])
    outputs = weight.shape[1] * groups if transposed else weight.shape[0]
    kernel = tuple(int(side) for side in weight.shape[2:])
    return Convolution(int(x.shape[1]), int(outputs), kernel, tuple(map(int, stride)), groups, transposed)


def kind_of(name: str, convolution: Convolution | None, macs: int) -> str:
    """The words for aten operation `name`; "other" for what is not known."""
    if convolution is not None:
        return convolution.words
    return _BY_NAME.get(name, "matrix product" if macs else "other")


def layer_kind(operations: Sequence[Operation]) -> str:
    """The words for what did all these: after its convolutions and products, otherwise after its biggest operation."""
    products = [operation for operation in operations if operation.macs]
    kinds = list(dict.fromkeys(operation.kind for operation in products))
    convolutions = [operation.convolution for operation in products if operation.convolution is not None]
    if len(convolutions) == 2 and len(products) == 2 and any(one.is_depthwise for one in convolutions):
        deep = next(one for one in convolutions if one.is_depthwise)
        return f"separable {'x'.join(map(str, deep.kernel))}"
    if kinds:
        return kinds[0] if len(kinds) == 1 else "several products"
    if not operations:
        return "no operation"
    return max(operations, key=lambda operation: operation.bytes).kind
