"""The same function in a network with another framework's options and epsilon, and how far what is left is from it.

With batch normalisation y = gamma (x - mean) / sqrt(var + eps) + beta, a change of epsilon is taken in by the variance:
var' = var + eps - eps'. Where that would be below 0, var' is 0 and gamma takes in the rest. A gamma that the other
network lacks goes into the convolution before it, and so does a convolution's bias into the mean after it.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn

from separable.errors import WeightsMismatchError
from separable.models.base import ImageModel
from separable.models.build import build_model
from separable.models.contract import InputContract

__all__ = ["Refitted", "refit"]


@dataclass(frozen=True)
class Refitted:
    """A network for another framework, what was done to its weights, and whether they are the old ones to the bit."""

    model: ImageModel
    notes: tuple[str, ...]
    same: bool


@torch.no_grad()
def refit(
    model: ImageModel,
    options: Mapping[str, Any],
    contract: InputContract,
    *,
    convolutions: Mapping[str, str] | None = None,
) -> Refitted:
    """A network of these `options` and this contract with the weights of `model`.

    Without anything to fold, its weights are those of `model` to the bit. It computes what the other framework will:
    where that differs from `model` (borders, averages), so does it.

    Args:
        options: all of them; gammas, biases and auxiliary heads may come and go.
        contract: with the other framework's numerics.
        convolutions: by the name of a batch normalisation the convolution before it, where that may take in a gamma.

    Raises:
        WeightsMismatchError: something is left over that cannot be folded.
    """
    state = {name: value.detach().cpu() for name, value in model.state_dict().items()}
    with torch.device("meta"):
        twin = build_model(model.name, model.num_classes, **options)
    norms = {name: norm for name, norm in model.named_modules() if isinstance(norm, nn.BatchNorm2d)}
    wanted, convolutions = twin.state_dict(), convolutions or {}
    added = _add_gammas(state, wanted, norms)
    folded = _fold_biases(state, wanted, convolutions)
    folded += _fold_epsilon(state, norms, contract.batch_norm_eps)
    folded += _fold_gammas(state, wanted, norms, convolutions)
    if dropped := [name for name in state if name.startswith("aux_head") and name not in wanted]:
        added.append("the auxiliary head was left out")
    state = {name: value for name, value in state.items() if name not in dropped}
    _check_complete(model, state, wanted)
    twin.load_state_dict(state, assign=True)
    twin.adopt(contract)
    return Refitted(twin.eval(), (*added, *folded), same=not folded)


def _fold_biases(state: dict[str, Tensor], wanted: Mapping[str, Tensor], convolutions: Mapping[str, str]) -> list[str]:
    """Convolution biases that are not wanted go into the mean of the batch normalisation behind them."""
    folded = 0
    for norm, conv in convolutions.items():
        bias = state.get(f"{conv}.bias")
        if bias is not None and f"{conv}.bias" not in wanted:
            del state[f"{conv}.bias"]
            state[f"{norm}.running_mean"] = state[f"{norm}.running_mean"] - bias
            folded += 1
    return [f"{folded} convolution biases moved into the running means that follow them"] if folded else []


def _add_gammas(
    state: dict[str, Tensor], wanted: Mapping[str, Tensor], norms: Mapping[str, nn.BatchNorm2d]
) -> list[str]:
    added = [name for name in norms if f"{name}.weight" in wanted and f"{name}.weight" not in state]
    for name in added:
        state[f"{name}.weight"] = torch.ones_like(state[f"{name}.bias"])
    return ["a gamma of 1 was added to each batch normalisation"] if added else []


def _fold_epsilon(state: dict[str, Tensor], norms: Mapping[str, nn.BatchNorm2d], eps: float) -> list[str]:
    changed = {name: norm.eps for name, norm in norms.items() if norm.eps != eps}
    clipped = 0
    for name, own in changed.items():
        variance = state[f"{name}.running_var"].double() + own
        below = variance < eps
        if below.any():
            gamma = state.get(f"{name}.weight", torch.ones_like(state[f"{name}.bias"])).double()
            share = torch.where(below, (eps / variance).sqrt(), 1.0)
            state[f"{name}.weight"] = (gamma * share).to(state[f"{name}.running_var"].dtype)
            clipped += int(below.sum())
        variance = (variance - eps).clamp(min=0)
        state[f"{name}.running_var"] = variance.to(state[f"{name}.running_var"].dtype)
    if not changed:
        return []
    old = ", ".join(sorted({f"{own:g}" for own in changed.values()}))
    note = f"epsilon {old} folded into the running variances, for one of {eps:g}"
    return [note + (f"; in {clipped} channels of less variance into gamma" if clipped else "")]


def _fold_gammas(
    state: dict[str, Tensor],
    wanted: Mapping[str, Tensor],
    norms: Mapping[str, nn.BatchNorm2d],
    convolutions: Mapping[str, str],
) -> list[str]:
    folded = 0
    for name in norms:
        gamma = state.get(f"{name}.weight")
        if gamma is None or f"{name}.weight" in wanted or name not in convolutions:
            continue
        del state[f"{name}.weight"]
        if not bool((gamma == 1).all()):
            kernel = f"{convolutions[name]}.weight"
            state[kernel] = state[kernel] * gamma[:, None, None, None]
            state[f"{name}.running_mean"] = state[f"{name}.running_mean"] * gamma
            folded += 1
    return [f"the gammas of {folded} batch normalisations went into the convolutions before them"] if folded else []


def _check_complete(model: ImageModel, state: Mapping[str, Tensor], wanted: Mapping[str, Tensor]) -> None:
    missing, surplus = sorted(set(wanted) - set(state)), sorted(set(state) - set(wanted))
    if missing or surplus:
        raise WeightsMismatchError(
            f"This {model.name} has other layers than the network it is to be written for",
            got=f"missing {missing[:3]}, left over {surplus[:3]}",
            fix="Write it in separable's own format",
        )
