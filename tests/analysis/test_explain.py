"""Grad-CAM and integrated gradients against captum and against what can be computed by hand; models left alone."""

import copy
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from captum.attr import IntegratedGradients, LayerGradCam
from PIL import Image
from torch import Tensor, nn

from separable.analysis.explain import (
    default_layer,
    explain_picture,
    feature_layers,
    feature_maps,
    finer_layer,
    first_filters,
    grad_cam,
    integrated_gradients,
    telling_layers,
)
from separable.data.decode import decode_picture
from separable.data.preprocess import normalise, prepare
from separable.errors import UsageError
from separable.models import build_model, list_models
from separable.weights import create_model
from tests.analysis.explained import CATALOGUE, Awkward, catalogue, pictures
from tests.models.small import SMALL
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


# which layer


@pytest.mark.parametrize("name", CATALOGUE)
def test_the_last_block_of_a_catalogue_network_is_the_default(name: str) -> None:
    model, x = catalogue(name)
    layer = default_layer(model, feature_layers(model, x))
    assert layer.name == model.chain[-1]  # type: ignore[index]
    maps = feature_maps(model, x)
    assert maps.shape == (2, layer.channels, layer.height, layer.width)
    with torch.no_grad():
        assert torch.equal(maps, model.eval().forward_features(x))  # type: ignore[operator]


def test_elsewhere_it_is_the_last_map_with_more_than_one_position() -> None:
    model, x = awkward()
    layers = feature_layers(model, x)
    assert [layer.name for layer in layers] == ["scale", "conv1", "bn1", "conv2", "conv3", "relu", "pool", "drop"][:7]
    assert str(default_layer(model, layers)) == "relu (8 maps of 8x8)"
    assert default_layer(model, feature_layers(model, x[:, :, :1, :1])).name == "pool"  # nothing has more than one
    assert [layer.name for layer in telling_layers(model, layers, layers[3])] == ["scale", "conv2", "relu"]


def test_a_finer_layer_is_named_where_the_last_has_one_position() -> None:
    model = build_model("mobilenet_v1", 3, width=0.125)
    layers = feature_layers(model, torch.zeros(1, 3, 32, 32))
    layer = default_layer(model, layers)
    assert (layer.name, layer.positions) == ("block13", 1)
    assert str(finer_layer(model, layers, layer)) == "block5 (32 maps of 4x4)"
    assert finer_layer(model, layers[:1], layers[0]) is None


def refused(said: str, call: Any, *arguments: Any, **options: Any) -> None:
    with pytest.raises(UsageError) as caught:
        call(*arguments, **options)
    assert str(caught.value) == said


def test_what_is_asked_wrongly_is_said() -> None:
    model, x = awkward()
    refused(
        "This network has no layer 'conv_3'. Expected: a layer with feature maps, such as bn1, conv2, conv3, relu or "
        "pool. Perhaps you meant conv3, conv2 or conv1.",
        grad_cam, model, x, 0, "conv_3",
    )  # fmt: skip
    refused(
        "The layer fc puts out no feature map, or is not run by itself. Expected: a layer whose output is a tensor "
        "(N, C, H, W). Take one near it: scale, conv3 or conv2.",
        feature_maps, model, x, "fc",
    )  # fmt: skip
    refused("There is no such class. Got: 4. Expected: 0 to 3.", grad_cam, model, x, 4)
    refused("There is no such class. Got: [0, 1, -1]. Expected: 0 to 3.", integrated_gradients, model, x, [0, 1, -1])
    refused(
        "`target` does not fit the pictures. Got: shape (2,) for 3 pictures. Expected: one class number, or one for "
        "each picture.",
        grad_cam, model, x, [0, 1],
    )  # fmt: skip
    refused("`target` is no class number. Got: 1.5. Expected: integers.", grad_cam, model, x, 1.5)
    refused("A path needs a step. Got: 0 steps. Expected: 1 or more.", integrated_gradients, model, x, 0, steps=0)
    refused(
        "The baseline does not fit the pictures. Got: shape (5,). Expected: a number, or a tensor that broadcasts to "
        "(3, 3, 16, 16).",
        integrated_gradients, model, x, 0, torch.zeros(5),
    )  # fmt: skip
    refused(
        "There is nothing to explain. Got: torch.float64 (3, 16, 16). Expected: floating-point pictures (N, C, H, W).",
        grad_cam, model, x[0],
    )  # fmt: skip
    refused(
        "There is nothing to explain. Got: torch.uint8 (3, 3, 16, 16). Expected: floating-point pictures (N, C, H, W).",
        integrated_gradients, model, x.to(torch.uint8),
    )  # fmt: skip


class _Wrapped(nn.Module):
    """Something else than logits, in the shape that `kind` says."""

    def __init__(self, kind: str) -> None:
        super().__init__()
        self.inner, self.kind = Awkward(), kind

    def forward(self, x: Tensor) -> Any:
        logits = self.inner(x)
        given = {"tuple": (logits, x), "nested": [(logits, 1)], "mapping": {"aux": x, "logits": logits}, "map": x}
        return {**given, "detached": logits.detach(), "none": None, "text": "cat"}[self.kind]


