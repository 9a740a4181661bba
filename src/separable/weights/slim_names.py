"""What TF-slim calls each layer (tensorflow/models, research/slim/nets/inception_v3.py and its neighbours).

Its scopes hold traps, all kept in published checkpoints: in Inception V3, Mixed_5c's second branch begins with
`Conv2d_0b_1x1` and goes on with `Conv_1_0c_5x5`, Mixed_6a calls its 3x3 convolutions `Conv2d_1a_1x1`, and what is
`Conv2d_0b_3x1` in Mixed_7b is `Conv2d_0c_3x1` in Mixed_7c.
"""

from collections.abc import Callable, Mapping

from separable.models.base import ImageModel
from separable.weights.ports.port import renamed
from separable.weights.slim_first_names import BN_INCEPTION_SCOPES, INCEPTION_V1_SCOPES

__all__ = ["slim_names"]

Scope = Callable[[str, str], str]
"""From a block of the chain and the layer in it ("" where the block is the layer) to slim's scope."""

_STEM = {
    "conv1a": "Conv2d_1a_3x3",
    "conv2a": "Conv2d_2a_3x3",
    "conv2b": "Conv2d_2b_3x3",
    "conv3b": "Conv2d_3b_1x1",
    "conv4a": "Conv2d_4a_3x3",
}
_A = {  # Mixed_5b, 5d
    "branch1x1": "Branch_0/Conv2d_0a_1x1",
    "branch5x5_1": "Branch_1/Conv2d_0a_1x1",
    "branch5x5_2": "Branch_1/Conv2d_0b_5x5",
    "branch3x3dbl_1": "Branch_2/Conv2d_0a_1x1",
    "branch3x3dbl_2": "Branch_2/Conv2d_0b_3x3",
    "branch3x3dbl_3": "Branch_2/Conv2d_0c_3x3",
    "branch_pool": "Branch_3/Conv2d_0b_1x1",
}
_B = {  # Mixed_6a
    "branch3x3": "Branch_0/Conv2d_1a_1x1",
    "branch3x3dbl_1": "Branch_1/Conv2d_0a_1x1",
    "branch3x3dbl_2": "Branch_1/Conv2d_0b_3x3",
    "branch3x3dbl_3": "Branch_1/Conv2d_1a_1x1",
}
_C = {  # Mixed_6b to 6e; Inception-v4's Mixed_6b to 6h
    "branch1x1": "Branch_0/Conv2d_0a_1x1",
    "branch7x7_1": "Branch_1/Conv2d_0a_1x1",
    "branch7x7_2": "Branch_1/Conv2d_0b_1x7",
    "branch7x7_3": "Branch_1/Conv2d_0c_7x1",
    "branch7x7dbl_1": "Branch_2/Conv2d_0a_1x1",
    "branch7x7dbl_2": "Branch_2/Conv2d_0b_7x1",
    "branch7x7dbl_3": "Branch_2/Conv2d_0c_1x7",
    "branch7x7dbl_4": "Branch_2/Conv2d_0d_7x1",
    "branch7x7dbl_5": "Branch_2/Conv2d_0e_1x7",
    "branch_pool": "Branch_3/Conv2d_0b_1x1",
}
_D = {  # Mixed_7a of both
    "branch3x3_1": "Branch_0/Conv2d_0a_1x1",
    "branch3x3_2": "Branch_0/Conv2d_1a_3x3",
    "branch7x7x3_1": "Branch_1/Conv2d_0a_1x1",
    "branch7x7x3_2": "Branch_1/Conv2d_0b_1x7",
    "branch7x7x3_3": "Branch_1/Conv2d_0c_7x1",
    "branch7x7x3_4": "Branch_1/Conv2d_1a_3x3",
}
_E = {  # Mixed_7b
    "branch1x1": "Branch_0/Conv2d_0a_1x1",
    "branch3x3_1": "Branch_1/Conv2d_0a_1x1",
    "branch3x3_2a": "Branch_1/Conv2d_0b_1x3",
    "branch3x3_2b": "Branch_1/Conv2d_0b_3x1",
    "branch3x3dbl_1": "Branch_2/Conv2d_0a_1x1",
    "branch3x3dbl_2": "Branch_2/Conv2d_0b_3x3",
    "branch3x3dbl_3a": "Branch_2/Conv2d_0c_1x3",
    "branch3x3dbl_3b": "Branch_2/Conv2d_0d_3x1",
    "branch_pool": "Branch_3/Conv2d_0b_1x1",
}
_AUX = {"conv0": "Conv2d_1b_1x1", "conv1": "Conv2d_2a_5x5", "classifier": "Conv2d_2b_1x1"}
_V3: dict[str, tuple[str, Mapping[str, str]]] = {
    **{name: (scope, {"": ""}) for name, scope in _STEM.items()},
    "mixed0": ("Mixed_5b", _A),
    "mixed1": ("Mixed_5c", {**_A, "branch5x5_1": "Branch_1/Conv2d_0b_1x1", "branch5x5_2": "Branch_1/Conv_1_0c_5x5"}),
    "mixed2": ("Mixed_5d", _A),
    "mixed3": ("Mixed_6a", _B),
    **{f"mixed{number}": (f"Mixed_6{'bcde'[number - 4]}", _C) for number in range(4, 8)},
    "mixed8": ("Mixed_7a", _D),
    "mixed9": ("Mixed_7b", _E),
    "mixed10": ("Mixed_7c", {**_E, "branch3x3_2b": "Branch_1/Conv2d_0c_3x1"}),
    "aux_head": ("AuxLogits", _AUX),
    "head": ("Logits", {"classifier": "Conv2d_1c_1x1"}),
}
_V4_A = {
    **{key: scope for key, scope in _A.items() if "5x5" not in key},
    "branch3x3_1": "Branch_1/Conv2d_0a_1x1",
    "branch3x3_2": "Branch_1/Conv2d_0b_3x3",
}
_REDUCTION = {**_B, "branch3x3": "Branch_0/Conv2d_1a_3x3", "branch3x3dbl_3": "Branch_1/Conv2d_1a_3x3"}
_V4_C = {
    **{key: scope for key, scope in _E.items() if "3x3dbl_3" not in key},
    "branch3x3_2b": "Branch_1/Conv2d_0c_3x1",
    "branch3x3dbl_2": "Branch_2/Conv2d_0b_3x1",
    "branch3x3dbl_3": "Branch_2/Conv2d_0c_1x3",
    "branch3x3dbl_4a": "Branch_2/Conv2d_0d_1x3",
    "branch3x3dbl_4b": "Branch_2/Conv2d_0e_3x1",
}
_V4_STEM = {
    "branch3x3_1": "Branch_0/Conv2d_0a_1x1",
    "branch3x3_2": "Branch_0/Conv2d_1a_3x3",
    "branch7x7_1": "Branch_1/Conv2d_0a_1x1",
    "branch7x7_2": "Branch_1/Conv2d_0b_1x7",
    "branch7x7_3": "Branch_1/Conv2d_0c_7x1",
    "branch7x7_4": "Branch_1/Conv2d_1a_3x3",
}
_V4: dict[str, tuple[str, Mapping[str, str]]] = {
    **{name: (_STEM[name], {"": ""}) for name in ("conv1a", "conv2a", "conv2b")},
    "mixed3a": ("Mixed_3a", {"branch3x3": "Branch_1/Conv2d_0a_3x3"}),
    "mixed4a": ("Mixed_4a", _V4_STEM),
    "mixed5a": ("Mixed_5a", {"branch3x3": "Branch_0/Conv2d_1a_3x3"}),
    **{f"inception_a{number}": (f"Mixed_5{chr(ord('a') + number)}", _V4_A) for number in range(1, 5)},
    "reduction_a": ("Mixed_6a", _REDUCTION),
    **{f"inception_b{number}": (f"Mixed_6{chr(ord('a') + number)}", _C) for number in range(1, 8)},
    "reduction_b": ("Mixed_7a", _D),
    **{f"inception_c{number}": (f"Mixed_7{chr(ord('a') + number)}", _V4_C) for number in range(1, 4)},
    "aux_head": ("AuxLogits", {**_AUX, "conv1": "Conv2d_2a", "classifier": "Aux_logits"}),
    "head": ("Logits", {"classifier": "Logits"}),
}
_BLOCK35 = {
    "branch1x1": "Branch_0/Conv2d_1x1",
    "branch3x3_1": "Branch_1/Conv2d_0a_1x1",
    "branch3x3_2": "Branch_1/Conv2d_0b_3x3",
    "branch3x3dbl_1": "Branch_2/Conv2d_0a_1x1",
    "branch3x3dbl_2": "Branch_2/Conv2d_0b_3x3",
    "branch3x3dbl_3": "Branch_2/Conv2d_0c_3x3",
    "residual": "Conv2d_1x1",
}
_BLOCK17 = {
    "branch1x1": "Branch_0/Conv2d_1x1",
    "branch7x7_1": "Branch_1/Conv2d_0a_1x1",
    "branch7x7_2": "Branch_1/Conv2d_0b_1x7",
    "branch7x7_3": "Branch_1/Conv2d_0c_7x1",
    "residual": "Conv2d_1x1",
}
_BLOCK8 = {
    "branch1x1": "Branch_0/Conv2d_1x1",
    "branch3x3_1": "Branch_1/Conv2d_0a_1x1",
    "branch3x3_2": "Branch_1/Conv2d_0b_1x3",
    "branch3x3_3": "Branch_1/Conv2d_0c_3x1",
    "residual": "Conv2d_1x1",
}
_RESNET_7A = {
    "branch3x3_1": "Branch_0/Conv2d_0a_1x1",
    "branch3x3_2": "Branch_0/Conv2d_1a_3x3",
    "branch3x3b_1": "Branch_1/Conv2d_0a_1x1",
    "branch3x3b_2": "Branch_1/Conv2d_1a_3x3",
    "branch3x3dbl_1": "Branch_2/Conv2d_0a_1x1",
    "branch3x3dbl_2": "Branch_2/Conv2d_0b_3x3",
    "branch3x3dbl_3": "Branch_2/Conv2d_1a_3x3",
}
_RESNET_V2: dict[str, tuple[str, Mapping[str, str]]] = {
    **{name: (scope, {"": ""}) for name, scope in _STEM.items()},
    "mixed5b": ("Mixed_5b", {**_A, "branch1x1": "Branch_0/Conv2d_1x1"}),
    **{f"block35_{number}": (f"Repeat/block35_{number}", _BLOCK35) for number in range(1, 11)},
    "mixed6a": ("Mixed_6a", _REDUCTION),
    **{f"block17_{number}": (f"Repeat_1/block17_{number}", _BLOCK17) for number in range(1, 21)},
    "mixed7a": ("Mixed_7a", _RESNET_7A),
    **{f"block8_{number}": (f"Repeat_2/block8_{number}", _BLOCK8) for number in range(1, 10)},
    "block8_10": ("Block8", _BLOCK8),
    "conv7b": ("Conv2d_7b_1x1", {"": ""}),
    "aux_head": ("AuxLogits", {**_AUX, "classifier": "Logits"}),
    "head": ("Logits", {"classifier": "Logits"}),
}
_TABLES = {
    "inception_v1": ("InceptionV1", INCEPTION_V1_SCOPES),
    "bn_inception": ("InceptionV2", BN_INCEPTION_SCOPES),
    "inception_v3": ("InceptionV3", _V3),
    "inception_v4": ("InceptionV4", _V4),
    "inception_resnet_v2": ("InceptionResnetV2", _RESNET_V2),
}
_NORM = {"weight": "gamma", "bias": "beta", "running_mean": "moving_mean", "running_var": "moving_variance"}


