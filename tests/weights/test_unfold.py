"""Folded batch norm gets its statistics back without the evaluated function moving."""

import pytest
import torch
from torch import nn

from separable.errors import ModelOptionError, UsageError
from separable.models.base import ImageModel
from separable.models.build import build_model
from separable.weights import unfold_batch_norm
from tests.tolerances import FOLDED_WEIGHTS


def folded_net() -> ImageModel:
    """A network as a folded file leaves it: mean 0, variance 1 - eps, gamma 1, and maps far from that."""
    torch.manual_seed(0)
    model = build_model("mobilenet_v1", 10, width=0.25, dropout=0.0).eval()
    for norm in model.modules():
        if isinstance(norm, nn.BatchNorm2d):
            nn.init.constant_(norm.running_var, 1 - norm.eps)  # type: ignore[arg-type] - a buffer that is there
            nn.init.uniform_(norm.bias, 0.0, 2.0)
    return model


def batches() -> list[torch.Tensor]:
    generator = torch.Generator().manual_seed(1)
    return [torch.rand(count, 3, 48, 40, generator=generator) * 2 - 1 for count in (3, 5, 1)]


def test_the_function_stays_and_the_statistics_are_those_of_the_data() -> None:
    model = folded_net()
    model.head.train()  # type: ignore[union-attr] - this model has a head
    everything = torch.cat(batches())
    seen: dict[str, torch.Tensor] = {}
    norms = {name: norm for name, norm in model.named_modules() if isinstance(norm, nn.BatchNorm2d)}
    with torch.no_grad():
        hooks = [
            norm.register_forward_pre_hook(lambda _, inputs, name=name: seen.update({name: inputs[0].double()}))
            for name, norm in norms.items()
        ]
        expected = model(everything)
        for hook in hooks:
            hook.remove()
        assert unfold_batch_norm(model, iter(batches())) == len(norms) == 27
        assert model.head.training
        assert not model.block3.training
        assert (model(everything) - expected).abs().max() < FOLDED_WEIGHTS * expected.abs().max()
        for name, norm in norms.items():
            mean, variance = seen[name].mean((0, 2, 3)), seen[name].var((0, 2, 3), unbiased=False)
            torch.testing.assert_close(norm.running_mean.double(), mean, rtol=1e-5, atol=1e-6)
            torch.testing.assert_close(norm.running_var.double(), variance, rtol=1e-5, atol=1e-9)


def test_training_mode_then_computes_the_same() -> None:
    model, before = folded_net(), folded_net()
    everything = torch.cat(batches())
    unfold_batch_norm(model, batches())
    with torch.no_grad():
        expected = before(everything)
        trained = model.train()(everything)
        assert (trained - expected).abs().max() < FOLDED_WEIGHTS * expected.abs().max()
        assert (before.train()(everything) - expected).abs().max() > 0.1 * expected.abs().max()  # without it, broken


def test_it_needs_pictures_and_gammas() -> None:
    model = folded_net()
    with pytest.raises(UsageError, match=r"needs pictures\. Got: no batches"):
        unfold_batch_norm(model, [])
    with pytest.raises(ModelOptionError, match=r"has no gamma to unfold into\. Build the model with gamma=True"):
        unfold_batch_norm(build_model("inception_v3", 10, width=0.125), batches())
