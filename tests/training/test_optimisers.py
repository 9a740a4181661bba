from dataclasses import replace

import numpy as np
import pytest
import torch
from torch import nn

from separable.models import build_model
from separable.training.config import OptimiserConfig, Recipe
from separable.training.optimisers import RMSPropTF1, build_optimiser, parameter_groups, set_learning_rate
from separable.training.recipes import RECIPES
from tests.tolerances import OPTIMISER_FP64


def tf1_rmsprop(w, gradients, rates, *, rho, momentum, epsilon, decay):
    """training_ops.h, ApplyRMSProp, in numpy: what TensorFlow 1 did."""
    ms, mom = np.ones_like(w), np.zeros_like(w)
    for g, rate in zip(gradients, rates, strict=True):
        g = g + decay * w
        ms = ms + (g * g - ms) * (1 - rho)
        mom = mom * momentum + g * rate / np.sqrt(ms + epsilon)
        w = w - mom
    return w


@pytest.mark.parametrize("epsilon", [1.0, 1e-10])
def test_rmsprop_is_tensorflows(epsilon: float) -> None:
    random = np.random.default_rng(0)
    start = {"a": random.normal(size=(4, 3)), "b": random.normal(size=7)}
    gradients = {name: [random.normal(size=value.shape) for _ in range(12)] for name, value in start.items()}
    rates = [0.045 * 0.94**i for i in range(12)]
    weights = {name: nn.Parameter(torch.tensor(value)) for name, value in start.items()}
    groups = [{"params": [weights["a"]], "weight_decay": 4e-5}, {"params": [weights["b"]]}]
    optimiser = RMSPropTF1(groups, rho=0.9, momentum=0.9, epsilon=epsilon)
    for i, rate in enumerate(rates):
        for name, weight in weights.items():
            weight.grad = torch.tensor(gradients[name][i])
        for group in optimiser.param_groups:
            group["lr"] = rate
        optimiser.step()
    for name, decay in (("a", 4e-5), ("b", 0.0)):
        expected = tf1_rmsprop(start[name], gradients[name], rates, rho=0.9, momentum=0.9, epsilon=epsilon, decay=decay)
        assert np.abs(weights[name].detach().numpy() - expected).max() < OPTIMISER_FP64
    # The same run with torch's optimiser ends elsewhere: the oracle can tell the two apart.
    other = nn.Parameter(torch.tensor(start["b"]))
    torchs = torch.optim.RMSprop([other], alpha=0.9, momentum=0.9, eps=epsilon)
    for i, rate in enumerate(rates):
        other.grad = torch.tensor(gradients["b"][i])
        torchs.param_groups[0]["lr"] = rate
        torchs.step()
    assert (other - weights["b"]).abs().max() > 1e6 * OPTIMISER_FP64


def test_rmsprop_keeps_the_layout_of_the_weights() -> None:
    weight = nn.Parameter(torch.randn(4, 3, 3, 3).to(memory_format=torch.channels_last))
    weight.grad = torch.randn_like(weight)
    optimiser = RMSPropTF1([weight])
    optimiser.step()
    assert weight.is_contiguous(memory_format=torch.channels_last)
    assert all(state.is_contiguous(memory_format=torch.channels_last) for state in optimiser.state[weight].values())


def names_of(model: nn.Module, groups: list, *, decayed: bool | None = None, rate: float | None = None) -> set[str]:
    names = {id(parameter): name for name, parameter in model.named_parameters()}
    return {
        names[id(parameter)]
        for group in groups
        if (decayed is None or bool(group["weight_decay"]) == decayed) and (rate is None or group["base_lr"] == rate)
        for parameter in group["params"]
    }


def recipe_with(**changes: object) -> Recipe:
    return replace(RECIPES["small"], scaling="none", optimiser=OptimiserConfig(**changes))  # type: ignore[arg-type]


def test_decay_acts_on_convolution_kernels_only() -> None:
    model = build_model("mobilenet_v1", num_classes=3, width=0.25)
    every = {name for name, _ in model.named_parameters()}
    both = names_of(model, parameter_groups(model, recipe_with(weight_decay=1e-4), 32), decayed=True)
    assert both == {name for name, p in model.named_parameters() if p.ndim == 4}
    pointwise = parameter_groups(model, recipe_with(weight_decay=1e-4, decayed=("convolution",)), 32)
    kept = both - names_of(model, pointwise, decayed=True)
    assert len(kept) == 13
    assert all("depthwise" in name for name in kept)
    dense = names_of(
        model, parameter_groups(model, recipe_with(weight_decay=1e-4, decayed=("dense",)), 32), decayed=True
    )
    assert dense == {"head.classifier.weight"}
    assert names_of(model, pointwise) == every


def test_a_stem_on_grey_pictures_is_no_depthwise_filter() -> None:
    model = build_model("xception", num_classes=3, width=0.125, middle_blocks=1, in_channels=1)
    groups = parameter_groups(model, recipe_with(weight_decay=1e-4, decayed=("depthwise",)), 32)
    assert "block1.conv1.conv.weight" not in names_of(model, groups, decayed=True)


def test_the_head_has_its_own_rate() -> None:
    model = build_model("mobilenet_v1", num_classes=3, width=0.25)
    groups = parameter_groups(model, recipe_with(learning_rate=0.01, head_learning_rate=0.5), 32)
    assert names_of(model, groups, rate=0.5) == {"head.classifier.weight", "head.classifier.bias"}
    optimiser = build_optimiser(model, recipe_with(learning_rate=0.01, head_learning_rate=0.5), 32)
    assert set_learning_rate(optimiser, 0.5) == 0.005
    assert [group["lr"] for group in optimiser.param_groups] == [0.005, 0.25]


def test_the_rate_is_scaled_to_the_batch() -> None:
    model = build_model("mobilenet_v1", num_classes=3, width=0.25)
    groups = parameter_groups(model, RECIPES["xception_imagenet"], 192)
    assert [group["base_lr"] for group in groups] == pytest.approx([0.0045] * len(groups))
