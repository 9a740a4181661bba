"""What a training step does to every network: gradients, statistics, dropout, checkpointing, auxiliary heads."""

from collections.abc import Callable
from typing import Any

import pytest
import torch
from torch import Tensor, nn

from separable.blocks import KeyedDropout, set_dropout_keys
from separable.models import ImageModel, list_models, model_spec
from tests.models.small import NETWORKS, each_case, logits, make, pictures

AUXILIARY = {
    "inception_resnet_v2": 1,
    "inception_v1": 2,
    "inception_v2": 1,
    "inception_v3": 1,
    "inception_v4": 1,
}


def outputs(model: nn.Module, x: Tensor) -> tuple[Tensor, ...]:
    out = model(x)
    return out if isinstance(out, tuple) else (out,)


def undropped(model: ImageModel) -> ImageModel:
    for layer in model.modules():
        if isinstance(layer, KeyedDropout):
            layer.p = 0.0
    return model


def loss(model: nn.Module, x: Tensor) -> Tensor:
    weights = torch.linspace(-1, 1, 5)
    return torch.stack([(out * weights).sum() for out in outputs(model, x)]).sum()


@each_case
def test_gradients_reach_every_parameter(case: str) -> None:
    model = undropped(make(case)).train()
    loss(model, pictures(model, 3)).backward()
    lost = [name for name, p in model.named_parameters() if p.grad is None or not p.grad.any()]
    assert not lost
    assert all(p.grad.isfinite().all() for p in model.parameters() if p.grad is not None)


@each_case
def test_running_statistics_take_in_a_hundredth_of_the_batch(case: str) -> None:
    """Each batch normalisation sees one batch, of more than one value, and keeps 99 % of what it had."""
    model = undropped(make(case)).train()
    norms = {name: layer for name, layer in model.named_modules() if isinstance(layer, nn.BatchNorm2d)}
    seen: dict[str, Tensor] = {}

    def remember(name: str) -> Callable[..., None]:
        return lambda _module, inputs: seen.update({name: inputs[0].detach().movedim(1, 0).flatten(1)})

    for name, norm in norms.items():
        norm.register_forward_pre_hook(remember(name))
    with torch.no_grad():
        model(pictures(model, 3))
    assert set(seen) == set(norms)
    for name, norm in norms.items():
        assert norm.num_batches_tracked == 1
        torch.testing.assert_close(norm.running_mean, 0.01 * seen[name].mean(1), rtol=1e-3, atol=1e-5, msg=name)
        torch.testing.assert_close(norm.running_var, 0.99 + 0.01 * seen[name].var(1), rtol=1e-3, atol=1e-5, msg=name)


@each_case
def test_dropout_drops_and_keys_pin_it(case: str) -> None:
    model = make(case, dropout=0.5).train()
    features = torch.rand(4, model.num_features, 2, 2) * 5
    first, second = (model.forward_head(features).detach() for _ in range(2))
    assert (first - second).abs().max() > 1e-3 * first.abs().max()
    set_dropout_keys(model, torch.arange(4))
    whole = model.forward_head(features)
    set_dropout_keys(model, torch.arange(2, 4))
    torch.testing.assert_close(model.forward_head(features[2:]), whole[2:])
    still = model.eval().forward_head(features)
    assert torch.equal(model.forward_head(features), still)


@pytest.mark.parametrize(
    ("case", "aux"), [*((case, False) for case in NETWORKS), *((case, True) for case in AUXILIARY)]
)
def test_checkpointing_changes_memory_only(case: str, aux: bool) -> None:
    """Same loss, gradients and running statistics: the second forward must not count the batch again."""
    more: dict[str, Any] = {"aux_head": True} if aux else {}
    results = []
    for enable in (False, True):
        model = undropped(make(case, **more)).train()
        model.set_grad_checkpointing(enable)
        runs: list[int] = []
        model.get_submodule(model.chain[0]).register_forward_pre_hook(lambda *_, runs=runs: runs.append(1))
        torch.manual_seed(1)
        loss(model, pictures(model)).backward()
        assert len(runs) == 1 + enable
        gradients = {name: p.grad for name, p in model.named_parameters()}
        results.append((gradients, dict(model.named_buffers())))
    for plain, recomputed in zip(*results, strict=True):
        for name, value in plain.items():
            torch.testing.assert_close(recomputed[name], value, rtol=1e-4, atol=1e-6, msg=name)


@pytest.mark.parametrize("case", AUXILIARY)
def test_auxiliary_logits_come_in_training_only(case: str) -> None:
    model, plain = make(case, aux_head=True), make(case)
    x = pictures(model)
    out = model.train()(x)
    assert [o.shape for o in out] == [(2, 5)] * (1 + AUXILIARY[case])
    assert len(model.aux_heads) == AUXILIARY[case]
    plain.load_state_dict({k: v for k, v in model.state_dict().items() if not k.startswith("aux_head")})
    assert torch.equal(logits(plain, x), logits(model, x)), "the auxiliary head leaves the answer alone"


def test_no_other_network_has_an_auxiliary_head() -> None:
    assert {name for name in list_models() if "aux_head" in model_spec(name).options} == set(AUXILIARY)
