"""Files as Keras 1 wrote them: the layout of the published Xception weights (release v0.4 of deep-learning-models).

The published files cannot be had here, so this writes their layout from today's Keras network: groups with the generic
names of Keras 1, numbered in the order of creation; no `model_weights` group; `layer_names` in the order of
`model.layers`, layers without weights included; variables `_W`, `_b`, `_running_mean` and `_running_std`, which holds
the variance.
"""

from pathlib import Path
from typing import Any

import h5py
import numpy as np

__all__ = ["keras_1_names", "write_keras_1"]

_VARIABLES = {
    "Conv2D": ("W",),
    "SeparableConv2D": ("depthwise_kernel", "pointwise_kernel"),
    "BatchNormalization": ("gamma", "beta", "running_mean", "running_std"),
    "Dense": ("W", "b"),
}
_CLASSES = {
    "Conv2D": "convolution2d",
    "SeparableConv2D": "separableconvolution2d",
    "BatchNormalization": "batchnormalization",
    "InputLayer": "input",
    "Activation": "activation",
    "MaxPooling2D": "maxpooling2d",
    "Add": "merge",
    "GlobalAveragePooling2D": "globalaveragepooling2d",
}
# Batch normalisations of the shortcuts of blocks 2, 3, 4, 13: made before the two of their block's convolutions.
_SHORTCUT_NORMS = {3: "batch_normalization", 6: "batch_normalization_1", 9: "batch_normalization_2"}
_SHORTCUT_NORMS |= {36: "batch_normalization_3"}
_SHORTCUT_CONVS = {3: "conv2d", 4: "conv2d_1", 5: "conv2d_2", 6: "conv2d_3"}


def keras_1_names(model: Any) -> dict[str, str]:
    """Today's layer name to the published file's, for Xception.

    The generic names of today's shortcuts are taken in order, whatever number they start from.
    """
    names = [layer.name for layer in model.layers]
    named_norms = [name for name in names if name.endswith("_bn")]
    free = [number for number in range(1, 41) if number not in _SHORTCUT_NORMS]
    norms = {**_SHORTCUT_NORMS, **dict(zip(free, named_norms, strict=True))}
    named_convs = ["block1_conv1", "block1_conv2"]
    convs = {1: named_convs[0], 2: named_convs[1], **_SHORTCUT_CONVS}
    found = {name: f"batchnormalization_{number}" for number, name in norms.items()}
    found |= {name: f"convolution2d_{number}" for number, name in convs.items()}
    separable = [name for name in names if "sepconv" in name and not name.endswith(("_bn", "_act"))]
    found |= {name: f"separableconvolution2d_{number}" for number, name in enumerate(separable, start=1)}
    # Whatever was built before in this process shifts today's numbers: bring the two series back to where they start.
    for kind, series in (("conv2d", 4), ("batch_normalization", 4)):
        today = [name for name in names if name.rstrip("0123456789").rstrip("_") == kind]
        assert len(today) == series
        first = [kind, *(f"{kind}_{number}" for number in range(1, series))]
        moved = {new: found.pop(old) for new, old in zip(today, first, strict=True)}
        found |= moved
    return {**found, "predictions": "dense_2"}


def write_keras_1(
    model: Any,
    path: Path,
    *,
    rename: dict[str, str] | None = None,
    layer_names: bool = True,
    without: tuple[str, ...] = (),
) -> Path:
    """Write `model`'s weights in that layout.

    Args:
        rename: group names to exchange for others, to make files that contradict themselves.
        layer_names: False leaves out the attribute.
        without: today's names of layers to leave out, for "notop" files.
    """
    names = keras_1_names(model)
    order: list[str] = []
    counts: dict[str, int] = {}
    with h5py.File(path, "w") as file:
        for layer in model.layers:
            if layer.name in without:
                continue
            kind = layer.__class__.__name__
            counts[kind] = counts.get(kind, 0) + 1
            name = names.get(layer.name, f"{_CLASSES.get(kind, kind.lower())}_{counts[kind]}")
            name = (rename or {}).get(name, name)
            order.append(name)
            group = file.create_group(name)
            variables = [f"{name}_{variable}:0" for variable in _VARIABLES.get(kind, ())]
            group.attrs["weight_names"] = [variable.encode() for variable in variables]
            for variable, value in zip(variables, layer.weights, strict=True):
                group[variable] = value.value.detach().numpy().astype(np.float32)
        if layer_names:
            file.attrs["layer_names"] = [name.encode() for name in order]
    return path
