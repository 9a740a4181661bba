"""The arithmetic of every Triton operator in plain torch, and how far something is from it."""

from collections.abc import Callable, Sequence

import torch
import torch.nn.functional as F
from torch import Tensor

__all__ = ["act", "check", "distances", "gradients"]

Function = Callable[..., tuple[Tensor, ...]]


def act(x: Tensor, scale: Tensor | None, shift: Tensor | None, relu: bool) -> Tensor:
    a = x if scale is None or shift is None else x * scale[:, None, None] + shift[:, None, None]
    return F.relu(a) if relu else a


def gradients(function: Function, inputs: Sequence[Tensor | None], dtypes: Sequence[torch.dtype]) -> list[Tensor]:
    """Outputs and gradients under fixed cotangents that differ."""
    leaves = [
        None if t is None else t.detach().to(dtype).requires_grad_() for t, dtype in zip(inputs, dtypes, strict=True)
    ]
    outputs = function(*leaves)
    total = torch.zeros((), dtype=torch.float64)
    for number, y in enumerate(outputs):
        weights = torch.linspace(-1, 1 + number, y.numel(), dtype=torch.float64).view(y.shape)
        total = total + (y.double() * weights).sum() / y.numel()
    total.backward()
    kept = [leaf.grad for leaf in leaves if leaf is not None]
    return [y.detach() for y in outputs] + [g for g in kept if g is not None]


def distances(got: Sequence[Tensor], truth: Sequence[Tensor]) -> list[float]:
    assert len(got) == len(truth)
    assert [g.shape for g in got] == [t.shape for t in truth]
    pairs = zip(got, truth, strict=True)
    return [((g.double() - t).abs().max() / t.abs().max().clamp(min=1e-9)).item() for g, t in pairs]


def check(
    ours: Sequence[Tensor], theirs: Sequence[Tensor], truth: Sequence[Tensor], ratio: float, floor: float
) -> None:
    """Each of ours at most `ratio` times as far from fp64 as plain torch's, or `floor`."""
    found = zip(distances(ours, truth), distances(theirs, truth), strict=True)
    for number, (own, their) in enumerate(found):
        assert own <= ratio * max(their, floor), f"number {number}: {own} against {their}"
