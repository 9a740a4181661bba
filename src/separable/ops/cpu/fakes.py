"""The shapes of the C++ operators, told to torch."""

from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor

from separable.ops import fakes

__all__ = ["register_fakes"]


def _map_like(x: Tensor, *_: Any) -> Tensor:
    return fakes.fake_maps(x, *x.shape[2:])


def _corner_sums(corners: Tensor, *_: Any) -> tuple[Tensor, Tensor]:
    return fakes.fake_channel_sums(corners[:, : corners.shape[1] // 4])


def _large_map(corners: Tensor, *_: Any) -> Tensor:
    small = corners[:, : corners.shape[1] // 4]
    return fakes.fake_maps(small, 2 * (corners.shape[2] - 1), 2 * (corners.shape[3] - 1))


def _halved(g: Tensor, *_: Any) -> tuple[Tensor, Tensor, Tensor]:
    return fakes.fake_maps(g, g.shape[2] // 2, g.shape[3] // 2), *fakes.fake_channel_sums(g)


_FAKES: dict[str, Callable[..., Any]] = {
    "depthwise_forward": fakes.fake_depthwise_forward,
    "depthwise_backward": fakes.fake_depthwise_backward,
    "channel_moments": fakes.fake_channel_sums,
    "channel_products": fakes.fake_channel_sums,
    "affine_act_forward": _map_like,
    "affine_act_sums": fakes.fake_channel_sums,
    "affine_act_backward": _map_like,
    "combine": fakes.fake_combine,
    "pool_forward": fakes.fake_pool_forward,
    "pool_backward": fakes.fake_pool_backward,
    "corner_moments": _corner_sums,
    "corner_forward": _large_map,
    "corner_sums": lambda g, corners, *_: _corner_sums(corners),
    "corner_backward": lambda g, corners, *_: _map_like(corners),
    "add_doubled": _map_like,
    "add_doubled_backward": _halved,
    "relu_backward_add": _map_like,
    "product": fakes.fake_product,
    "product_backward": fakes.fake_product_backward,
    "product_over_rows": fakes.fake_product_over_rows,
    "unit_forward": fakes.fake_unit_forward,
    "unit_backward": fakes.fake_unit_backward,
}


def register_fakes() -> None:
    """Once, after the library is loaded."""
    for name, function in _FAKES.items():
        torch.library.register_fake(f"separable_cpu::{name}", function)
