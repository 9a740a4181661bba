"""Grad-CAM and integrated gradients against captum and against what can be computed by hand; models left alone."""

import copy
from typing import Any

import pytest
import torch
from captum.attr import IntegratedGradients, LayerGradCam
from torch import Tensor, nn

from separable.analysis.explain import (
    default_layer,
    explain_picture,
    feature_layers,
    feature_maps,
    first_filters,
    grad_cam,
    integrated_gradients,
)
from separable.errors import UsageError
from tests.analysis.explained import CATALOGUE, Awkward, catalogue, pictures
from tests.tolerances import EXPLANATION_FP64, SAME_FORMULA_FLOAT64


def apart(ours: Tensor, theirs: Tensor) -> float:
    """The largest difference over the largest value, which must be worth comparing."""
    assert ours.shape == theirs.shape
    assert float(theirs.abs().max()) > 1e-6
    return float((ours - theirs).abs().max() / theirs.abs().max())


def captum_cam(model: nn.Module, x: Tensor, target: Any, layer: str) -> Tensor:
    model.eval()
    found = LayerGradCam(model, model.get_submodule(layer)).attribute(x.clone().requires_grad_(), target)
    return torch.relu(found)[:, 0].detach()  # type: ignore[union-attr,index]


def tame(model: nn.Module) -> nn.Module:
    """A copy whose first layer does not work in place, which captum's own input cannot bear."""
    model = copy.deepcopy(model).eval()
    for module in model.modules():
        if isinstance(module, nn.Hardtanh):
            module.inplace = False
    return model


def awkward() -> tuple[Awkward, Tensor]:
    torch.manual_seed(2)
    model = Awkward().double()
    x = 1.5 * pictures(3, 16)
    model(x.clone())
    return model, x


# Grad-CAM


