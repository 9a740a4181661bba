"""timm's and torchvision's own networks with our weights: the same loss, and every gradient under our name."""

from contextlib import nullcontext
from pathlib import Path

import pytest
import safetensors.torch
import torch
from torch import Tensor, nn

from separable.benchmarking.contest import Task
from separable.benchmarking.peers.networks import (
    _without_dropout,
    build_network,
    demand_certain,
    peer_gradients,
    peer_network,
)
from separable.benchmarking.referee import give, give_weights
from separable.errors import UsageError, WeightsMismatchError
from tests.tolerances import PORT_PARITY

CASES = [
    ("timm", "mobilenet_v1", 64),
    ("timm", "timm:mobilenetv1_100", 64),
    ("torchvision", "inception_v3", 75),
]


def step(model: nn.Module, side: int) -> float:
    """Loss of one forward and backward pass on two pictures."""
    generator = torch.Generator().manual_seed(1)
    logits = model.train()(torch.randn(2, 3, side, side, generator=generator))
    loss = nn.functional.cross_entropy(logits, torch.tensor([1, 2]))
    loss.backward()
    return loss.item()


def gradients(model: nn.Module) -> dict[str, Tensor]:
    return {name: value.grad for name, value in model.named_parameters() if value.grad is not None}


@pytest.mark.parametrize(("framework", "network", "side"), CASES)
def test_loss_and_every_gradient_are_those_of_the_network_that_defines(
    framework: str, network: str, side: int, tmp_path: Path
) -> None:
    ours = build_network(network, 10, framework)
    safetensors.torch.save_file(ours.state_dict(), tmp_path / "weights.safetensors")
    theirs = peer_network(framework, network, 10, tmp_path / "weights.safetensors")
    assert step(theirs, side) == pytest.approx(step(ours, side), rel=PORT_PARITY)
    expected, got = gradients(ours), peer_gradients(framework, network, theirs, 10)
    assert set(got) == set(expected) == {name for name, _ in ours.named_parameters()}
    for name, value in expected.items():
        assert (got[name] - value).abs().max() <= PORT_PARITY * value.abs().max().clamp(min=1e-6), name


@pytest.mark.parametrize(
    ("framework", "network", "side"),
    [
        *CASES,
        ("timm", "timm:efficientnet_b0", 64),
        ("timm", "timm:convnext_tiny", 64),
        ("timm", "inception_v4", 96),
        ("torchvision", "squeezenet", 64),
    ],
)
def test_no_network_drops_anything(framework: str, network: str, side: int) -> None:
    """Those that the documentation names, and those whose framework has dropout in them."""
    demand_certain(network, peer_network(framework, network, 10), torch.randn(2, 3, side, side))


def test_dropout_of_every_kind_is_cleared() -> None:
    """timm's functional dropout and its DropPath, torchvision's StochasticDepth, and torch's own layers."""

    class Functional(nn.Module):
        drop_rate = 0.5

        def forward(self, x: Tensor) -> Tensor:
            return nn.functional.dropout(x, self.drop_rate, self.training)

    class DropPath(nn.Module):
        drop_prob = 0.5

        def forward(self, x: Tensor) -> Tensor:
            return nn.functional.dropout1d(x, self.drop_prob, self.training)

    class StochasticDepth(nn.Module):
        p = 0.5

        def forward(self, x: Tensor) -> Tensor:
            return nn.functional.dropout2d(x, self.p, self.training)

    for layer in (Functional(), DropPath(), StochasticDepth(), nn.Dropout(), nn.Dropout2d(), nn.AlphaDropout()):
        x = torch.ones(8, 16, 4, 4) if isinstance(layer, StochasticDepth | nn.Dropout2d) else torch.ones(8, 16, 4)
        with pytest.raises(UsageError, match=r"net drops something at random while it trains\. Got: two passes"):
            demand_certain("net", nn.Sequential(layer), x)
        demand_certain("net", _without_dropout(nn.Sequential(layer)), x)


def test_a_network_that_throws_dice_is_refused_before_it_is_timed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def build(*_: object) -> nn.Module:
        return nn.Sequential(nn.Flatten(), nn.Linear(48, 8), nn.Dropout())

    monkeypatch.setattr("separable.benchmarking.referee.build_network", build)
    for verb in ("infer", "train"):
        task = Task(verb, 2, 4, classes=8)
        given = give(task, tmp_path)
        with pytest.raises(UsageError) if verb == "train" else nullcontext():
            give_weights(task, given, "net", "keras")
        given.weights("net", "keras").unlink(missing_ok=True)


def test_our_own_numerics_are_not_timms() -> None:
    assert build_network("mobilenet_v1", 10).input_contract != build_network("mobilenet_v1", 10, "timm").input_contract  # type: ignore[union-attr]


def test_a_framework_that_lacks_the_network_says_so() -> None:
    with pytest.raises(
        WeightsMismatchError, match=r"torchvision has no xception\. Expected: one of .*inception_v3, .*Leave"
    ):
        build_network("xception", 10, "torchvision")
