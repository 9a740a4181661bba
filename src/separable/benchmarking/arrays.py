"""Tensors as the gate compares them."""

import numpy as np
import torch
from torch import Tensor

__all__ = ["as_array"]


def as_array(value: Tensor) -> np.ndarray:
    """In fp64 where it is fp64, else in fp32, which numpy knows."""
    dtype = torch.float64 if value.dtype == torch.float64 else torch.float32
    array: np.ndarray = value.detach().cpu().to(dtype).numpy()
    return array
