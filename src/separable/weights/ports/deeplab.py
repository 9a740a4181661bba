"""DeepLab's own checkpoints of Xception-41, -65 and -71, as `.npz` files of their variables.

`xception_65/entry_flow/block1/unit_1/xception_module/separable_conv1_depthwise/depthwise_weights` and so on
(tensorflow/models, research/deeplab/core/xception.py). Of a segmentation checkpoint a classifier takes the backbone
alone, without what stands on top of it (`aspp0`, `decoder`, `logits/semantic`, ...), and DeepLab itself everything.
"""

from collections.abc import Mapping
from functools import partial

from torch import Tensor

from separable.models.base import ImageModel
from separable.models.contract import InputContract
from separable.models.deeplab import DEEPLAB_XCEPTION_INPUT
from separable.weights.ports.port import HALF, Port, renamed, torch_contract
from separable.weights.ports.slim import slim_transforms

__all__ = ["DEEPLAB_PORTS"]

_STEM = {"conv1": "entry_flow/conv1_1", "conv2": "entry_flow/conv1_2"}
_EXIT = {"exit1": "exit_flow/block1/unit_1", "exit2": "exit_flow/block2/unit_1"}
_HALVES = {
    "depthwise": "depthwise/depthwise_",
    "intermediate_bn": "depthwise/BatchNorm/",
    "pointwise": "pointwise/",
    "bn": "pointwise/BatchNorm/",
}
_WHOLE = ("image_pooling", "aspp0", "concat_projection")
"""Of the pyramid's convolutions those that are not separable."""
_UNIT = {"conv": "/", "bn": "/BatchNorm/"}
_VARIABLES = {"weight": "gamma", "bias": "beta", "running_mean": "moving_mean", "running_var": "moving_variance"}


def _place(block: str) -> str:
    """Where the module `block` stands: `middle7` is the seventh unit of one block, `entry2` a block of its own."""
    if block.startswith("middle"):
        return f"middle_flow/block1/unit_{block.removeprefix('middle')}/xception_module"
    if block.startswith("entry"):
        return f"entry_flow/block{block.removeprefix('entry')}/unit_1/xception_module"
    return f"{_EXIT[block]}/xception_module"


def _rename(name: str, root: str) -> str:
    layer, _, variable = name.rpartition(".")
    block, _, unit = layer.partition(".")
    if block == "head":
        return f"{root}/logits/{'weights' if variable == 'weight' else 'biases'}"
    unit, _, part = unit.rpartition(".")
    kind = _VARIABLES[variable] if part.endswith("bn") else "weights"
    if block in _STEM:
        return f"{root}/{_STEM[block]}{_UNIT[part]}{kind}"
    if unit == "shortcut":
        return f"{root}/{_place(block)}/shortcut{_UNIT[part]}{kind}"
    return f"{root}/{_place(block)}/separable_conv{unit.removeprefix('sepconv')}_{_HALVES[part]}{kind}"


def _rename_dense(name: str, root: str) -> str:
    """The same for DeepLab whole: `encoder.`, then what `model.py` puts on it."""
    if name.startswith("encoder."):
        return _rename(name.removeprefix("encoder."), root)
    layer, _, variable = name.rpartition(".")
    if layer == "head.classifier":
        return f"logits/semantic/{'weights' if variable == 'weight' else 'biases'}"
    _, unit, part = layer.split(".")
    kind = _VARIABLES[variable] if part.endswith("bn") else "weights"
    if unit == "feature_projection":
        return f"decoder/feature_projection0{_UNIT[part]}{kind}"
    if unit.startswith("sepconv"):
        return f"decoder/decoder_conv{int(unit.removeprefix('sepconv')) - 1}_{_HALVES[part]}{kind}"
    return f"{unit}{_UNIT[part]}{kind}" if part in _UNIT and unit in _WHOLE else f"{unit}_{_HALVES[part]}{kind}"


def _contract(model: ImageModel, tensors: Mapping[str, Tensor]) -> InputContract:
    return torch_contract(299, mean=HALF, std=HALF, eps=1e-3)


def _port(depth: int) -> Port:
    root = f"xception_{depth}"
    return Port(
        name=f"deeplab {root}",
        framework="tf-slim",
        models={f"xception{depth}": root},
        marks=(
            f"{root}/entry_flow/conv1_1/weights",
            f"{root}/exit_flow/block1/unit_1/xception_module/shortcut/weights",
        ),
        names=partial(renamed, rename=partial(_rename, root=root)),
        contract=_contract,
        transforms=slim_transforms,
        classifier=f"{root}/logits",
        ignored=("aspp", "concat_projection", "decoder/", "image_pooling", "logits/"),
        background=True,
    )


def _dense_port(depth: int) -> Port:
    root = f"xception_{depth}"
    return Port(
        name=f"deeplab {root} with its decoder",
        framework="tf-slim",
        models={f"deeplab_xception{depth}": f"deeplab {root}"},
        marks=(f"{root}/entry_flow/conv1_1/weights",),
        names=partial(renamed, rename=partial(_rename_dense, root=root)),
        contract=lambda model, tensors: DEEPLAB_XCEPTION_INPUT,
        transforms=slim_transforms,
        classifier="logits/semantic",
    )


DEEPLAB_PORTS = (*map(_port, (41, 65, 71)), *map(_dense_port, (41, 65, 71)))
