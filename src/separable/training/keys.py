"""Keys for the counter-based dropout: pure functions of (seed, step, global sample position)."""

import numpy as np
import torch

__all__ = ["dropout_keys"]

_GOLDEN = np.uint64(0x9E3779B97F4A7C15)


def dropout_keys(seed: int, step: int, positions: torch.Tensor) -> torch.Tensor:
    """One int64 key a sample, of the shape of `positions`; which part of a batch a sample runs in does not matter."""
    with np.errstate(over="ignore"):
        state = _mix(np.asarray([seed % 2**64], dtype=np.uint64) + _GOLDEN)
        state = _mix(state ^ (np.asarray([step], dtype=np.uint64) + _GOLDEN))
        keys = _mix(state ^ (positions.cpu().numpy().astype(np.uint64) + _GOLDEN))
    return torch.from_numpy(keys.view(np.int64))


def _mix(value: np.ndarray) -> np.ndarray:
    """The finaliser of SplitMix64 (Steele, Lea, Flood 2014)."""
    value = (value ^ (value >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
    value = (value ^ (value >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
    return np.asarray(value ^ (value >> np.uint64(31)))