@pytest.mark.parametrize("kind", ["tuple", "nested", "mapping"])
def test_logits_are_found_in_what_a_forward_returns(kind: str) -> None:
    torch.manual_seed(5)
    model, x = _Wrapped(kind).double(), pictures(1, 16)
    assert torch.equal(grad_cam(model, x, 2), grad_cam(model.inner, x, 2))


def test_what_is_no_classifier_is_refused() -> None:
    x = pictures(1, 16)
    for kind, got in (("map", "a tensor of shape (1, 3, 16, 16)"), ("none", "NoneType"), ("text", "str")):
        refused(
            f"This network gives no logits to explain. Got: {got}. Expected: a classifier: logits (N, classes).",
            grad_cam, _Wrapped(kind).double(), x, 0, "inner.conv3",
        )  # fmt: skip
    refused(
        "The network's answer does not depend on the layer inner.conv3. Expected: a layer on the way to the logits. "
        "Take another layer, or leave it out for the last feature map.",
        grad_cam, _Wrapped("detached").double(), x, 0, "inner.conv3",
    )  # fmt: skip
    refused(
        "The network's answer cannot be differentiated by its picture. Expected: a network without a break in its "
        "gradients.",
        integrated_gradients, _Wrapped("detached").double(), x, 0,
    )  # fmt: skip
    refused(
        "No layer of this network puts out feature maps. Expected: a tensor (N, C, H, W) somewhere.",
        grad_cam, nn.Sequential(nn.Flatten(), nn.Linear(768, 2)).double(), x,
    )  # fmt: skip
    refused(
        "This network has no convolution whose filters could be shown. Expected: an nn.Conv2d.",
        first_filters, nn.Linear(2, 2),
    )  # fmt: skip


def test_first_filters_are_the_first_convolutions_that_see_more_than_a_pixel() -> None:
    model = nn.Sequential(nn.Conv2d(3, 4, 1), nn.Conv2d(4, 5, (1, 7)), nn.Conv2d(5, 6, 3))
    assert torch.equal(first_filters(model), model[1].weight)
    assert first_filters(build_model("xception", 2, width=0.0625, middle_blocks=0)).shape == (8, 3, 3, 3)
    assert first_filters(nn.Conv2d(3, 4, 1)).shape == (4, 3, 1, 1)


class _Aliased(nn.Module):
    """`same` puts out the very tensor that is overwritten afterwards."""

    def __init__(self) -> None:
        super().__init__()
        self.conv, self.same = nn.Conv2d(3, 4, 3), nn.Identity()

    def forward(self, x: Tensor) -> Tensor:
        y = self.conv(x)
        kept = self.same(y)
        y.mul_(0.0)
        return kept.mean((2, 3)) + y.mean((2, 3))


def test_a_map_is_kept_though_its_memory_is_used_again() -> None:
    model, x = _Aliased().double(), pictures(1, 8)
    torch.testing.assert_close(feature_maps(model, x, "same"), model.conv(x).detach())
    expected = torch.relu(model.conv(x)[:, 1].detach() / 36)
    torch.testing.assert_close(grad_cam(model, x, 1, "same"), expected)


@pytest.mark.parametrize("name", list_models())
def test_every_network_of_the_catalogue_is_explained(name: str) -> None:
    torch.manual_seed(0)
    model = build_model(name, 3, **SMALL[name])
    side = max(model.input_contract.min_size, 64)
    x = pictures(1, side).float()
    layers = feature_layers(model, x)
    layer = default_layer(model, layers)
    assert layer.name == model.chain[-1]
    assert grad_cam(model, x).shape == (1, layer.height, layer.width)
    assert bool(grad_cam(model, x).isfinite().all())
    found = integrated_gradients(model, x, steps=1)
    assert float(found.values.abs().max()) > 0
    assert bool(found.values.isfinite().all())
    assert layer in telling_layers(model, layers, layer)
    finer = finer_layer(model, layers, layer)
    assert finer is not None
    assert finer.positions > layer.positions
    assert first_filters(model).shape[2] > 1


@pytest.mark.shared
def test_the_dog_lights_up(test_data: Path) -> None:
    """Real weights, a real photograph, and a mask that people drew: 0 is the dog, 1 what is not, 2 its border."""
    path = test_data / "weights" / "coral" / "mobilenet_v1_0.5_160_dequant_float32.npz"
    model = create_model("mobilenet_v1", 1001, path, width=0.5)
    contract = replace(model.input_contract, resize="squash")
    folder = test_data / "coral_images"
    x = normalise(prepare(decode_picture(folder / "dog_segmentation.bmp"), contract)[None], contract)
    black = normalise(torch.zeros(1, 3, 160, 160, dtype=torch.uint8), contract)
    with Image.open(folder / "dog_segmentation_mask.bmp") as picture:
        drawn = torch.from_numpy(np.array(picture.resize((160, 160), Image.Resampling.NEAREST)))
    dog, rest = drawn == 0, drawn == 1
    assert int(dog.sum()) > 5000 < int(rest.sum())
    found = integrated_gradients(model, x, None, black)
    assert found.target.tolist() == [259], "a Samoyed"
    assert float(found.share) <= 0.05
    sizes = found.values[0].sum(0).abs()
    assert float(sizes[dog].mean()) > 3 * float(sizes[rest].mean())
    cam = nn.functional.interpolate(grad_cam(model, x)[None], (160, 160), mode="bilinear")[0, 0]
    assert float(cam[dog].mean()) > 1.05 * float(cam[rest].mean())