def slim_names(model: ImageModel) -> dict[str, str]:
    """`Port.names` for slim's Inception networks and its MobileNet V1."""
    return renamed(model, _mobilenet if model.name == "mobilenet_v1" else _inception(model.name))


def _inception(name: str) -> Callable[[str], str]:
    root, table = _TABLES[name]

    def rename(ours: str) -> str:
        layer, kind = _parted(ours)
        block, _, inside = layer.partition(".")
        scope, layers = table.get(block, (block, {}))
        if inside in ("conv.depthwise", "conv.pointwise") and kind == "weights":  # a separable first layer
            kind = f"{inside.removeprefix('conv.')}_weights"
        return "/".join(part for part in (root, scope, layers.get(inside, inside), kind) if part)

    return rename


def _mobilenet(ours: str) -> str:
    layer, kind = _parted(ours)
    block, _, inside = layer.partition(".")
    if block == "head":
        return f"MobilenetV1/Logits/Conv2d_1c_1x1/{kind}"
    if block == "conv1":
        return f"MobilenetV1/Conv2d_0/{kind}"
    depthwise = inside == "depthwise" and kind == "weights"
    return f"MobilenetV1/Conv2d_{block.removeprefix('block')}_{inside}/{'depthwise_' if depthwise else ''}{kind}"


def _parted(ours: str) -> tuple[str, str]:
    """`mixed0.branch1x1.bn.bias` -> (`mixed0.branch1x1`, `BatchNorm/beta`)."""
    layer, _, kind = ours.rpartition(".")
    if layer.endswith(".bn"):
        return layer.removesuffix(".bn"), f"BatchNorm/{_NORM[kind]}"
    return layer.removesuffix(".conv"), {"weight": "weights", "bias": "biases"}[kind]