@pytest.mark.parametrize("name", CATALOGUE)
def test_grad_cam_is_captums(name: str) -> None:
    model, x = catalogue(name)
    chain: tuple[str, ...] = model.chain  # type: ignore[assignment]
    for layer, target in ((None, 3), (chain[-1], [4, 0]), (chain[len(chain) // 2], torch.tensor([1, 2]))):
        ours = grad_cam(model, x, target, layer)
        assert float(ours.min()) >= 0
        wanted = torch.tensor(target) if isinstance(target, list) else target
        theirs = captum_cam(copy.deepcopy(model), x, wanted, layer or chain[-1])
        assert theirs.shape[1] > 1
        assert apart(ours, theirs) < EXPLANATION_FP64


@pytest.mark.parametrize("layer", ["conv1", "bn1", "conv2", "conv3", "scale"])
def test_grad_cam_is_captums_where_activations_work_in_place(layer: str) -> None:
    """The map is what the layer itself put out, though the next one overwrites it."""
    model, x = awkward()
    for target in range(4):
        theirs = captum_cam(tame(model), x.clone(), target, layer)
        if float(theirs.abs().max()) > 0:
            assert apart(grad_cam(model, x, target, layer), theirs) < EXPLANATION_FP64
    assert bool((feature_maps(model, x, "conv3") < 0).any())


def test_with_pooling_and_a_linear_layer_it_is_the_class_activation_map() -> None:
    """Arxiv:1512.04150, equation 2: the sum of w_k A_k; Grad-CAM is its positive part over the number of positions."""
    model, x = awkward()
    model.eval()
    with torch.no_grad():
        maps = torch.relu(model.conv3(torch.relu(model.conv2(torch.relu(model.bn1(model.conv1(x.clamp(-2, 2))))))))
    for target in range(4):
        weighted = (model.fc.weight[target, None, :, None, None] * maps).sum(1).detach()
        assert bool((weighted < 0).any())
        positions = maps.shape[2] * maps.shape[3]
        ours = grad_cam(model, x, target)
        torch.testing.assert_close(ours, weighted.relu() / positions, rtol=0, atol=SAME_FORMULA_FLOAT64)


def test_without_a_target_it_is_the_class_with_the_largest_logit() -> None:
    model, x = awkward()
    model.eval()
    best = model(x.clone()).argmax(1)
    assert torch.equal(grad_cam(model, x), grad_cam(model, x, best))
    assert torch.equal(integrated_gradients(model, x, steps=2).target, best)


# integrated gradients


@pytest.mark.parametrize("name", CATALOGUE)
def test_integrated_gradients_are_captums(name: str) -> None:
    model, x = catalogue(name)
    baseline = torch.full_like(x, -1.0)
    ours = integrated_gradients(model, x, [2, 4], baseline, steps=8)
    theirs, delta = IntegratedGradients(copy.deepcopy(model).eval()).attribute(
        x.clone(), baseline, torch.tensor([2, 4]), n_steps=8, method="riemann_middle", return_convergence_delta=True
    )
    assert apart(ours.values, theirs) < EXPLANATION_FP64
    torch.testing.assert_close(ours.gap, delta, rtol=0, atol=1e-9)


def test_integrated_gradients_are_captums_for_an_awkward_network() -> None:
    model, x = awkward()
    ours = integrated_gradients(model, x, 1, baseline=-0.25, steps=16)
    oracle = IntegratedGradients(tame(model))
    theirs = oracle.attribute(x.clone(), -0.25, 1, n_steps=16, method="riemann_middle")
    assert apart(ours.values, theirs) < EXPLANATION_FP64


def test_of_a_linear_network_they_are_the_weights_times_the_way() -> None:
    torch.manual_seed(3)
    model = nn.Sequential(nn.Flatten(), nn.Linear(3 * 5 * 7, 4)).double()
    x, start = torch.randn(2, 2, 3, 5, 7, dtype=torch.float64)
    found = integrated_gradients(model, x, [3, 1], start)
    weights = model[1].weight.detach()[[3, 1]].view(2, 3, 5, 7)
    torch.testing.assert_close(found.values, (x - start) * weights, rtol=0, atol=SAME_FORMULA_FLOAT64)
    assert found.steps == (16, 16)
    assert float(found.gap.abs().max()) < SAME_FORMULA_FLOAT64
    assert float(found.share.max()) < 1e-10


def test_completeness_is_reported_as_it_is() -> None:
    model, x = awkward()
    found = integrated_gradients(model, x, 2, -1.0)
    model.eval()
    with torch.no_grad():
        difference = (model(x.clone()) - model(torch.full_like(x, -1.0)))[:, 2]
    torch.testing.assert_close(found.difference, difference)
    torch.testing.assert_close(found.gap, found.values.sum((1, 2, 3)) - difference)
    torch.testing.assert_close(found.share, (found.gap / difference).abs())
    assert float(found.share.max()) <= 0.05
    tight = integrated_gradients(model, x, 2, -1.0, largest_gap=0.01)
    assert float(tight.share.max()) <= 0.01
    assert max(tight.steps) > max(found.steps)
    assert set(tight.steps) <= {16, 48, 144, 432}


def test_steps_that_are_kept_are_the_steps_taken_at_once() -> None:
    model, x = awkward()
    kept = integrated_gradients(model, x, 0, largest_gap=0.0)
    assert kept.steps == (432,) * 3
    at_once = integrated_gradients(model, x, 0, steps=432)
    torch.testing.assert_close(kept.values, at_once.values, rtol=0, atol=1e-12)


def test_the_rule_is_of_second_order() -> None:
    """On a smooth network the midpoint rule's error falls ninefold when the steps are tripled."""
    torch.manual_seed(4)
    model = nn.Sequential(nn.Conv2d(3, 4, 3), nn.Tanh(), nn.Flatten(), nn.Linear(4 * 36, 2), nn.Sigmoid()).double()
    x = pictures(1, 8)
    gaps = [float(integrated_gradients(model, x, 0, steps=steps).gap.abs()) for steps in (12, 36, 108)]
    assert gaps[0] / gaps[1] == pytest.approx(9, rel=0.05)
    assert gaps[1] / gaps[2] == pytest.approx(9, rel=0.05)


def test_no_way_no_difference() -> None:
    model, x = awkward()
    found = integrated_gradients(model, x, 0, x)
    assert float(found.values.abs().max()) == 0
    assert found.share.tolist() == [0.0, 0.0, 0.0]
    assert found.steps == (16, 16, 16)


# whatever the batch, the layout, the mode


@pytest.mark.parametrize("kind", ["awkward", "mobilenet_v1"])
def test_a_picture_is_explained_alike_alone_and_among_others(kind: str) -> None:
    model, x = awkward() if kind == "awkward" else catalogue(kind)
    steps = None if kind == "awkward" else 4
    together, values = grad_cam(model, x, 1), integrated_gradients(model, x, 1, steps=steps)
    for index in range(len(x)):
        alone = integrated_gradients(model, x[index : index + 1], 1, steps=steps)
        torch.testing.assert_close(grad_cam(model, x[index : index + 1], 1)[0], together[index], rtol=0, atol=1e-12)
        torch.testing.assert_close(alone.values[0], values.values[index], rtol=0, atol=1e-12)
        assert alone.steps == (values.steps[index],)


@pytest.mark.parametrize("name", CATALOGUE)
def test_channels_last_changes_nothing(name: str) -> None:
    model, x = catalogue(name)
    cam, values = grad_cam(model, x, 1), integrated_gradients(model, x, 1, steps=2).values
    model = model.to(memory_format=torch.channels_last)  # type: ignore[call-overload]
    x = x.contiguous(memory_format=torch.channels_last)
    assert apart(grad_cam(model, x, 1), cam) < EXPLANATION_FP64
    assert apart(integrated_gradients(model, x, 1, steps=2).values, values) < EXPLANATION_FP64


def test_it_works_where_gradients_are_off() -> None:
    model, x = awkward()
    cam, values = grad_cam(model, x, 1), integrated_gradients(model, x, 1, steps=2).values
    with torch.inference_mode():
        assert torch.equal(grad_cam(model, x.clone(), 1), cam)
        assert torch.equal(integrated_gradients(model, x.clone(), 1, steps=2).values, values)
    with torch.no_grad():
        assert torch.equal(grad_cam(model, x, 1), cam)


@pytest.mark.parametrize("kind", ["awkward", *CATALOGUE])
def test_the_model_is_left_as_it_was(kind: str) -> None:
    model, x = awkward() if kind == "awkward" else catalogue(kind)
    modules = dict(model.named_modules())
    next(iter(reversed(modules.values()))).train(False)  # a mixture of modes, as after freezing
    for index, parameter in enumerate(model.parameters()):
        parameter.requires_grad_(index % 3 != 0)
        parameter.grad = torch.full_like(parameter, 7.0) if index % 2 else None
    given, state = x.clone(), {name: value.clone() for name, value in model.state_dict().items()}

    def signs() -> list[Any]:
        hooks = [len(m._forward_hooks) + len(m._forward_pre_hooks) + len(m._backward_hooks) for m in modules.values()]
        wanted = [(p.requires_grad, None if p.grad is None else float(p.grad.sum())) for p in model.parameters()]
        return [[m.training for m in modules.values()], hooks, wanted]

    before = signs()
    assert len(set(before[0])) == 2
    layers = feature_layers(model, x)
    explain_picture(model, x[:1], default_layer(model, layers), layers[:2], classes=(1,), steps=2)
    integrated_gradients(model, x, 0, steps=2)
    first_filters(model).zero_()
    with pytest.raises(UsageError):
        grad_cam(model, x, 99)
    with pytest.raises(RuntimeError):
        grad_cam(model, x[:, :2])
    assert signs() == before
    assert torch.equal(x, given)
    assert not x.requires_grad
    assert all(torch.equal(value, state[name]) for name, value in model.state_dict().items())
