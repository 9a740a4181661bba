"""The optimisers of the papers, and which parameters they decay."""

from collections.abc import Callable, Iterable, Iterator
from typing import Any

import torch
from torch import nn

from separable.errors import UsageError
from separable.models.base import ImageModel
from separable.training.config import Recipe
from separable.training.recipes import scaled_learning_rate

__all__ = ["RMSPropTF1", "build_optimiser", "parameter_groups", "parameter_kind", "set_learning_rate"]


class RMSPropTF1(torch.optim.Optimizer):
    """RMSProp as TensorFlow 1 computes it, which at epsilon 1.0 is another optimiser than `torch.optim.RMSprop`.

        v <- rho v + (1 - rho) g^2            v starts at 1, not 0
        m <- momentum m + rate g / sqrt(v + epsilon)      epsilon inside the root; the rate inside the momentum
        w <- w - m

    Weight decay is L2: added to g before all of this, as TF-slim's regularisers do. Every tensor of a group goes
    through one foreach call an operation.
    """

    def __init__(
        self,
        parameters: Iterable[Any],
        lr: float = 0.045,
        rho: float = 0.9,
        momentum: float = 0.9,
        epsilon: float = 1.0,
        weight_decay: float = 0.0,
    ) -> None:
        if epsilon <= 0 or not 0 <= rho < 1:
            raise UsageError(
                "Illegal RMSProp setting", got=f"epsilon={epsilon}, rho={rho}", expected="epsilon > 0 and 0 <= rho < 1"
            )
        defaults = {"lr": lr, "rho": rho, "momentum": momentum, "epsilon": epsilon, "weight_decay": weight_decay}
        super().__init__(parameters, defaults)

    @torch.no_grad()
    def step(self, closure: Callable[[], float] | None = None) -> float | None:  # type: ignore[override]
        """One update of every parameter that has a gradient."""
        loss = None
        if closure is not None:
            with torch.enable_grad():
                loss = closure()
        for group in self.param_groups:
            weights = [weight for weight in group["params"] if weight.grad is not None]
            if weights:
                self._update(group, weights)
        return loss

    def _update(self, group: dict[str, Any], weights: list[torch.Tensor]) -> None:
        for weight in weights:
            state = self.state[weight]
            if not state:
                state["square_average"] = torch.ones_like(weight)
                state["momentum"] = torch.zeros_like(weight)
        gradients = [weight.grad for weight in weights if weight.grad is not None]
        averages = [self.state[weight]["square_average"] for weight in weights]
        momenta = [self.state[weight]["momentum"] for weight in weights]
        if group["weight_decay"]:
            gradients = list(torch._foreach_add(gradients, weights, alpha=group["weight_decay"]))
        torch._foreach_mul_(averages, group["rho"])
        torch._foreach_addcmul_(averages, gradients, gradients, value=1 - group["rho"])
        roots = torch._foreach_add(averages, group["epsilon"])
        torch._foreach_sqrt_(roots)
        torch._foreach_mul_(momenta, group["momentum"])
        torch._foreach_addcdiv_(momenta, gradients, roots, value=group["lr"])
        torch._foreach_sub_(weights, momenta)


def parameter_kind(owner: nn.Module, parameter: torch.Tensor) -> str:
    """ "convolution", "depthwise", "dense" for kernels, "other" for biases and batch norm."""
    if parameter.ndim == 2:
        return "dense"
    if parameter.ndim != 4:
        return "other"
    if isinstance(owner, nn.Conv2d):
        return "depthwise" if owner.groups == owner.in_channels > 1 else "convolution"
    return "depthwise" if parameter.shape[1] == 1 < parameter.shape[0] else "convolution"


def parameter_groups(model: ImageModel, recipe: Recipe, batch_size: int) -> list[dict[str, Any]]:
    """Up to four groups: body and head, decayed and not. Each holds `base_lr`, already scaled to `batch_size`.

    The head is the last classifier (`model.get_classifier()`); order within a group is `model.parameters()`'s.
    """
    config = recipe.optimiser
    head = {id(parameter) for parameter in model.get_classifier().parameters()}
    found: dict[tuple[bool, bool], list[nn.Parameter]] = {}
    for owner, parameter in _owned_parameters(model):
        if parameter.requires_grad:
            decayed = bool(config.weight_decay) and parameter_kind(owner, parameter) in config.decayed
            found.setdefault((id(parameter) in head, decayed), []).append(parameter)
    groups = []
    for (is_head, decayed), parameters in sorted(found.items(), key=lambda item: item[0]):
        own = config.head_learning_rate if is_head else None
        rate = scaled_learning_rate(config.learning_rate if own is None else own, recipe, batch_size)
        decay = config.weight_decay if decayed else 0.0
        groups.append({"params": parameters, "lr": rate, "base_lr": rate, "weight_decay": decay})
    return groups


def build_optimiser(model: ImageModel, recipe: Recipe, batch_size: int) -> torch.optim.Optimizer:
    """The recipe's optimiser over `parameter_groups`, in its foreach form."""
    config, groups = recipe.optimiser, parameter_groups(model, recipe, batch_size)
    if config.name == "rmsprop":
        return RMSPropTF1(groups, rho=config.rho, momentum=config.momentum, epsilon=config.epsilon)
    if config.name == "adamw":
        return torch.optim.AdamW(groups, betas=config.betas, eps=config.epsilon, foreach=True)
    return torch.optim.SGD(
        groups, lr=config.learning_rate, momentum=config.momentum, nesterov=config.nesterov, foreach=True
    )


def set_learning_rate(optimiser: torch.optim.Optimizer, factor: float) -> float:
    """Set every group's rate to `factor` times its own; returns the body's (the first group's)."""
    for group in optimiser.param_groups:
        group["lr"] = group["base_lr"] * factor
    return float(optimiser.param_groups[0]["lr"])


def _owned_parameters(model: nn.Module) -> Iterator[tuple[nn.Module, nn.Parameter]]:
    seen: set[int] = set()
    for module in model.modules():
        for parameter in module.parameters(recurse=False):
            if id(parameter) not in seen:
                seen.add(id(parameter))
                yield module, parameter
