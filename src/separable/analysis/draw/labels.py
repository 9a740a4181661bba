"""The words on a box, as the papers' figures write them: "Conv 32, 3x3, stride 2x2"."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from separable.analysis.draw.names import readable_kind
from separable.analysis.graph import Node

__all__ = ["Label", "label_of", "shape_text", "short_name"]

_FUNCTIONS = {
    "relu": "ReLU",
    "relu6": "ReLU6",
    "elu": "ELU",
    "gelu": "GELU",
    "silu": "SiLU",
    "mish": "Mish",
    "glu": "GLU",
    "sigmoid": "Sigmoid",
    "tanh": "Tanh",
    "softmax": "Softmax",
    "leaky_relu": "LeakyReLU",
    "hardswish": "Hardswish",
    "hardsigmoid": "Hardsigmoid",
    "hardtanh": "Hardtanh",
    "log_softmax": "LogSoftmax",
    "selu": "SELU",
    "batch_norm": "BatchNorm",
    "layer_norm": "LayerNorm",
    "group_norm": "GroupNorm",
    "rms_norm": "RMSNorm",
    "instance_norm": "InstanceNorm",
    "local_response_norm": "LocalResponseNorm",
    "normalize": "Normalize",
}
_SHORT_NORMS = (
    *(("BatchNorm", "BN"), ("LayerNorm", "LN"), ("GroupNorm", "GN"), ("InstanceNorm", "IN"), ("RMSNorm", "RMS")),
    *(("LocalResponseNorm", "LRN"), ("FrozenBatchNorm", "BN"), ("SyncBatchNorm", "BN")),
)


@dataclass(frozen=True)
class Label:
    """Text in three parts, so that the number of channels can be replaced by a letter; it may be None."""

    head: str
    channels: int | None = None
    tail: str = ""
    family: str = "other"
    """What colours the box: conv, depthwise, separable, linear, pool, light (norms, activations), join, other."""

    def text(self, channels: str | None = None) -> str:
        """The whole, with `channels` in place of the number."""
        number = "" if self.channels is None else f" {channels or self.channels}"
        return f"{self.head}{number}{self.tail}"


def label_of(node: Node, separable: Node | None = None) -> Label:
    """The label of one node, or of a depthwise convolution followed by `separable`, its 1x1."""
    if separable is not None:
        tail = _tail(node.settings)
        return Label("SeparableConv", separable.settings.get("channels"), tail, "separable")
    writer = _WRITERS.get(node.operation)
    return writer(node) if writer is not None else Label(readable_kind(node.kind))


def short_name(node: Node) -> str:
    """What a norm or an activation is called behind a convolution's label: BN, LN, ReLU."""
    name = _FUNCTIONS.get(node.kind, node.kind)
    if node.operation == "norm":
        return next((short for long, short in _SHORT_NORMS if long in name), name)
    return name


def shape_text(shape: Sequence[int]) -> str:
    """(1, 728, 19, 19) -> "19x19x728", height, width, channels; other shapes without the batch."""
    if len(shape) == 4:
        return f"{shape[2]}x{shape[3]}x{shape[1]}"
    return "x".join(str(side) for side in shape[1:]) or "1"


def _sides(pair: Sequence[int]) -> str:
    return "x".join(str(side) for side in pair)


def _tail(settings: dict[str, Any]) -> str:
    parts = [_sides(settings["kernel"])] if "kernel" in settings else []
    if max(settings.get("stride", (1,))) > 1:
        parts.append(f"stride {_sides(settings['stride'])}")
    if max(settings.get("dilation", (1,))) > 1:
        parts.append(f"dilation {settings['dilation'][0]}")
    return "".join(f", {part}" for part in parts)


def _conv(node: Node) -> Label:
    settings = node.settings
    groups, channels = settings.get("groups", 1), settings.get("channels")
    if "transpose" in node.kind.lower():
        return Label("Transposed conv", channels, _tail(settings), "conv")
    if groups > 1 and groups == settings.get("in_channels"):
        return Label("DepthwiseConv", channels, _tail(settings), "depthwise")
    if groups > 1:
        return Label("Conv", channels, f"{_tail(settings)}, {groups} groups", "conv")
    return Label("Conv", channels, _tail(settings), "conv")


def _separable(node: Node) -> Label:
    return Label("SeparableConv", node.settings.get("channels"), _tail(node.settings), "separable")


def _linear(node: Node) -> Label:
    return Label("Dense", node.settings.get("channels"), "", "linear")


def _pool(node: Node) -> Label:
    kind = "MaxPooling" if node.operation == "max_pool" else "AveragePooling"
    return Label(f"{kind} {_tail(node.settings)[2:]}", family="pool")


def _global_pool(node: Node) -> Label:
    if node.settings.get("global"):
        return Label("GlobalMaxPooling" if "max" in node.kind.lower() else "GlobalAveragePooling", family="pool")
    if node.operation == "mean":
        return Label("Mean", family="pool")
    return Label(f"AdaptivePooling to {_sides(node.output_shape[2:])}", family="pool")


def _light(node: Node) -> Label:
    return Label(_FUNCTIONS.get(node.kind, readable_kind(node.kind) if "_" in node.kind else node.kind), family="light")


def _scale(node: Node) -> Label:
    by = node.settings.get("by")
    if node.operation == "shift":
        return Label("Add parameters" if by is None else f"Add {by:.3g}", family="light")
    return Label("Scale" if by is None else f"Scale by {1 / by if node.kind == 'div' else by:.3g}", family="light")


def _join(node: Node) -> Label:
    if node.operation == "cat":
        return Label("Filter concat" if len(node.output_shape) == 4 else "Concat", family="join")
    return Label({"add": "+", "mul": "x"}[node.operation], family="join")


_WRITERS = {
    "conv": _conv,
    "separable_conv": _separable,
    "linear": _linear,
    "norm": _light,
    "activation": _light,
    "max_pool": _pool,
    "average_pool": _pool,
    "adaptive_pool": _global_pool,
    "mean": _global_pool,
    "add": _join,
    "mul": _join,
    "cat": _join,
    "scale": _scale,
    "shift": _scale,
    "upsample": lambda node: Label(f"Upsample to {_sides(node.output_shape[2:])}", family="pool"),
    "dropout": lambda node: Label(f"Dropout {node.settings.get('probability', 0):g}", family="light"),
    "attention": lambda _node: Label("Attention", family="linear"),
    "matmul": lambda _node: Label("Matrix product", family="other"),
    "pad": lambda _node: Label("Pad", family="light"),
    "input": lambda _node: Label("Input", family="other"),
    "slice": lambda _node: Label("Slice", family="light"),
}
