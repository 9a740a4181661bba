"""Every network of the catalogue made small enough to run often, and the forms whose code paths differ.

A network without a row here fails `shared/test_catalogue.py::test_every_network_is_tested`.
"""

from typing import Any

import pytest
import torch
from torch import Tensor, nn

from separable.models import ImageModel, build_model
from tests.tolerances import LAYOUT_FP32

__all__ = [
    "NETWORKS",
    "SMALL",
    "VARIANTS",
    "assert_same",
    "each_case",
    "each_network",
    "logits",
    "make",
    "make_alive",
    "pictures",
]

SMALL: dict[str, dict[str, Any]] = {
    "alexnet": {"width": 0.1},
    "bn_inception": {"width": 0.1},
    "inception_resnet_v2": {"width": 0.1, "repeats": [1, 1, 1]},
    "inception_v1": {"width": 0.1},
    "inception_v2": {"width": 0.1},
    "inception_v3": {"width": 0.1},
    "inception_v4": {"width": 0.1, "repeats": [1, 1, 1]},
    "mobilenet_v1": {"width": 0.25},
    "resnet101": {"width": 0.125, "repeats": [1, 1, 2, 1]},
    "resnet152": {"width": 0.125, "repeats": [1, 1, 1, 2]},
    "resnet50": {"width": 0.125, "repeats": [1, 1, 1, 1]},
    "squeezenet": {"width": 0.25},
    "vgg16": {"width": 0.1},
    "xception": {"width": 0.125, "middle_blocks": 1},
    "xception41": {"width": 0.1, "middle_blocks": 1},
    "xception65": {"width": 0.1, "middle_blocks": 1},
    "xception71": {"width": 0.1, "middle_blocks": 1},
}
VARIANTS: dict[str, dict[str, Any]] = {
    "bn_inception-plain": {"separable_stem": False, "gamma": False, "dropout": 0.2},
    "inception_resnet_v2-paper": {"form": "paper", "aux_head": True, "gamma": True},
    "inception_v1-torchvision": {"batch_norm": True, "five_by_five": False, "aux_head": True},
    "inception_v1-separable": {"separable_stem": True, "aux_head": True},
    "inception_v2-v3": {"factorized_7x7": True, "aux_head": True, "aux_batch_norm": True},
    "inception_v2-79": {"stem": "79"},
    "inception_v2-151": {"stem": "151"},
    "inception_v3-gamma": {"width": 0.15, "gamma": True, "aux_head": True},
    "inception_v3-79": {"stem": "79", "n": 3, "pool": "max", "activation": "relu6", "bias": True},
    "inception_v3-151": {"stem": "151", "linear_inside": True, "aux_head": True, "aux_batch_norm": False},
    "inception_v3-parallel": {"grid_reduction": "parallel", "fc_layers": [16, 8]},
    "inception_v3-pool_first": {"grid_reduction": "pool_first", "stem": "79"},
    "inception_v3-convolve_first": {"grid_reduction": "convolve_first", "stem": "79", "gamma": True},
    "inception_v3-chollet_2016": {"variant": "chollet_2016"},
    "inception_v4-aux": {"aux_head": True, "gamma": True},
    "mobilenet_v1-full": {"separable": False, "shallow": True, "activation": "relu"},
    "mobilenet_v1-stride1": {"stem_stride": 1},
    "resnet50-stride1": {"stem_stride": 1},
    "resnet50-3x3": {"stride_on": "3x3", "bias": True, "dropout": 0.1},
    "squeezenet-1.1": {"version": "1.1"},
    "vgg16-dense": {"dense_evaluation": True},
    "xception-plain": {"width": 0.1, "middle_blocks": 0, "residual": False, "fc_layers": [16, 8]},
    "xception-dilated": {"output_stride": 8},
    "xception-elu": {"width": 0.1, "middle_blocks": 9, "intermediate_activation": "elu"},
    "xception-stride1": {"stem_stride": 1},
    "xception-segments": {"segments": 5, "stem_stride": 1},
    "xception-dilated_pointwise": {
        "order": "pointwise_first",
        "intermediate_activation": "relu",
        "output_stride": 16,
    },
    "xception-regular": {"segments": 1, "order": "pointwise_first"},
    "xception41-dilated": {"output_stride": 16, "multi_grid": [1, 2, 4]},
    "xception71-dilated": {"output_stride": 8},
}
NETWORKS = tuple(SMALL)
each_network = pytest.mark.parametrize("case", NETWORKS)
each_case = pytest.mark.parametrize("case", [*NETWORKS, *VARIANTS])


def make(case: str, num_classes: int = 5, **more: Any) -> ImageModel:
    """The small network `case`, "name" or "name-variant", always with the same weights."""
    torch.manual_seed(0)
    name = case.split("-")[0]
    return build_model(name, num_classes, **{**SMALL[name], **VARIANTS.get(case, {}), **more})


def make_alive(case: str, **more: Any) -> ImageModel:
    """As `make`, its batch normalisations with statistics of noise, in evaluation mode.

    With those it starts from, a deep narrow network's logits are 1e-9 in size, and any two agree.
    """
    model = make(case, **more).train()
    norms = [layer for layer in model.modules() if isinstance(layer, nn.BatchNorm2d)]
    for norm in norms:
        norm.momentum = 1.0
    with torch.no_grad():
        model(pictures(model, 4, extra=(72, 61)))  # large enough that the last map is no single pixel
    for norm in norms:
        norm.momentum = 0.01
    return model.eval()


def assert_same(got: Tensor, expected: Tensor) -> None:
    """One function in two forms: fp32 sums in another order, relative to the largest value."""
    torch.testing.assert_close(got, expected, rtol=0, atol=LAYOUT_FP32 * expected.abs().max().item())


def pictures(model: ImageModel, count: int = 2, extra: tuple[int, int] = (6, 13)) -> Tensor:
    """Noise slightly larger than the network's smallest picture: one side even, one odd."""
    smallest = max(model.input_contract.min_size, 40)
    even = smallest + smallest % 2
    return torch.randn(count, 3, even + extra[0], even + extra[1])


def logits(model: nn.Module, x: Tensor) -> Tensor:
    with torch.no_grad():
        out = model.eval()(x)
    assert isinstance(out, Tensor)
    return out
