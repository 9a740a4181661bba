"""Stride traded for dilation: the finer map has the strided network's own values at the strides left out."""

from dataclasses import replace
from functools import cache
from typing import Any

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor

from separable.blocks.dense_pool import DenseMaxPool
from separable.blocks.pool import MaxPool
from separable.errors import ModelOptionError
from separable.models import ImageModel, build_model
from separable.models.dilation import strides_and_dilations
from tests.parity.torch_net import calibrate, distance, pictures
from tests.tolerances import DILATED_FP64

SMALL: dict[str, dict[str, Any]] = {
    "xception": {"width": 0.02, "middle_blocks": 1},
    "xception41": {"width": 0.02, "middle_blocks": 1},
    "xception71": {"width": 0.02, "middle_blocks": 1},
}


@cache
def shared(name: str) -> dict[int, ImageModel]:
    return made(name)


def made(name: str, **options: Any) -> dict[int, ImageModel]:
    """One network at the three output strides, all with the same weights."""
    models = {stride: build_model(name, 3, output_stride=stride, **SMALL[name], **options) for stride in (32, 16, 8)}
    calibrate(models[32])
    for model in models.values():
        model.load_state_dict(models[32].state_dict())
        model.double().eval()
    return models


def maps(model: ImageModel, x: Tensor) -> list[Tensor]:
    with torch.no_grad():
        return model.forward_pyramid(x)


@pytest.mark.parametrize("name", SMALL)
@pytest.mark.parametrize("output_stride", [8, 16])
@settings(max_examples=12, deadline=None)
@given(height=st.integers(71, 140), width=st.integers(71, 140))
def test_the_finer_map_sampled_is_the_strided_map(name: str, output_stride: int, height: int, width: int) -> None:
    """On every side, odd or even, up to the border: to rounding and nothing else."""
    strided, dilated = shared(name)[32], shared(name)[output_stride]
    x = pictures(height, width, 1).double()
    for there, here, expected, got in zip(strided.taps, dilated.taps, maps(strided, x), maps(dilated, x), strict=True):
        step = there.stride // here.stride
        assert here.stride == min(there.stride, output_stride)
        assert distance(got[:, :, ::step, ::step], expected) < DILATED_FP64, there


@pytest.mark.parametrize("name", ["xception41", "xception71"])
def test_also_with_a_multi_grid(name: str) -> None:
    models = made(name, multi_grid=(1, 2, 4))
    x = pictures(97, 130, 1).double()
    expected = maps(models[32], x)[-1]
    assert distance(maps(models[8], x)[-1][:, :, ::4, ::4], expected) < DILATED_FP64
    plain = build_model(name, 3, **SMALL[name]).double().eval()
    plain.load_state_dict(models[32].state_dict())
    assert distance(maps(plain, x)[-1], expected) > 1e-3, "the grid is another network"


def test_with_tensorflows_same_padding_only_odd_sides_agree() -> None:
    """Why DeepLab pads explicitly: 'same' starts its windows a pixel late where a side is even."""
    models = made("xception41")
    for model in models.values():
        model.adopt(replace(model.input_contract, padding="tf_same"))
    for side, agree in ((97, True), (96, False)):  # 97, 49, 25, 13, 7: odd at every stride
        x = pictures(side, side, 1).double()
        difference = distance(maps(models[8], x)[-1][:, :, ::4, ::4], maps(models[32], x)[-1])
        assert (difference < DILATED_FP64) is agree
        assert agree or difference > 1e-3


def test_xceptions_pools_agree_in_the_borders_of_its_ports_too() -> None:
    models = made("xception")
    for model in models.values():
        model.adopt(replace(model.input_contract, padding="symmetric"))
    x = pictures(128, 150, 1).double()
    expected = maps(models[32], x)[-1]
    assert distance(maps(models[8], x)[-1][:, :, ::4, ::4], expected) < DILATED_FP64
    for layer in models[8].modules():
        if isinstance(layer, DenseMaxPool):
            layer.set_border("tf_same")
    assert distance(maps(models[8], x)[-1][:, :, ::4, ::4], expected) > 1e-3, "a pool shifted by a pixel is seen"


@pytest.mark.parametrize("side", [5, 6, 7, 8, 9])
@pytest.mark.parametrize("dilation", [1, 2, 4])
@pytest.mark.parametrize("border", ["tf_same", "symmetric"])
def test_a_dense_pool_is_the_strided_one_between_its_pixels(side: int, dilation: int, border: str) -> None:
    x = -torch.rand(2, 3, side * dilation - dilation // 2, side)  # negative: zeros would win a maximum
    dense, strided = DenseMaxPool(dilation), MaxPool("same")
    for pool in (dense, strided):
        pool.set_border(border)
    assert dense(x).shape == x.shape
    assert torch.equal(dense(x)[:, :, :: 2 * dilation, :: 2 * dilation], strided(x[:, :, ::dilation, ::dilation]))


@pytest.mark.parametrize("name", SMALL)
def test_the_classifier_and_the_names_are_the_same(name: str) -> None:
    """A file of the strided network fits the dilated one, and the head does not care how fine the map is."""
    for model in shared(name).values():
        assert model.state_dict().keys() == shared(name)[32].state_dict().keys()
        with torch.no_grad():
            assert model(pictures(80, 97, 2).double()).shape == (2, 3)


def test_strides_become_dilations_after_the_block_that_loses_one() -> None:
    strides = (2, 2, 2, 2, 1, 2, 1)
    assert strides_and_dilations(strides, 32) == [(stride, 1) for stride in strides]
    assert strides_and_dilations(strides, 16) == [(2, 1), (2, 1), (2, 1), (2, 1), (1, 1), (1, 1), (1, 2)]
    assert strides_and_dilations(strides, 8) == [(2, 1), (2, 1), (2, 1), (1, 1), (1, 2), (1, 2), (1, 4)]


@pytest.mark.parametrize("name", SMALL)
@pytest.mark.parametrize("value", [4, 64, "16", 16.0, None])
def test_no_other_output_strides(name: str, value: object) -> None:
    with pytest.raises(ModelOptionError, match=r"Bad model option output_stride\. .*Expected: 8 or 16 or 32"):
        build_model(name, output_stride=value)
