"""Python's own numbers in place of numpy's and torch's: `labels.max() + 1` is no `int`, and JSON wants one."""

import operator

import numpy as np
from torch import Tensor

__all__ = ["plain"]


def plain(value: object) -> object:
    """`value` with every scalar of numpy or torch, or anything else with `__index__`, as Python's own; in lists and
    dicts too.

    What is no number is given back as it is.
    """
    if isinstance(value, np.generic) or (isinstance(value, Tensor | np.ndarray) and value.ndim == 0):
        return value.item()
    if isinstance(value, np.ndarray):
        return value.tolist()
    if type(value) in (list, tuple):
        entries = map(plain, value)  # type: ignore[call-overload]
        return list(entries) if isinstance(value, list) else tuple(entries)
    if type(value) is dict:
        return {plain(key): plain(entry) for key, entry in value.items()}
    if hasattr(type(value), "__index__") and not isinstance(value, int | Tensor):
        return operator.index(value)  # type: ignore[arg-type]
    return value
