"""timm's and torchvision's own networks with our weights: the same loss, and every gradient under our name."""

from pathlib import Path

import pytest
import safetensors.torch
import torch
from torch import Tensor, nn

from separable.benchmarking.peers.networks import build_network, peer_gradients, peer_network
from separable.errors import WeightsMismatchError
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


def test_no_network_drops_anything() -> None:
    for framework, network, side in CASES:
        model = peer_network(framework, network, 10).train()
        x = torch.randn(2, 3, side, side)
        with torch.no_grad():
            assert torch.equal(model(x), model(x)), network


def test_our_own_numerics_are_not_timms() -> None:
    assert build_network("mobilenet_v1", 10).input_contract != build_network("mobilenet_v1", 10, "timm").input_contract  # type: ignore[union-attr]


def test_a_framework_that_lacks_the_network_says_so() -> None:
    with pytest.raises(WeightsMismatchError, match="torchvision has no xception"):
        build_network("xception", 10, "torchvision")
